"""Ragged results: for each query its rows, ranked by distance, then by row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Distances
from nearbit.index.engine.brute_force import RankedIds

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RankedRows:
    """What a search found, query after query, each ranked by distance, then by row.

    Attributes:
        offsets: int64 `(q + 1,)`: the results of query i are those from `offsets[i]` to `offsets[i + 1]`.
        rows: int64 `(total,)`.
        distances: int32 `(total,)`, in bits.
    """

    offsets: Counts
    rows: Counts
    distances: Distances


def ranked_of(found: RankedIds) -> RankedRows:
    """Return what was found among rows."""
    return RankedRows(found.offsets, found.ids, found.distances)


def no_hits(n_query: int) -> RankedRows:
    """Return the results of queries that found nothing."""
    return RankedRows(np.zeros(n_query + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))


def in_sequence(sizes: Counts, rows: npt.NDArray[Any], distances: Distances) -> RankedRows:
    """Return results that lie query after query."""
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return RankedRows(offsets, rows, distances)


def gathered(begins: Counts, sizes: Counts, rows: Counts, distances: Distances) -> RankedRows:
    """Return results of which those of query i are the `sizes[i]` from `begins[i]` on."""
    if len(sizes) == 1:
        return in_sequence(sizes, rows, distances)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    order = np.arange(offsets[-1]) + np.repeat(begins - offsets[:-1], sizes)
    return RankedRows(offsets, rows[order], distances[order])


def stacked(parts: list[RankedRows]) -> RankedRows:
    """Return the results of queries that were searched in blocks, in order."""
    if len(parts) == 1:
        return parts[0]
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    rows, distances = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "distances"))
    return in_sequence(sizes, rows, distances)


def filled(
    begins: Counts, sizes: Counts, rows: Counts, distances: Distances, late: RankedRows, is_late: Any
) -> RankedRows:
    """Return results of which some queries', those marked, were found later."""
    sizes, begins = sizes.copy(), begins.copy()
    sizes[is_late] = np.diff(late.offsets)
    begins[is_late] = len(rows) + late.offsets[:-1]
    return gathered(begins, sizes, np.concatenate([rows, late.rows]), np.concatenate([distances, late.distances]))
