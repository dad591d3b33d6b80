"""Several processes that work on tasks: in any order, or in that of the tasks, some ahead of what is asked for.

Each has a pipe of its own and they share no lock, so that the death of one never keeps anyone waiting.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar, final
from weakref import finalize

Task = TypeVar("Task")
Answer = TypeVar("Answer")

Make = Callable[[], Callable[[Task], Answer]]
"""Called once in each process, before its first task; returns what works on tasks. It can be sent to a process."""


@dataclass
class Worker(Generic[Task]):
    """A process with what it is working on."""

    process: BaseProcess
    line: Connection
    task: Task | None = None


def run_in_processes(
    make: Make[Task, Answer],
    tasks: Sequence[Task],
    n_processes: int,
    *,
    answered: Callable[[Task, Answer], None],
    died: Callable[[Task, int | None], bool],
    environment: Mapping[str, str] | None = None,
) -> None:
    """Work on tasks in that many processes, in order as they become free; each may have processes of its own.

    An interrupt ends all processes; each ends by itself, at once, where this one is killed.

    Args:
        make: makes what works on tasks, in each process.
        tasks: what is sent to the processes; None is no task.
        n_processes: how many.
        answered: called here with each task and what came of it.
        died: called here with a task whose process ended without a word, and its exit code (of a signal, the number
            below 0); returns whether the task is to be given again, after the others. Another process takes the place
            of that one.
        environment: variables that each process has from its beginning.
    """
    waiting = list(reversed(tasks))
    start = _Start(make, dict(environment or {}), has_children=True)
    with _workers(start, min(n_processes, len(tasks))) as workers:
        for worker in workers:
            _give(worker, waiting)
        while any(worker.task is not None for worker in workers):
            lines: list[Any] = [worker.line for worker in workers if worker.task is not None]
            ready = wait(lines)
            for place, worker in enumerate(workers):
                if worker.line in ready and worker.task is not None:
                    task, answer = worker.task, _answer(worker)
                    if answer is None:
                        worker.process.join()
                        if died(task, worker.process.exitcode):
                            waiting.insert(0, task)
                        workers[place] = start()
                    else:
                        answered(task, answer[0])
                    _give(workers[place], waiting)


class ProcessDied(Exception):
    """A process ended without a word; `exit_code` is that of a signal, the number below 0."""

    def __init__(self, exit_code: int | None) -> None:
        self.exit_code = exit_code
        super().__init__(f"a process ended without a word (exit code {exit_code})")


@final
class OrderedPool(Generic[Task, Answer]):
    """Processes that answer tasks in the order of these, each some ahead of the one that is asked for.

    They start with the first tasks and stay until this object goes, or one of them dies.
    """

    def __init__(self, make: Make[Task, Answer], n_processes: int, *, ahead: int) -> None:
        """Take what makes, in each process, what works on tasks, how many processes, and how many tasks each has."""
        self._start = _Start(make, {})
        self._n_processes, self._ahead = n_processes, ahead
        self.workers: list[Worker[Task]] = []
        self._owed: list[Worker[Task]] = []
        finalize(self, _end, self.workers)

    def answers(self, tasks: Sequence[Task]) -> Iterator[Answer]:
        """Yield what came of each task. What an earlier call was left with goes unread.

        Raises:
            ProcessDied: a process ended; other tasks can be given again, to new ones.
        """
        while len(self.workers) < self._n_processes:
            self.workers.append(self._start())
        while self._owed:
            self._take()
        n_ahead = self._n_processes * self._ahead
        for place in range(min(n_ahead, len(tasks))):
            self._send(place, tasks[place])
        for place in range(len(tasks)):
            answer: Answer = self._take()
            if place + n_ahead < len(tasks):
                self._send(place + n_ahead, tasks[place + n_ahead])
            yield answer

    def _send(self, place: int, task: Task) -> None:
        worker = self.workers[place % self._n_processes]
        _give(worker, [task])
        self._owed.append(worker)

    def _take(self) -> Any:
        """Return the answer that is due next."""
        worker = self._owed.pop(0)
        answer = _answer(worker)
        if answer is None:
            self._owed.clear()
            _end(self.workers)
            raise ProcessDied(worker.process.exitcode)
        return answer[0]


@dataclass(frozen=True)
class _Start:
    """Starts processes; those that have processes of their own must be ended, others end with this one in any case."""

    make: Any
    environment: dict[str, str]
    has_children: bool = False

    def __call__(self) -> Worker[Any]:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        daemon = not self.has_children  # Python lets none of these have children
        process = context.Process(target=_work, args=(self.environment, self.make, theirs), daemon=daemon)
        process.start()
        theirs.close()
        return Worker(process, ours)


def _give(worker: Worker[Task], waiting: list[Task]) -> None:
    worker.task = waiting.pop() if waiting else None
    with suppress(OSError):  # of a process that has died: the end of its line, which `_answer` reads, says so
        worker.line.send(worker.task)


def _answer(worker: Worker[Any]) -> tuple[Any] | None:
    """Return what a worker says of its task, in a tuple; None where it died."""
    try:
        return (worker.line.recv(),)
    except (EOFError, ConnectionError, FileNotFoundError, AuthenticationError):  # of its line, or of memory it shared
        return None


@contextmanager
def _workers(start: _Start, number: int) -> Iterator[list[Worker[Any]]]:
    workers: list[Worker[Any]] = []
    try:
        workers += (start() for _ in range(number))
        yield workers
    finally:
        _end(workers)


def _end(workers: list[Worker[Any]]) -> None:
    """End processes: those that have nothing to do by themselves, others that do not end soon by a signal."""
    try:
        for worker in workers:
            worker.line.close()
        for worker in workers:
            worker.process.join(timeout=1)
    finally:  # an interrupt of this one, too, leaves none to wait for
        for worker in workers:
            if worker.process.is_alive():
                worker.process.terminate()
        for worker in workers:
            worker.process.join()
        workers.clear()


def _work(environment: dict[str, str], make: Make[Any, Any], line: Connection) -> None:
    """Work on the tasks that come down the line until None comes, or nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and ends this process
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run: Callable[[Any], Any] | None = None
    while (task := _task(line)) is not None:
        run = run or make()
        answer = run(task)
        try:
            line.send(answer)
        except ConnectionError:
            return


def _task(line: Connection) -> Any:
    """Return the next task; None where there is none, or nobody any more who gives one."""
    try:
        return line.recv()
    except (EOFError, ConnectionError):
        return None


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
