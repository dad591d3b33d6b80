"""The compiled searches by weighted distance, called with all the arrays that they fill. Importing loads numba.

Arguments are as `weighted_kernels` takes them. All return sizes int64 `(n_query,)`, and keys int64 `(n_query, k)`, in
no order, of which the first of each query count.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.index.engine.calls import by_pivot
from nearbit.index.engine.layout import Layout, Words
from nearbit.index.engine.scan_kernels import CHUNK, SMALL
from nearbit.index.engine.weighted import weighted_kernels as kernels
from nearbit.index.engine.weighted.weighing_kernels import SIZE, STATES
from nearbit.index.engine.weighted.weights import Whole

Marks = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.int32]
Found = tuple[Whole, Whole]


def search_rings(
    layout: Layout, queries: Words, weights: Weights, steps: Whole, limits: Whole, orders: Whole, digits: int, k: int,
    excluded: Marks,
) -> Found:  # fmt: skip
    """Search queries by rings; `orders`, int64 `(n_query, n_bits)`, are the bits of a code by ascending weight."""
    keys, states = _found(len(queries), k)
    n_groups, n_bits, words = layout.pivots.shape[1], steps.shape[1] - 1, queries.shape[1]
    kernels.search_rings(
        layout, by_pivot(layout, queries), queries, weights, steps, limits, orders, digits, k, excluded,
        np.empty(n_groups, np.uint16), np.empty(n_groups, np.int64), np.empty(n_groups, np.int64),
        np.empty(SMALL, np.int64), np.empty(SMALL, np.int64), *_near(), np.empty((4, n_bits + 2), np.int64),
        np.empty((2, 4), np.int64), np.empty((min(kernels.LEVELS, n_bits), words), np.uint64),
        np.empty(2048 * words, np.int32), keys, states,
    )  # fmt: skip
    return states[:, SIZE], keys[:, :k]


def scan(
    layout: Layout, queries: Words, weights: Weights, steps: Whole, limits: Whole, start: int, stop: int, digits: int,
    k: int, excluded: Marks,
) -> Found:  # fmt: skip
    """Compare queries with all places from `start` to `stop`."""
    keys, states = _found(len(queries), k)
    tables = np.empty((len(queries), 2048 * queries.shape[1]), np.int32)
    kernels.scan(
        layout, queries, weights, steps, limits, start, stop, digits, k, excluded,
        np.empty(CHUNK, np.uint16), *_near(), tables, keys, states,
    )  # fmt: skip
    return states[:, SIZE], keys[:, :k]


def search_table(
    layout: Layout, addresses: Whole, queries: Words, weights: Weights, steps: Whole, limits: Whole, digits: int,
    k: int, excluded: Marks, give_up: int,
) -> Found:  # fmt: skip
    """Search queries by address, int64 `(n_query,)`."""
    keys, states = _found(len(queries), k)
    kernels.search_table(
        layout, addresses, queries, weights, steps, limits, digits, k, excluded, give_up,
        np.empty(CHUNK, np.uint16), *_near(), np.empty(2048 * queries.shape[1], np.int32), keys, states,
    )  # fmt: skip
    return states[:, SIZE], keys[:, :k]


def _found(n_query: int, k: int) -> tuple[Any, Any]:
    """Return room for the keys and the states of queries."""
    return np.empty((n_query, 2 * k + kernels.SPARE), np.int64), np.empty((n_query, STATES), np.int64)


def _near() -> tuple[Whole, Whole]:
    """Return room for the places of a few codes, and their weighted distances."""
    return np.empty(SMALL + 1, np.int64), np.empty(SMALL + 1, np.int64)
