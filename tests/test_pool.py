"""Processes that work on tasks: those of a comparison have processes of their own, which decode images."""

import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess

import pytest

from nearbit.pool import OrderedPool, run_in_processes


def squares() -> Callable[[int], int]:
    return lambda number: number * number


def sums_of_squares() -> Callable[[int], int]:
    return lambda most: sum(OrderedPool(squares, 2, ahead=1).answers(range(most)))


@pytest.mark.parametrize("make", [squares, sums_of_squares])
def test_a_process_may_have_processes_of_its_own(make: Callable[[], Callable[[int], int]]) -> None:
    found: dict[int, int] = {}
    run_in_processes(
        make, [3, 4, 5], 2, answered=found.__setitem__, died=lambda task, code: pytest.fail(f"{task} {code}")
    )
    expected = make()
    assert found == {task: expected(task) for task in (3, 4, 5)}


def sleeping() -> Callable[[int], int]:
    return lambda seconds: time.sleep(seconds) or seconds


def test_a_second_interrupt_leaves_no_process_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[float | None] = []
    whole = BaseProcess.join

    def interrupted(self: BaseProcess, timeout: float | None = None) -> None:
        joined.append(timeout)
        if timeout is not None:
            raise KeyboardInterrupt
        whole(self)

    monkeypatch.setattr(BaseProcess, "join", interrupted)
    monkeypatch.setattr("nearbit.pool.wait", lambda lines: (_ for _ in ()).throw(KeyboardInterrupt))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        run_in_processes(sleeping, [600, 600], 2, answered=lambda *_: None, died=lambda *_: False)
    assert joined == [1, None, None]
    assert time.monotonic() - began < 300
