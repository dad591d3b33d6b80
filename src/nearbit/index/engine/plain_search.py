"""The search by NumPy alone, in any layout: every code is looked at, and the results are those of the kernels.

A sample of the rows gives a first limit, a distance within which k of them lie; codes within it are the candidates.
"""

import numpy as np
import numpy.typing as npt

from nearbit.index.engine.layout import Layout, Words
from nearbit.index.results import Counts, Hits, stacked

Marks = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]
Near = npt.NDArray[np.uint16]

SAMPLE = 16_384
"""Rows, at least, whose k-th distance is the first limit."""
BLOCK = 32_768
"""Codes that are compared at a time: they stay in the second cache."""
SECONDS_A_WORD = 1.5e-9
"""About what the comparison with one word of a code takes."""
SECONDS_A_QUERY = 1e-4
"""What a query takes beside."""


def seconds_of(layout: Layout, n_rows: int) -> float:
    """Return about how long one query takes by NumPy, in seconds."""
    return SECONDS_A_QUERY + SECONDS_A_WORD * max(layout.n_places, n_rows) * len(layout.columns)


def search_plainly(
    layout: Layout, places: npt.NDArray[np.unsignedinteger], queries: Words, k: int | None, limit: int,
    excluded: Marks | None,
) -> Hits:  # fmt: skip
    """Return the nearest rows of each query, ranked by distance, then by row.

    Args:
        layout: the arrays.
        places: the place of each row, `(n,)`; empty for a plain layout, in which each place is its own row.
        queries: uint64 `(q, words)`.
        k: the most rows of a query; None for no limit.
        limit: the largest distance, in bits.
        excluded: bool `(n,)`, rows that are not there; None for none.
    """
    sample = None if k is None else _sample(layout, places, k, excluded)
    return stacked([_search(layout, query, k, limit, excluded, sample) for query in queries])


def _sample(layout: Layout, places: npt.NDArray[np.unsignedinteger], k: int, excluded: Marks | None) -> Words | None:
    """Return the codes of some rows, spread over all that are there; None where `k` is too many of them."""
    n_rows = len(places) if len(places) else layout.n_places
    wanted = max(SAMPLE, 4 * k)
    if wanted >= n_rows:
        return None
    rows = np.arange(n_rows) if excluded is None else np.flatnonzero(~excluded)
    rows = rows[:: max(1, len(rows) // wanted)]
    if len(rows) < k:
        return None
    return np.ascontiguousarray(layout.columns[:, places[rows] if len(places) else rows])


def _search(
    layout: Layout, query: Words, k: int | None, limit: int, excluded: Marks | None, sample: Words | None
) -> Hits:
    if k is not None and sample is not None:
        limit = min(limit, int(np.partition(distances(query, sample), k - 1)[k - 1]))
    near, far = [np.empty(0, np.intp)], [np.empty(0, np.uint16)]
    for start in range(0, layout.n_places, BLOCK):
        block = distances(query, layout.columns[:, start : start + BLOCK])
        found = np.flatnonzero(block <= limit)
        near.append(found + start)
        far.append(block[found])
    rows, away = _rows_of(layout, np.concatenate(near), np.concatenate(far))
    if excluded is not None:
        is_there = ~excluded[rows]
        rows, away = rows[is_there], away[is_there]
    if k is not None and k < len(rows):
        within = away <= np.partition(away, k - 1)[k - 1]
        rows, away = rows[within], away[within]
    order = np.argsort(away, kind="stable") if layout.kind == "plain" else np.lexsort((rows, away))
    order = order[:k]
    return Hits.in_sequence(np.array([len(order)]), rows[order].astype(np.int64), away[order].astype(np.int32))


def distances(query: Words, columns: Words) -> Near:
    """Return the distances of one query, uint64 `(words,)`, to codes `(words, n)`: uint8 or uint16 `(n,)`."""
    total: Near = np.bitwise_count(columns[0] ^ query[0])
    for word in range(1, len(columns)):
        total = np.add(total, np.bitwise_count(columns[word] ^ query[word]), dtype=np.uint16)
    return total


def _rows_of(layout: Layout, places: Places, far: Near) -> tuple[Counts, Near]:
    """Return the rows of some places, and the distance of each."""
    if layout.kind == "plain":
        return places, far
    starts = layout.offsets[places].astype(np.int64)
    sizes = layout.offsets[places + 1].astype(np.int64) - starts
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return layout.rows[np.repeat(starts, sizes) + within].astype(np.int64), np.repeat(far, sizes)
