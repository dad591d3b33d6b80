"""Which rings of which pivots a search must look at: the triangle inequality, on the numbers that the server keeps."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import as_words, word_distances
from nearbit.index.engine.distinct import distinct_codes
from nearbit.index.engine.layout import Words
from nearbit.index.engine.pivots import find_pivots, nearest_pivots
from nearbit.index.homes.postgresql.connections import Connection
from nearbit.index.homes.postgresql.rows import codes_of
from nearbit.index.homes.postgresql.schema import Tables

Whole = npt.NDArray[np.int32]
Ranges = tuple[list[int], list[int], list[int]]
"""Pivots, and the first and last distance from each at which codes are looked at."""

NO_PIVOT = -1
"""The pivot of all codes of an index that has none yet; their distance is 0."""

FEWEST_CODES = 4_096
"""Below it, all codes are looked at: pivots would save nothing."""

GROWTH = 4
"""Pivots are chosen anew once the codes are so many times those that they were chosen for."""

MOST_PAIRS_IN_NUMPY = 4_000_000
"""Codes times pivots beyond which the compiled search for the nearest pivot is worth loading."""


@final
@dataclass(frozen=True, eq=False)
class Pivots:
    """The pivots of an index, and about how many codes lie where.

    Attributes:
        version: of the pivots and of how far their codes reach; 0 for none.
        words: uint64 `(p, words)`.
        nearest, farthest: int32 `(p,)`, between which distances from the pivot its codes lie.
        rings: int32 `(r, 2)`, pivot and distance of the rings that had codes when this was read.
        counts: int64 `(r,)`, how many each had.
    """

    version: int
    words: Words
    nearest: Whole
    farthest: Whole
    rings: Whole
    counts: npt.NDArray[np.int64]

    @property
    def total(self) -> int:
        """How many codes there were."""
        return int(self.counts.sum())

    def distances(self, query: Words) -> Whole:
        """Return the distances of a query, uint64 `(words,)`, to all pivots: int32 `(p,)`."""
        return word_distances(query, self.words)

    def first_reach(self, distances: Whole, n_codes: int) -> int:
        """Return the radius within which about `n_codes` codes are looked at, at least."""
        bounds = np.abs(distances[self.rings[:, 0]] - self.rings[:, 1])
        order = np.argsort(bounds, kind="stable")
        place = min(int(np.searchsorted(np.cumsum(self.counts[order]), n_codes)), len(order) - 1)
        return int(bounds[order[place]])

    def ranges(self, distances: Whole, reach: int) -> Ranges:
        """Return where codes within `reach` bits of a query at these distances from the pivots can lie."""
        low = np.maximum(distances - reach, self.nearest)
        high = np.minimum(distances + reach, self.farthest)
        chosen = np.flatnonzero(low <= high)
        return chosen.tolist(), low[chosen].tolist(), high[chosen].tolist()

    def share(self, distances: Whole, reach: int) -> float:
        """Return about which share of the codes such a search looks at."""
        bounds = np.abs(distances[self.rings[:, 0]] - self.rings[:, 1])
        return float(self.counts[bounds <= reach].sum() / max(1, self.total))

    def assigned(self, words: Words) -> tuple[Whole, Whole]:
        """Return the nearest pivot (the first of equals) of codes uint64 `(n, words)`, and the distance to it."""
        if not len(self.words) or not len(words):
            return np.full(len(words), NO_PIVOT, np.int32), np.zeros(len(words), np.int32)
        if len(words) * len(self.words) > MOST_PAIRS_IN_NUMPY:
            return _assigned_by_kernel(words, self.words)
        near, how_far = np.zeros(len(words), np.int32), word_distances(self.words[0], words)
        for number, pivot in enumerate(self.words[1:], start=1):
            distances = word_distances(pivot, words)
            closer = distances < how_far
            how_far[closer], near[closer] = distances[closer], number
        return near, how_far


def _assigned_by_kernel(words: Words, pivots: Words) -> tuple[Whole, Whole]:
    near, how_far = np.empty(len(words), np.uint16), np.empty(len(words), np.uint16)
    columns = np.ascontiguousarray(words.T)
    nearest_pivots(columns, 0, len(words), np.ascontiguousarray(pivots.T), near, how_far)
    return near.astype(np.int32), how_far.astype(np.int32)


def no_pivots(n_words: int) -> Pivots:
    """Return what an index without pivots has."""
    none = np.empty(0, np.int32)
    return Pivots(0, np.empty((0, n_words), np.uint64), none, none, np.empty((0, 2), np.int32), np.empty(0, np.int64))


def read_pivots(connection: Connection, tables: Tables, version: int) -> Pivots:
    """Return the pivots of the state that a transaction sees."""
    rows: list[Any] = connection.execute(
        f"SELECT code::text, nearest, farthest FROM {tables.pivots} ORDER BY pivot"
    ).fetchall()
    rings: list[Any] = connection.execute(
        f"SELECT pivot, distance, count(*) FROM {tables.codes} WHERE pivot >= 0 GROUP BY pivot, distance"
    ).fetchall()
    table = np.array(rings, np.int64).reshape(-1, 3)
    return Pivots(
        version,
        as_words(codes_of([row[0] for row in rows], tables.n_bits)),
        np.array([row[1] for row in rows], np.int32),
        np.array([row[2] for row in rows], np.int32),
        table[:, :2].astype(np.int32),
        table[:, 2].copy(),
    )


def chosen_pivots(words: Words, n_bits: int) -> Words:
    """Return pivots for distinct codes uint64 `(n, words)`: uint64 `(p, words)`, the same ones each time."""
    found = find_pivots(distinct_codes(words), n_bits, None)
    return np.ascontiguousarray(found.T)


@final
class Known:
    """The pivots of an index, read once for each version, by whichever thread asks first.

    Attributes:
        latest: those that were asked for last.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.latest = no_pivots(-(-tables.n_bits // 64))

    def __call__(self, connection: Connection, version: int) -> Pivots:
        """Return the pivots of a version, which the state that the transaction sees has."""
        found = self.latest
        if found.version != version:
            found = self.latest = read_pivots(connection, self._tables, version)
        return found
