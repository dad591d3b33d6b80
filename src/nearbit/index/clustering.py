"""Clusters of an index's items by their codes, each with a typical item."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, Distances
from nearbit.errors import InputError
from nearbit.index.arguments import check_whole
from nearbit.index.engine.majorities import MOST_CENTERS, majorities
from nearbit.index.grouping import settled
from nearbit.index.live.snapshot import Snapshot, codes_of
from nearbit.index.results import Ids

ROUNDS = 100
"""How often centers move, at most."""
MOST_USUAL = 100
"""Clusters that are made at most where no number was asked for."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class Clusters:
    """Clusters of items, the largest first, then by the id of the typical item.

    Attributes:
        centers: uint8 `(n_clusters, ceil(n_bits / 8))`: the majority of each cluster's codes, bit by bit.
        offsets: int64 `(n_clusters + 1,)`: the items of cluster i are those from `offsets[i]` to `offsets[i + 1]`.
        ids: int64 `(n,)`, in each cluster by distance to its center, then by id: the first one is the typical item.
        distances: int32 `(n,)`, to the center of the own cluster, in bits.
        has_settled: whether no item changed its cluster in the last round.
    """

    centers: Codes
    offsets: npt.NDArray[np.int64]
    ids: Ids
    distances: Distances
    has_settled: bool

    def __len__(self) -> int:
        """Return the number of clusters."""
        return len(self.centers)

    def __getitem__(self, number: int) -> Ids:
        """Return the ids of one cluster: int64, the typical item first."""
        if not -len(self) <= number < len(self):
            raise IndexError(f"cluster {number} of {len(self)}")
        at = number % len(self)
        return self.ids[self.offsets[at] : self.offsets[at + 1]]

    def __repr__(self) -> str:
        """Return how many there are, and of how many items."""
        return f"Clusters({len(self)} clusters of {len(self.ids)} items)"

    @property
    def typical(self) -> Ids:
        """The typical item of each cluster: int64 `(n_clusters,)`."""
        return self.ids[self.offsets[:-1]]

    @property
    def mean_distance(self) -> float:
        """The mean distance of an item to the center of its cluster, in bits; 0 of an empty index."""
        return float(self.distances.mean()) if len(self.ids) else 0.0


def usual_number(n_distinct: int) -> int:
    """Return how many clusters are made where none were asked for: the root of half the distinct codes, 1 to 100."""
    return max(1, min(MOST_USUAL, math.isqrt(n_distinct // 2)))


def clusters(snapshot: Snapshot, n: int | None) -> Clusters:
    """Return the clusters of items around `n` centers; see `nearbit.index.engine.majorities`.

    Args:
        snapshot: the items.
        n: how many clusters; there are fewer where there are fewer distinct codes. None for `usual_number`.

    Raises:
        InputError: `n` is no whole number from 1 to 65,535.
    """
    if n is not None and check_whole(n, "the number of clusters", 1) > MOST_CENTERS:
        raise InputError(f"the number of clusters must be at most {MOST_CENTERS}, not {n}")
    if not len(snapshot):
        return Clusters(codes_of(snapshot.delta.words, snapshot.n_bits), *_nothing(), True)
    ids, _, layout = settled(snapshot)
    sizes = layout.sizes
    found = majorities(layout.columns, sizes, n or usual_number(layout.n_places), ROUNDS)
    near, away = np.empty(len(ids), np.int64), np.empty(len(ids), np.int32)
    near[layout.rows], away[layout.rows] = np.repeat(found.near, sizes), np.repeat(found.distances, sizes)
    order = np.lexsort((ids, away, near))
    counts = np.bincount(near, minlength=found.centers.shape[1])
    first = np.cumsum(counts) - counts
    ranking = np.lexsort((ids[order[first]], -counts))
    offsets = np.concatenate([[0], np.cumsum(counts[ranking])]).astype(np.int64)
    at = order[np.arange(len(ids)) + np.repeat(first[ranking] - offsets[:-1], counts[ranking])]
    centers = codes_of(np.ascontiguousarray(found.centers[:, ranking].T), snapshot.n_bits)
    return Clusters(centers, offsets, ids[at], away[at], found.has_settled)


def _nothing() -> tuple[npt.NDArray[np.int64], Ids, Distances]:
    return np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0, np.int32)
