"""Several processes that run cells, each with its own data set; one that dies fails its cell, not the rest."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from nearbit.compare.bench import Bench, Outcome, Work
from nearbit.compare.folder import Cell, write_failure

Told = Callable[[Cell, Outcome, str], None]


@dataclass
class Worker:
    """A process with what it is working on."""

    process: BaseProcess
    line: Connection
    cell: Cell | None = None


def run_in_processes(work: Work, cells: Sequence[Cell], n_processes: int, told: Told) -> None:
    """Run cells in that many processes, in order as they become free, and tell what became of each.

    An interrupt ends all processes; what they wrote is whole.
    """
    waiting = list(reversed(cells))
    with _workers(work, min(n_processes, len(cells))) as workers:
        for worker in workers:
            _give(worker, waiting)
        while any(worker.cell is not None for worker in workers):
            lines: list[Any] = [worker.line for worker in workers if worker.cell is not None]
            ready = wait(lines)
            for place, worker in enumerate(workers):
                if worker.line in ready and worker.cell is not None:
                    cell, answer = worker.cell, _answer(worker)
                    if answer is None:
                        told(cell, "failed", _death(work, cell, worker))
                        workers[place] = _start(work)
                    else:
                        told(cell, *answer)
                    _give(workers[place], waiting)


def _give(worker: Worker, waiting: list[Cell]) -> None:
    worker.cell = waiting.pop() if waiting else None
    with suppress(OSError):  # of a process that has died: the end of its line, which `_answer` reads, says so
        worker.line.send(worker.cell)


def _answer(worker: Worker) -> tuple[Outcome, str] | None:
    """Return what a worker says of its cell; None where it died."""
    try:
        answer: tuple[Outcome, str] = worker.line.recv()
    except (EOFError, OSError):
        return None
    return answer


def _death(work: Work, cell: Cell, worker: Worker) -> str:
    """Write down that a cell's process died, and return how."""
    worker.process.join()
    why = f"its process ended without a word (exit code {worker.process.exitcode}), perhaps for want of memory"
    write_failure(work.folder, cell, why)
    return why


@contextmanager
def _workers(work: Work, number: int) -> Iterator[list[Worker]]:
    workers = [_start(work) for _ in range(number)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.line.close()
            worker.process.join(timeout=1)
            if worker.process.is_alive():
                worker.process.terminate()
                worker.process.join()


def _start(work: Work) -> Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(work, theirs), daemon=True)
    process.start()
    theirs.close()
    return Worker(process, ours)


def _work(work: Work, line: Connection) -> None:
    """Run the cells that come down the line until None comes, or nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and ends this process
    bench: Bench | None = None
    try:
        while (cell := line.recv()) is not None:
            bench = bench or Bench(work)
            line.send(bench.run(cell))
    except (EOFError, ConnectionError):
        return
