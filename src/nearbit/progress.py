"""Progress of long work, reported by a plain callback so that the library itself prints nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_AT_WORK: ContextVar[str] = ContextVar("at_work", default="")

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, units done, units in all) as long work proceeds; done == total ends a stage."""


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
