"""Progress of long work, reported by a plain callback so that the library itself prints nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import final

_AT_WORK: ContextVar[str] = ContextVar("at_work", default="")

MEASURED_SECONDS = 2.0
"""For at least so long steps are measured before their number is made a time."""

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, units done, units in all) as long work proceeds; done == total ends a stage."""


def about(seconds: float) -> str:
    """Return a duration in words that are not more exact than an estimate: "about 40 s", "about 3 min"."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min"
    hours = round(seconds / 3600, 1)
    return f"about {hours:g} h"


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing: the default progress of every function."""


@contextmanager
def at_work_on(name: str) -> Iterator[None]:
    """Name the file that this thread works on, for messages of libraries that do not know it."""
    token = _AT_WORK.set(name)
    try:
        yield
    finally:
        _AT_WORK.reset(token)


def with_name(message: object) -> str:
    """Return a message of a library with the name of the file that this thread works on before it, if there is one."""
    name = _AT_WORK.get()
    return f"{name}: {message}" if name else str(message)


@final
class Estimate:
    """Tells once, after the first steps of a training, how many seconds the others will take at most.

    It is told as (seconds, epochs left with the one that is under way, steps of an epoch).
    """

    def __init__(self, tell: Callable[[float, int, int], None]) -> None:
        self._tell = tell
        self._began: float | None = None
        self._steps, self._told = 0, False

    def step(self, number: int, steps: int, epochs_left: int) -> None:
        """Take notice of step `number` of `steps`; the first one of a training, which warms up, is not measured."""
        if self._told:
            return
        now = time.monotonic()
        if self._began is None:
            self._began = now
            return
        self._steps += 1
        if now - self._began >= MEASURED_SECONDS:
            self._told = True
            left = epochs_left * steps - number
            self._tell((now - self._began) / self._steps * left, epochs_left, steps)
