"""Processes that work on tasks: those of a comparison have processes of their own, which decode images."""

from collections.abc import Callable

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
