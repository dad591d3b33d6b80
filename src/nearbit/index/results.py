"""What a search finds, ragged, from the search structure to the caller; and what an index gives back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, TypeVar, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, Distances
from nearbit.index.showing import Source, frame_of, html_of

Ids = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)

PADDING = -1
"""Id and distance of the places that a row of results does not fill."""
SHOWN = 5
"""Hits that are shown as text."""


@dataclass(frozen=True, eq=False)
class Hits:
    """What a search found, query after query, each in rank order: by distance (or weighted distance), then by id.

    Attributes:
        offsets: int64 `(q + 1,)`: the hits of query i are those from `offsets[i]` to `offsets[i + 1]`.
        ids: int64 `(total,)`; the numbers of rows, where only a search structure was searched.
        distances: int32 `(total,)`, in bits.
        weighted: `(total,)`, the weighted distances that an asymmetric search ranks by: int64 in units of the query
            while it searches, float64 in what it returns; None of a search by distance.
    """

    offsets: Counts
    ids: Ids
    distances: Distances
    weighted: npt.NDArray[Any] | None = None

    @classmethod
    def in_sequence(cls, sizes: Counts, ids: Ids, distances: Distances, weighted: Any = None) -> Self:
        """Return hits that lie query after query, so many of each."""
        offsets = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        return cls(offsets, ids, distances, weighted)

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.offsets) - 1

    @property
    def sizes(self) -> Counts:
        """How many hits each query has: int64 `(q,)`."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def queries(self) -> npt.NDArray[np.intp]:
        """The query of each hit: `(total,)`, ascending."""
        return np.repeat(np.arange(len(self)), self.sizes)

    def numbered(self, ids: npt.NDArray[np.integer[Any]]) -> "Hits":
        """Return hits among rows by the ids of these rows, which ascend."""
        return Hits(self.offsets, ids[self.ids].astype(np.int64, copy=False), self.distances, self.weighted)

    def first(self, k: int) -> "Hits":
        """Return the first `k` hits of each query."""
        sizes = self.sizes
        if not (sizes > k).any():
            return self
        kept = np.arange(len(self.ids)) - np.repeat(self.offsets[:-1], sizes) < k
        weighted = None if self.weighted is None else self.weighted[kept]
        return Hits.in_sequence(np.minimum(sizes, k), self.ids[kept], self.distances[kept], weighted)

    def picked(self, begins: Counts, sizes: Counts) -> "Hits":
        """Return hits of which those of query i are the `sizes[i]` from `begins[i]` on in these arrays."""
        if len(sizes) == 1 and sizes[0] == len(self.ids):
            return Hits.in_sequence(sizes, self.ids, self.distances, self.weighted)
        at = np.arange(sizes.sum()) + np.repeat(begins - np.cumsum(sizes) + sizes, sizes)
        weighted = None if self.weighted is None else self.weighted[at]
        return Hits.in_sequence(sizes, self.ids[at], self.distances[at], weighted)

    def lowered(self, limits: npt.NDArray[Number], k: int | None) -> npt.NDArray[Number]:
        """Return the distances `(q,)` beyond which nothing can come among the first `k` of each query, as `limits`."""
        if k is None:
            return limits
        full = self.sizes >= k
        ranking = self.distances if self.weighted is None else self.weighted
        lower = limits.copy()
        lower[full] = np.minimum(limits[full], ranking[self.offsets[:-1][full] + k - 1])
        return lower


def no_hits(n_query: int, weighted: npt.NDArray[Any] | None = None) -> Hits:
    """Return the hits of queries that found nothing."""
    return Hits(np.zeros(n_query + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int32), weighted)


def ranked(
    queries: npt.NDArray[np.intp],
    ids: Ids,
    distances: Distances,
    n_query: int,
    weighted: npt.NDArray[Any] | None = None,
) -> Hits:
    """Return hits in any order, each with its query, as one ranking a query."""
    order = np.lexsort((ids, distances if weighted is None else weighted, queries))
    sizes = np.bincount(queries, minlength=n_query)
    return Hits.in_sequence(sizes, ids[order], distances[order], None if weighted is None else weighted[order])


def merged(parts: Sequence[Hits], k: int | None) -> Hits:
    """Return the hits of the same queries in several parts, ranked, at most `k` a query; no id is in two of them."""
    found = [part for part in parts if len(part.ids)]
    whole = found[0] if found else parts[0]
    if len(found) > 1:
        queries, ids, distances, weighted = _joined(found, "queries")
        whole = ranked(queries, ids, distances, len(whole), weighted)
    return whole if k is None else whole.first(k)


def stacked(parts: Sequence[Hits]) -> Hits:
    """Return the hits of queries that were searched in blocks, in order."""
    return parts[0] if len(parts) == 1 else Hits.in_sequence(*_joined(parts, "sizes"))


def _joined(parts: Sequence[Hits], first: str) -> tuple[Any, Any, Any, Any]:
    """Return what `first` names, the ids, the distances and the weighted distances of all parts, one after another."""
    columns = ([getattr(part, name) for part in parts] for name in (first, "ids", "distances", "weighted"))
    named, ids, distances, weighted = (None if own[0] is None else np.concatenate(own) for own in columns)
    return named, ids, distances, weighted


@final
@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """The nearest items of each query, ranked by distance (or weighted distance), then by id.

    Attributes:
        hits: all of them, ragged: what the search found, as it found it.
        k: the number of columns of the tables; None for that of the longest row.
        ids: int64 `(n, k)`; -1 where a query has fewer than `k` items.
        distances: int32 `(n, k)`, in bits; -1 in the same places.
        weighted: float64 `(n, k)`, the weighted distances that an asymmetric search ranked by, -1 in the same places;
            None of a search by distance.
        index: the index that was searched, for paths and labels.
    """

    hits: Hits
    k: int | None
    index: Source | None = None

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.hits)

    def __repr__(self) -> str:
        """Return how much was found, and the first hits of the first query."""
        first = self.pairs(0) if len(self) else []
        shown = ", ".join(f"{item_id} at {distance}" for item_id, distance in first[:SHOWN])
        more = ", …" if len(first) > SHOWN else ""
        found = f"; the first: {shown}{more}" if first else ""
        return f"Results({len(self)} queries, {len(self.hits.ids)} hits{found})"

    def _repr_html_(self) -> str:
        """Return the first hits as a notebook shows them: pictures, distances, labels and paths."""
        return html_of(self)

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with a row for each hit: query, rank, id, distance, path and labels.

        After an asymmetric search with `weighted`, too. Without the index (closed, or an item removed since) it fails.

        Raises:
            MissingExtraError: pandas is not installed.
            IndexFileError, InputError: the index was closed, or an item was removed.
        """
        return frame_of(self)

    @cached_property
    def ids(self) -> Ids:
        """The ids as a table."""
        return self._table(self.hits.ids)

    @cached_property
    def distances(self) -> Distances:
        """The distances as a table."""
        return self._table(self.hits.distances)

    @cached_property
    def weighted(self) -> npt.NDArray[np.float64] | None:
        """The weighted distances as a table."""
        return None if self.hits.weighted is None else self._table(self.hits.weighted)

    def pairs(self, query: int) -> list[tuple[int, int]]:
        """Return (id, distance) of each item found for query number `query`, in rank order, without padding."""
        begin, end = self.hits.offsets[:-1][query], self.hits.offsets[1:][query]
        return list(zip(self.hits.ids[begin:end].tolist(), self.hits.distances[begin:end].tolist(), strict=True))

    @cached_property
    def _width(self) -> int:
        """The number of columns."""
        return int(self.hits.sizes.max(initial=0)) if self.k is None else self.k

    @cached_property
    def _filled(self) -> npt.NDArray[np.bool_]:
        """Which places of the tables are filled."""
        return np.arange(self._width) < self.hits.sizes[:, None]

    def _table(self, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """Return a value of each hit as a table, padded with -1."""
        shape = (len(self), self._width)
        if len(values) == shape[0] * shape[1]:  # nothing to pad
            return values.reshape(shape)
        table = np.full(shape, PADDING, values.dtype)
        table[self._filled] = values
        return table


@dataclass(frozen=True, eq=False)
class Item:
    """One stored item.

    Attributes:
        id: its number, 0 or more.
        code: uint8 `(ceil(n_bits / 8),)`.
        path: where its image lies, or None.
        labels: its labels, in the order given.
        digest: content hash of its image, or None.
        metadata: everything else that came with it.
    """

    id: int
    code: Codes
    path: str | None = None
    labels: tuple[str, ...] = ()
    digest: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
