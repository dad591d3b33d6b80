"""Several processes that run cells, each with its own data set; one that dies fails its cell, not the rest."""

from collections.abc import Callable, Sequence
from functools import partial

from nearbit.compare.bench import Bench, Outcome, Work
from nearbit.compare.folder import Cell, write_failure
from nearbit.pool import run_in_processes

Told = Callable[[Cell, Outcome, str], None]
Seed = tuple[Cell, ...]
"""The cells of one seed."""


def run_cells(work: Work, cells: Sequence[Cell], n_processes: int, told: Told) -> None:
    """Run cells in that many processes, in order as they become free, and tell what became of each.

    An interrupt ends all processes; what they wrote is whole.
    """

    def died(cell: Cell, code: int | None) -> bool:
        why = f"its process ended without a word (exit code {code}), perhaps for want of memory"
        write_failure(work.folder, cell, why)
        told(cell, "failed", why)
        return False

    run_in_processes(
        partial(_bench, work), cells, n_processes, answered=lambda cell, answer: told(cell, *answer), died=died
    )


def tune_backbones(
    work: Work, seeds: Sequence[Seed], n_processes: int, told: Callable[[Seed, Outcome, str], None]
) -> None:
    """Fine-tune the backbone that the cells of each seed share, in that many processes, and tell what became of it."""

    def died(cells: Seed, code: int | None) -> bool:
        told(cells, "failed", f"its process ended without a word (exit code {code}), perhaps for want of memory")
        return False

    run_in_processes(
        partial(_tuner, work), seeds, n_processes, answered=lambda cells, answer: told(cells, *answer), died=died
    )


def _tuner(work: Work) -> Callable[[Seed], tuple[Outcome, str]]:
    return Bench(work).tune


def _bench(work: Work) -> Callable[[Cell], tuple[Outcome, str]]:
    return Bench(work).run
