"""Plain search: every query against every row, and one ranking out of two. Rows are numbered by ascending id."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.codes import Distances
from nearbit.index.results import Ids

RowNumbers = npt.NDArray[np.intp]
Words = npt.NDArray[np.uint64]

PAIRS_PER_BLOCK = 4_000_000
"""How many distances are computed at a time: 20 MB."""


@dataclass(frozen=True, eq=False)
class RankedIds:
    """What a search found, query after query, each ranked by distance, then by id.

    Attributes:
        offsets: int64 `(q + 1,)`: the hits of query i are those from `offsets[i]` to `offsets[i + 1]`.
        ids: int64 `(total,)`.
        distances: int32 `(total,)`, in bits.
    """

    offsets: npt.NDArray[np.int64]
    ids: Ids
    distances: Distances


def brute_force_search(queries: Words, words: Words, ids: Ids, *, k: int | None, limits: Distances) -> RankedIds:
    """Return what lies near each query, found by comparing it with every item.

    Args:
        queries: uint64 `(q, words)`.
        words: uint64 `(n, words)`, the codes.
        ids: int64 `(n,)`.
        k: at least the `k` nearest of a query are kept, with all that are as near as the last of them; None for all.
        limits: int32 `(q,)`, the largest distance that counts for each query, in bits.
    """
    numbers, rows, distances = [np.empty(0, np.intp)], [np.empty(0, np.intp)], [np.empty(0, np.int32)]
    step = max(1, PAIRS_PER_BLOCK // max(1, len(words)))
    for start in range(0, len(queries), step):
        block = _distances(queries[start : start + step], words)
        allowed = limits[start : start + step]
        if k is not None and k < len(words):
            allowed = np.minimum(allowed, np.partition(block, k - 1, axis=1)[:, k - 1])
        query, row = np.nonzero(block <= allowed[:, None])
        numbers.append(query + start)
        rows.append(row)
        distances.append(block[query, row])
    return ranked(np.concatenate(numbers), ids[np.concatenate(rows)], np.concatenate(distances), len(queries))


def ranked(queries: npt.NDArray[np.intp], ids: Ids, distances: Distances, n_queries: int) -> RankedIds:
    """Return hits in any order, each with its query, as one ranking a query: by distance, then by id."""
    order = np.lexsort((ids, distances, queries))
    offsets = np.zeros(n_queries + 1, np.int64)
    np.cumsum(np.bincount(queries, minlength=n_queries), out=offsets[1:])
    return RankedIds(offsets, ids[order], distances[order])


def merge_ranked(a: RankedIds, b: RankedIds, k: int | None) -> RankedIds:
    """Return the hits of both, ranked, at most `k` a query; no id is in both for one query."""
    if len(b.ids):
        queries = np.concatenate([_queries_of(a), _queries_of(b)])
        ids, distances = np.concatenate([a.ids, b.ids]), np.concatenate([a.distances, b.distances])
        a = ranked(queries, ids, distances, len(a.offsets) - 1)
    return a if k is None else truncate(a, k)


def truncate(found: RankedIds, k: int) -> RankedIds:
    """Return the first `k` hits of each query."""
    counts = np.diff(found.offsets)
    if not (counts > k).any():
        return found
    place = np.arange(len(found.ids)) - np.repeat(found.offsets[:-1], counts)
    kept = place < k
    offsets = np.append(0, np.cumsum(np.minimum(counts, k)))
    return RankedIds(offsets, found.ids[kept], found.distances[kept])


def last_distances(found: RankedIds, k: int | None, limit: int) -> Distances:
    """Return the distance beyond which nothing can come among the first `k` of each query: int32 `(q,)`."""
    limits = np.full(len(found.offsets) - 1, limit, np.int32)
    if k is not None:
        full = np.diff(found.offsets) >= k
        limits[full] = np.minimum(limit, found.distances[found.offsets[:-1][full] + k - 1])
    return limits


def _queries_of(found: RankedIds) -> npt.NDArray[np.intp]:
    counts = np.diff(found.offsets)
    return np.repeat(np.arange(len(counts)), counts)


def _distances(queries: Words, words: Words) -> Distances:
    total: Distances = np.bitwise_count(queries[:, None, 0] ^ words[None, :, 0]).astype(np.int32)
    for word in range(1, words.shape[1]):
        total += np.bitwise_count(queries[:, None, word] ^ words[None, :, word])
    return total
