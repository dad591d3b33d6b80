"""Small searches and buildings that call every kernel of the index once with arguments of each type that it gets.

Types are the same whatever the number of words, rows and results; each step of these generators compiles, or loads, a
kernel or two.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from nearbit.index.engine.layout import Layout, Words, read_only
from nearbit.index.engine.rings import ring_layout
from nearbit.index.engine.table import addresses_of, table_layout

N_BITS = 16
K = 2


@cache
def _words() -> Words:
    """Return some codes, a few of them alike."""
    return np.arange(200, dtype=np.uint64)[:, None] % np.uint64(150)


def building() -> Iterator[None]:
    """Call the kernels that build a structure."""
    from nearbit.index.engine.distinct import distinct_codes
    from nearbit.index.engine.pivots import find_pivots, nearest_pivots

    distinct = distinct_codes(_words())
    near, how_far = np.empty(distinct.columns.shape[1], np.uint16), np.empty(distinct.columns.shape[1], np.uint16)
    nearest_pivots(distinct.columns, 0, 1, distinct.columns[:, :1], near, how_far)
    yield
    find_pivots(distinct, N_BITS, None)
    yield
    ring_layout(distinct, N_BITS, None, 1)
    yield


def search() -> Iterator[None]:
    """Call the kernels that search by distance."""
    from nearbit.index.engine import calls

    queries, nobody, limits = _words()[:3].copy(), _nobody(), np.full(3, N_BITS)
    plain = Layout.of(_words().T)
    calls.scan(plain, 0, plain.n_places, queries, limits, N_BITS, K, nobody)
    yield
    rings = _rings()
    calls.by_pivot(rings, queries)
    yield
    calls.search_rings(rings, queries, limits.copy(), N_BITS, K, nobody, 100)
    yield
    table, addresses = _table(), addresses_of(queries[:, 0], N_BITS)
    calls.search_table(table, addresses, limits.copy(), N_BITS, K, nobody, 100)
    yield


def weighted() -> Iterator[None]:
    """Call the kernels that search by weighted distance."""
    from nearbit.index.engine.calls import by_pivot
    from nearbit.index.engine.weighted import weighted_calls as calls
    from nearbit.index.engine.weighted.weights import weighted as weigh

    asked, nobody = weigh(np.linspace(-1, 1, 3 * N_BITS, dtype=np.float32).reshape(3, N_BITS)), _nobody()
    given, rings = (asked.words, asked.weights, asked.steps, asked.limits(None)), _rings()
    calls.scan(rings, *given, 0, rings.n_places, 8, K, nobody)
    yield
    by_pivot(rings, asked.words)
    yield
    calls.search_rings(rings, *given, asked.orders, 8, K, nobody)
    yield
    calls.search_table(_table(), addresses_of(asked.words[:, 0], N_BITS), *given, 8, K, nobody, 100)
    yield


def _nobody() -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return the marks of no row."""
    return read_only(np.empty(0, np.bool_))


def _rings() -> Layout:
    """Return a layout of one ring of each code: made by hand, so that nothing of the building is compiled."""
    columns = np.unique(_words(), axis=0).T
    n = columns.shape[1]
    far = np.bitwise_count(columns[0] ^ columns[0, 0]).astype(np.uint16)
    order = np.argsort(far, kind="stable")
    rings = np.zeros((4, n), np.uint16)
    rings[0] = far[order]
    masks = np.zeros((1, 4, 1), np.uint64)
    masks[0, 0] = np.uint64(2**64 - 1)
    return Layout.of(
        columns[:, order], offsets=np.arange(n + 1, dtype=np.uint32), rows=np.arange(n, dtype=np.uint32),
        pivots=columns[:, :1], masks=masks, group_cells=np.array([0, n]), cell_starts=np.arange(n + 1), rings=rings,
        spans=np.array([[0], [N_BITS]], np.uint16),
    )  # fmt: skip


def _table() -> Layout:
    from nearbit.index.engine.distinct import distinct_codes

    return table_layout(distinct_codes(_words()), N_BITS)
