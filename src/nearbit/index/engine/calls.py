"""The compiled searches, called with all the arrays that they fill: kernels allocate nothing. Importing loads numba.

`layout`, `queries` uint64 `(n_query, words)`, `limits` int64 `(n_query,)`, `k` (NO_LIMIT for all) and `excluded`, bool
`(n,)` or empty, are as the kernels take them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nearbit.index.engine import pruning_kernels, scan_kernels
from nearbit.index.engine.layout import Layout, Words
from nearbit.index.engine.ranking_kernels import FARTHEST, LIMIT, SIZE, STATES
from nearbit.index.engine.scan_kernels import BEGIN, CHUNK, FIRST, SMALL
from nearbit.index.results import Counts

Marks = npt.NDArray[np.bool_]

ROOM = 4 * CHUNK
"""Candidates of a query that there is room for at first."""
ROWS = 1024
"""Results of a call by rings or table that there is room for at first."""
MOST_ROWS = 1 << 20
"""Results of a scan that there is room for at first, at most."""


class Pruned(NamedTuple):
    """What a search by rings or table found.

    Attributes:
        begins: int64 `(n_query,)`, where the results of each query begin.
        sizes: int64 `(n_query,)`, how many there are; GIVEN_UP for a query that is to be scanned.
        touched: int64 `(n_query,)`, codes looked at.
        rows: int64.
        distances: int32.
    """

    begins: Counts
    sizes: Counts
    touched: Counts
    rows: Counts
    distances: npt.NDArray[np.int32]


def scan(
    layout: Layout, start: int, stop: int, queries: Words, limits: Counts, n_bits: int, k: int, excluded: Marks
) -> tuple[Counts, Counts, npt.NDArray[np.int32]]:
    """Compare queries with all places from `start` to `stop`.

    Returns:
        sizes int64 `(n_query,)`; rows int64 and distances int32, query after query.
    """
    n_query = len(queries)
    places, near = np.empty((n_query, ROOM), np.int64), np.empty((n_query, ROOM), np.uint16)
    numbers, scratch = np.zeros((n_query, n_bits + 1 + STATES), np.int64), np.empty(FIRST, np.uint16)
    states = numbers[:, n_bits + 1 :]
    states[:, LIMIT] = states[:, FARTHEST] = limits
    room = n_query * min(k, MOST_ROWS // n_query)
    rows, distances, low, number = np.empty(room, np.int64), np.empty(room, np.int32), start, BEGIN
    while True:
        low, number = scan_kernels.scan(
            layout, low, stop, number, queries, n_bits, k, excluded, scratch, places, near, numbers, rows, distances
        )
        if low < stop:
            places, near = _wider(places), _wider(near)
        elif number > len(rows):
            rows, distances, number = np.empty(number, np.int64), np.empty(number, np.int32), 0
        else:
            return states[:, SIZE], rows[:number], distances[:number]


def search_rings(
    layout: Layout, queries: Words, limits: Counts, n_bits: int, k: int, excluded: Marks, give_up: int
) -> Pruned:
    """Search queries by rings; limits of those given up are lowered to what was found."""
    n_groups, order = layout.pivots.shape[1], by_pivot(layout, queries)
    to_pivots, group_bounds = np.empty(n_groups, np.uint16), np.empty(n_groups, np.uint16)
    values, bounds = np.empty(CHUNK, np.uint16), np.empty(SMALL, np.uint16)

    def call(number: int, at: int, *room: Any) -> Any:
        return pruning_kernels.search_rings(
            layout, number, at, order, queries, limits, n_bits, k, excluded, give_up,
            to_pivots, group_bounds, values, bounds, *room,
        )  # fmt: skip

    return _pruned(call, len(queries), n_bits)


def by_pivot(layout: Layout, queries: Words) -> Counts:
    """Return an order of the queries, int64 `(n_query,)`, in which those with a common nearest pivot follow each other.

    The group of a pivot is then in the cache for all of them.
    """
    homes = np.zeros(len(queries), np.int64)
    if len(queries) > 1:
        to_pivots = np.empty(layout.pivots.shape[1], np.uint16)
        pruning_kernels.nearest_pivots(queries, layout.pivots, to_pivots, homes)
    return np.argsort(homes, kind="stable")


def search_table(
    layout: Layout, addresses: Counts, limits: Counts, n_bits: int, k: int, excluded: Marks, give_up: int
) -> Pruned:
    """Search queries by address, int64 `(n_query,)`; limits of those given up are lowered to what was found."""

    def call(number: int, at: int, *room: Any) -> Any:
        return pruning_kernels.search_table(
            layout, number, at, addresses, limits, n_bits, k, excluded, give_up, *room
        )  # fmt: skip

    return _pruned(call, len(addresses), n_bits)


def _pruned(call: Callable[..., Any], n_query: int, n_bits: int) -> Pruned:
    """Return what a kernel finds, called until it has done all queries, with more room each time that it asks."""
    begins, sizes, touched = np.zeros(n_query, np.int64), np.zeros(n_query, np.int64), np.zeros(n_query, np.int64)
    places, near = np.empty(ROOM, np.int64), np.empty(ROOM, np.uint16)
    counts, state = np.empty(n_bits + 1, np.int64), np.empty(STATES, np.int64)
    rows, distances, number, at = np.empty(ROWS, np.int64), np.empty(ROWS, np.int32), 0, 0
    while True:
        number, at, is_full = call(number, at, places, near, counts, state, begins, sizes, touched, rows, distances)
        if number == n_query:
            return Pruned(begins, sizes, touched, rows[:at], distances[:at])
        if is_full:
            places, near = np.empty(4 * places.size, np.int64), np.empty(4 * near.size, np.uint16)
        else:
            wanted = 2 * (at + int(sizes[sizes > 0].max()))
            rows, distances = np.resize(rows, wanted), np.resize(distances, wanted)


def _wider(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array of twice the columns that begins with those given."""
    wider = np.empty((values.shape[0], 2 * values.shape[1]), values.dtype)
    wider[:, : values.shape[1]] = values
    return wider
