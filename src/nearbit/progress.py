"""Progress of long work, reported by a plain callback so that the library itself prints nothing."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, units done, units in all) as long work proceeds; done == total ends a stage."""


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing: the default progress of every function."""
