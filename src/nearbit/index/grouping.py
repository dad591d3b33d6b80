"""Pairs of items within a radius, and the groups that they join: exact, whatever plan finds them.

A group is a connected component: two items are in one group where a chain of items leads from one to the other, each
at most `radius` bits from the next. The ends of a chain may lie farther apart; `Groups.distances` tells.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Distances
from nearbit.errors import InputError
from nearbit.index.arguments import check_whole
from nearbit.index.engine.layout import Layout, Words
from nearbit.index.engine.near_pairs import Places, near_pairs, with_distinct_places
from nearbit.index.live.snapshot import Snapshot, build_main
from nearbit.index.results import Ids

MOST_PAIRS = 10_000_000
"""Pairs that `pairs` returns at most, unless told otherwise: 200 MB."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class Pairs:
    """Pairs of items, by distance, then by the first and the second id.

    Attributes:
        first: int64 `(m,)`, the smaller id of each pair.
        second: int64 `(m,)`, the larger one.
        distances: int32 `(m,)`, in bits.
    """

    first: Ids
    second: Ids
    distances: Distances

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.first)

    def __repr__(self) -> str:
        """Return how many there are."""
        return f"Pairs({len(self)} pairs)"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Groups:
    """Groups of items, the largest first, then by their smallest id; the items of a group by id.

    Attributes:
        offsets: int64 `(n_groups + 1,)`: the items of group i are those from `offsets[i]` to `offsets[i + 1]`.
        ids: int64 `(total,)`.
        distances: int32 `(total,)`, in bits, to the first item of the group: beyond the radius where a chain led there.
    """

    offsets: npt.NDArray[np.int64]
    ids: Ids
    distances: Distances

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> Ids:
        """Return the ids of one group: int64, ascending."""
        if not -len(self) <= number < len(self):
            raise IndexError(f"group {number} of {len(self)}")
        at = number % len(self)
        return self.ids[self.offsets[at] : self.offsets[at + 1]]

    def __iter__(self) -> Iterator[Ids]:
        """Yield the ids of each group."""
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        """Return how many there are, and of how many items."""
        return f"Groups({len(self)} groups of {len(self.ids)} items)"


def pairs(snapshot: Snapshot, radius: int, most: int = MOST_PAIRS) -> Pairs:
    """Return all pairs of items at most `radius` bits apart.

    Args:
        snapshot: the items.
        radius: in bits.
        most: how many there may be.

    Raises:
        InputError: the radius is no whole number of at least 0, or there are more than `most` pairs.
    """
    limit = min(check_whole(radius, "radius (in bits)", 0), snapshot.n_bits)
    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))]
    if len(snapshot):
        ids, _, layout = settled(snapshot)
        total = 0
        for one in _portions(layout, snapshot.n_bits, limit):
            total += one.count(layout)
            if total > most:
                raise InputError(
                    f"more than {most} pairs lie within {radius} bits of each other: ask for a smaller radius, for "
                    "groups (which name each item once), or for most=N pairs"
                )
            found.append(one.rows(layout, ids))
    first, second, distances = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((second, first, distances))
    return Pairs(first[order], second[order], distances[order])


def groups(snapshot: Snapshot, radius: int) -> Groups:
    """Return the groups, of at least two items, that pairs at most `radius` bits apart join.

    Args:
        snapshot: the items.
        radius: in bits.

    Raises:
        InputError: the radius is no whole number of at least 0.
    """
    limit = min(check_whole(radius, "radius (in bits)", 0), snapshot.n_bits)
    if not len(snapshot):
        return Groups(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))
    ids, words, layout = settled(snapshot)
    of_place = np.arange(layout.n_places)
    if limit or layout.columns.shape[0] > 1:  # longer codes may be in two places
        for found in near_pairs(layout, snapshot.n_bits, limit):
            of_place = joined(of_place, found.first, found.second)
    of_row = np.empty(len(ids), np.int64)
    of_row[layout.rows] = np.repeat(of_place, layout.sizes)
    return _groups_of(of_row, ids, words)


def joined(component: Places, first: Places, second: Places) -> Places:
    """Return components, numbered from 0, after more of their members were joined: int `(n,)`.

    Args:
        component: the component of each member so far, `(n,)`, numbered from 0.
        first: members `(m,)`.
        second: members `(m,)`, each joined with the one in `first`.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = int(component.max(initial=-1)) + 1
    edges = component[first], component[second]
    graph = coo_array((np.ones(len(first), np.bool_), edges), (n, n))
    numbers: Places = connected_components(graph, directed=False)[1].astype(np.intp)
    return numbers[component]


def settled(snapshot: Snapshot) -> tuple[Ids, Words, Layout]:
    """Return the ids and words of all items by row, changes included, and the layout of their distinct codes."""
    main = snapshot.main
    if snapshot.pending():
        main = build_main(snapshot.items(), snapshot.state, snapshot.n_bits)
    return main.ids, main.words, with_distinct_places(main.structure, main.words)


@dataclass(frozen=True, eq=False)
class _Portion:
    """Pairs of places, each of which stands for all pairs of their rows; a place with itself for those of its own."""

    first: Places
    second: Places
    distances: npt.NDArray[Any]

    def count(self, layout: Layout) -> int:
        """Return for how many pairs of rows they stand."""
        sizes = layout.sizes
        a, b = sizes[self.first], sizes[self.second]
        return int(np.where(self.first == self.second, a * (a - 1) // 2, a * b).sum())

    def rows(self, layout: Layout, ids: Ids) -> tuple[Ids, Ids, Distances]:
        """Return these pairs by id, the smaller one first, in no order."""
        sizes = layout.sizes
        a, b = sizes[self.first], sizes[self.second]
        pair = np.repeat(np.arange(len(a)), a * b)
        within = np.arange(len(pair)) - np.repeat(np.cumsum(a * b) - a * b, a * b)
        one, other = within // b[pair], within % b[pair]
        kept = (self.first[pair] != self.second[pair]) | (one < other)
        pair, one, other = pair[kept], one[kept], other[kept]
        left = ids[layout.rows[layout.offsets[self.first[pair]].astype(np.int64) + one]]
        right = ids[layout.rows[layout.offsets[self.second[pair]].astype(np.int64) + other]]
        return np.minimum(left, right), np.maximum(left, right), self.distances[pair].astype(np.int32)


def _portions(layout: Layout, n_bits: int, radius: int) -> Iterator[_Portion]:
    equal = np.flatnonzero(layout.sizes > 1)
    yield _Portion(equal, equal, np.zeros(len(equal), np.uint16))
    for found in near_pairs(layout, n_bits, radius):
        yield _Portion(*found)


def _groups_of(component: npt.NDArray[np.int64], ids: Ids, words: Words) -> Groups:
    """Return the components that have several rows; `component` is that of each row, rows ascend by id."""
    order = np.argsort(component, kind="stable")
    starts = np.flatnonzero(np.diff(component[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    several = np.flatnonzero(sizes > 1)
    several = several[np.lexsort((ids[order[starts[several]]], -sizes[several]))]
    starts, sizes = starts[several], sizes[several]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    at = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes)
    rows, heads = order[at], np.repeat(order[starts], sizes)
    away = np.zeros(len(rows), np.int32)
    for column in words.T:
        away += np.bitwise_count(column[rows] ^ column[heads])
    return Groups(offsets, ids[rows], away)
