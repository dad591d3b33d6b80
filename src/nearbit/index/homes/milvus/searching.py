"""Exact search with whole ties: Milvus is asked for more until what follows is farther than what is wanted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from nearbit.index.results import Hits, no_hits, ranked

MOST = 16_384
"""Results of one query that Milvus gives at most."""

BEYOND = 64
"""So many more than `k` are asked for at first, to see what follows."""

GROWTH = 8
PER_REQUEST = 200_000
"""Results of all queries of one request, about."""

Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]
"""Ids and distances of what was found for one query."""

Ask = Callable[[Sequence[bytes], int, tuple[int, int] | None], list[list[tuple[int, int]]]]
"""Takes codes, how many results each, and from which id to which; returns (id, distance) of what Milvus finds."""


@final
@dataclass(frozen=True)
class Wanted:
    """What is wanted of each query.

    Attributes:
        k: how many; None for all within the radius.
        radius: in bits.
    """

    k: int | None
    radius: int

    def reach(self, found: Found) -> int:
        """Return the distance beyond which nothing is wanted, once these were found."""
        distances = found[1]
        if self.k is None or len(distances) < self.k:
            return self.radius
        return min(self.radius, int(np.partition(distances, self.k - 1)[self.k - 1]))

    def is_whole(self, found: Found, limit: int) -> bool:
        """Return whether nothing that is wanted was cut off, where `limit` were asked for."""
        return len(found[1]) < limit or int(found[1].max()) > self.reach(found)


def nearest(ask: Ask, codes: Sequence[bytes], wanted: Wanted, n_items: int, last_id: int) -> Hits:
    """Return the nearest items of each query, ranked by distance, then by id.

    Args:
        ask: what asks Milvus.
        codes: the queries.
        wanted: k and radius.
        n_items: how many items there are.
        last_id: the highest id that one can have.
    """
    if not codes or not n_items:
        return no_hits(len(codes))
    found: dict[int, Found] = {}
    limit = min(MOST, n_items + 1, (wanted.k or MOST // GROWTH) + BEYOND)
    pending = list(range(len(codes)))
    while pending:
        answers = _asked(ask, [codes[row] for row in pending], limit)
        found.update(zip(pending, answers, strict=True))
        pending = [row for row in pending if not wanted.is_whole(found[row], limit)]
        if limit >= MOST:
            break
        limit = min(MOST, limit * GROWTH)
    for row in pending:
        found[row] = _parted(ask, codes[row], wanted, found[row], last_id)
    return _ranked([found[row] for row in range(len(codes))], wanted)


def _parted(ask: Ask, code: bytes, wanted: Wanted, first: Found, last_id: int) -> Found:
    """Return what is wanted of a query of which `MOST` results are too few: searched in ranges of ids, until whole."""
    parts: list[tuple[int, int, Found]] = [(0, last_id, first)]
    whole: list[Found] = []
    within = wanted
    while parts:
        low, high, found = parts.pop()
        within = Wanted(within.k, within.reach(found))
        if within.is_whole(found, MOST):
            whole.append(found)
            continue
        middle = int(np.partition(found[0], len(found[0]) // 2 - 1)[len(found[0]) // 2 - 1])
        for begin, end in ((middle + 1, high), (low, middle)):
            parts.append((begin, end, _found(ask([code], MOST, (begin, end))[0])))
    ids, distances = (np.concatenate(column) for column in zip(*whole, strict=True))
    return ids, distances


def _asked(ask: Ask, codes: Sequence[bytes], limit: int) -> list[Found]:
    """Return what Milvus finds for codes, so many at once that an answer is of a moderate size."""
    step = max(1, PER_REQUEST // limit)
    return [
        _found(hits) for begin in range(0, len(codes), step) for hits in ask(codes[begin : begin + step], limit, None)
    ]


def _found(hits: Sequence[tuple[int, int]]) -> Found:
    table = np.array(hits, np.int64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].astype(np.int32)


def _ranked(found: Sequence[Found], wanted: Wanted) -> Hits:
    queries = np.repeat(np.arange(len(found)), [len(ids) for ids, _ in found])
    ids, distances = (np.concatenate(column) for column in zip(*found, strict=True))
    near = distances <= wanted.radius
    hits = ranked(queries[near], ids[near], distances[near], len(found))
    return hits if wanted.k is None else hits.first(wanted.k)
