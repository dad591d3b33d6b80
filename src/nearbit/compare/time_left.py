"""How long the runs of a comparison that are left will take, from those that are done."""

from collections.abc import Iterable, Mapping
from typing import Any, final

from nearbit.compare.folder import Cell


def seconds_of(facts: Mapping[str, Any]) -> float | None:
    """Return how long a run took, training and evaluation, by its facts; None where they do not say."""
    seconds = facts.get("seconds")
    if not isinstance(seconds, Mapping):
        return None
    parts = [seconds.get(part) for part in ("similarity", "training", "evaluation")]
    known = [float(part) for part in parts if isinstance(part, int | float)]
    return sum(known) if known else None


@final
class TimeLeft:
    """Estimates the time that is left, by what runs of the same method, head and length took, or of the nearest kind.

    Runs that stood in the folder before count as measured; they are taken to stay, and not to be run again.
    """

    def __init__(self, cells: Iterable[Cell], known: Mapping[Cell, float], processes: int) -> None:
        """Begin.

        Args:
            cells: every run that is asked for.
            known: seconds of those that were done before.
            processes: how many runs there are at once.
        """
        self._left = {cell for cell in cells if cell not in known}
        self._took = dict(known)
        self._processes = processes

    def ended(self, cell: Cell, seconds: float | None) -> None:
        """Take notice that a run is over, and how long it took; None where that says nothing, as of a failed one."""
        self._left.discard(cell)
        if seconds is not None:
            self._took[cell] = seconds

    def seconds(self) -> float | None:
        """Return how long the runs that are left will take together; None before any was measured."""
        if not self._took:
            return None
        total = sum(self._expected(cell) for cell in self._left)
        longest = max((self._expected(cell) for cell in self._left), default=0.0)
        return max(total / self._processes, longest)

    def _expected(self, cell: Cell) -> float:
        for alike in (_kind, _method, lambda _: None):
            known = [seconds for other, seconds in self._took.items() if alike(other) == alike(cell)]
            if known:
                return sum(known) / len(known)
        return 0.0


def _kind(cell: Cell) -> tuple[str, str, int]:
    return cell.method, cell.head, cell.n_bits


def _method(cell: Cell) -> str:
    return cell.method
