"""The search by weighted distance by NumPy alone: the distance in bits spares most codes their weights."""

import numpy as np

from nearbit.index.engine.layout import Words
from nearbit.index.engine.weighted.weights import Weighted, Whole, weighted_distances
from nearbit.index.results import Hits, stacked

SECONDS_A_BYTE = 1e-9
"""About what a query takes for each byte of the codes."""
SECONDS_A_QUERY = 2e-4
"""What a query takes beside."""


def weigh_plainly(words: Words, queries: Weighted, k: int | None, limits: Whole) -> Hits:
    """Return the nearest rows of each query, ranked by weighted distance, then by row.

    Args:
        words: uint64 `(n, words)`, the codes by row, at least one.
        queries: the queries, at least one.
        k: the most rows of a query; None for no limit.
        limits: int64 `(q,)`, the largest weighted distances, in units.
    """
    return stacked([_search(words, queries, number, k, int(limits[number])) for number in range(len(queries))])


def _search(words: Words, queries: Weighted, number: int, k: int | None, limit: int) -> Hits:
    """Return the nearest rows of one query; what differs in h bits lies at least the h smallest weights away."""
    bits = np.bitwise_count(words ^ queries.words[number]).sum(axis=1, dtype=np.int32)
    steps = queries.steps[number]
    if k is not None and k < len(words):
        few = np.flatnonzero(bits <= _distance_of(bits, k))
        limit = min(limit, int(np.partition(weighted_distances(queries, number, words[few]), k - 1)[k - 1]))
    rows = np.flatnonzero(bits <= np.searchsorted(steps, limit, side="right") - 1)
    distances = weighted_distances(queries, number, words[rows])
    within = distances <= limit
    rows, distances = rows[within], distances[within]
    order = np.argsort(distances, kind="stable")[:k]
    rows = rows[order].astype(np.int64)
    return Hits.in_sequence(np.array([len(rows)]), rows, bits[rows], distances[order])


def _distance_of(bits: np.ndarray[tuple[int], np.dtype[np.int32]], k: int) -> int:
    """Return a distance within which at least `k` codes lie."""
    return int(np.searchsorted(np.cumsum(np.bincount(bits)), k))
