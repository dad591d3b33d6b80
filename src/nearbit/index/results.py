"""What an index gives back: ranked results of a search, and stored items."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, Distances

Ids = npt.NDArray[np.int64]

PADDING = -1
"""Id and distance of the places that a row of results does not fill."""


@dataclass(frozen=True, eq=False)
class Results:
    """The nearest items of each query, ranked by distance (or weighted distance), then by id.

    Attributes:
        ids: int64 `(n, k)`; -1 where a query has fewer than `k` items.
        distances: int32 `(n, k)`, in bits; -1 in the same places.
        weighted: float64 `(n, k)`, the weighted distances that an asymmetric search ranked by, -1 in the same places;
            None of a search by distance.
    """

    ids: Ids
    distances: Distances
    weighted: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.ids)

    def pairs(self, query: int) -> list[tuple[int, int]]:
        """Return (id, distance) of each item found for query number `query`, in rank order, without padding."""
        found = self.ids[query] != PADDING
        return list(zip(self.ids[query][found].tolist(), self.distances[query][found].tolist(), strict=True))


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


def padded(offsets: npt.NDArray[np.int64], ids: Ids, distances: Distances, k: int | None) -> Results:
    """Return ranked hits as one table, padded with -1 to `k` columns, or to the longest row where `k` is None.

    Args:
        offsets: int64 `(q + 1,)`: the hits of query i are those from `offsets[i]` to `offsets[i + 1]`.
        ids: int64 `(total,)`.
        distances: int32 `(total,)`.
        k: the number of columns.
    """
    counts = np.diff(offsets)
    width = k if k is not None else int(counts.max(initial=0))
    table_ids = np.full((len(counts), width), PADDING, np.int64)
    table_distances = np.full((len(counts), width), PADDING, np.int32)
    filled = np.arange(width) < counts[:, None]
    table_ids[filled], table_distances[filled] = ids, distances
    return Results(table_ids, table_distances)
