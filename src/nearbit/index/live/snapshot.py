"""The search side of an index: one state of its items in memory, never changed in place.

A snapshot is a large *base*, built once, and what changed since: a short *tail* of items that are new or in the place
of old ones, and marks on the rows of the base that are *gone*. Its searches are exact at all times; a merge, which
makes a new base of all three, only makes them faster.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, as_words, n_bytes
from nearbit.index.engine.brute_force import Found, Rows, Words, last_distances, plain_search, together
from nearbit.index.engine.structure import Structure, build_structure
from nearbit.index.results import Ids, Results, padded
from nearbit.index.storage.change_log import Runs, State, in_runs, runs_of
from nearbit.index.storage.label_sets import LabelSets, SetNumbers
from nearbit.index.storage.loading import Loaded

Marks = npt.NDArray[np.bool_]

PADDED = 1000
"""Up to so many columns, a table of results is padded to the `k` asked for, however few items there are."""


@dataclass(frozen=True, eq=False)
class Base:
    """All items of one state, with their search structure; rows are numbered by ascending id.

    Attributes:
        ids: int64 `(n,)`, ascending.
        words: uint64 `(n, words)`.
        sets: int32 `(n,)`, label sets by number, or None where they are not kept.
        structure: finds the nearest rows.
        state: the state of the file that these items are.
    """

    ids: Ids
    words: Words
    sets: SetNumbers | None
    structure: Structure
    state: State


@dataclass(frozen=True, eq=False)
class Subset:
    """Some items of a snapshot: rows of the base and of the tail, both ascending; rows that are gone do not count."""

    base: Rows
    tail: Rows


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All items of one state of the file.

    Attributes:
        base: the items of an older state.
        state: the state that this is.
        n_bits: code length in bits.
        labels: the sets that `sets` number, shared with other snapshots; None where no sets are kept.
        tail: the items that came since, by id.
        gone: bool `(n,)`, the rows of the base that were removed or replaced since; None for none.
    """

    base: Base
    state: State
    n_bits: int
    labels: LabelSets | None
    tail: Loaded
    gone: Marks | None = None

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.base.ids) + len(self.tail.ids) - self.n_gone

    @property
    def has_sets(self) -> bool:
        """Whether the label sets of all items are here."""
        return self.labels is not None and self.base.sets is not None and self.tail.sets is not None

    @property
    def n_gone(self) -> int:
        """How many rows of the base are gone."""
        return 0 if self.gone is None else int(self.gone.sum())

    def items(self) -> Loaded:
        """Return all items by id: those of the base that are left, and those of the tail."""
        base, tail = self.base, self.tail
        left = Loaded(base.ids, base.words, base.sets)
        if not len(tail.ids) and self.gone is None:
            return left
        return _merged(left if self.gone is None else _chosen(left, ~self.gone), tail)

    def n_distinct(self) -> int:
        """Return how many distinct codes the items have."""
        base = self.base.words if self.gone is None else self.base.words[~self.gone]
        words = np.concatenate([base, self.tail.words])
        return len(np.unique(words if words.shape[1] == 1 else words.view(f"V{8 * words.shape[1]}")))

    def codes(self) -> Codes:
        """Return the codes uint8 `(n, ceil(n_bits / 8))` of all items by id; a copy."""
        return codes_of(self.items().words, self.n_bits)

    def search(self, codes: Codes, *, k: int | None, radius: int | None, only: Subset | None) -> Results:
        """Return the nearest items of each code uint8 `(q, ceil(n_bits / 8))`; see `nearest`.

        A `k` beyond both `PADDED` and the number of items is that number: no room is made for what cannot come.
        """
        most = k if k is None or k <= PADDED else min(k, max(1, len(self)))
        found = self.nearest(as_words(codes), k=most, radius=radius, only=only)
        return padded(found.offsets, found.ids, found.distances, most)

    def nearest(self, queries: Words, *, k: int | None, radius: int | None, only: Subset | None = None) -> Found:
        """Return the nearest items of each query, ranked by distance, then by id.

        Args:
            queries: uint64 `(q, words)`.
            k: the most items of a query; None for no limit.
            radius: the largest distance, in bits; None for no limit.
            only: the items to look at; None for all.
        """
        allowed = None if only is None else only.base
        rows = self.base.structure.nearest(queries, k=k, radius=radius, allowed=allowed, excluded=self.gone)
        found = Found(rows.offsets, self.base.ids[rows.rows], rows.distances)
        tail = self.tail.words if only is None else self.tail.words[only.tail]
        if not len(tail):
            return found
        ids = self.tail.ids if only is None else self.tail.ids[only.tail]
        limits = last_distances(found, k, self.n_bits if radius is None else min(radius, self.n_bits))
        return together(found, plain_search(queries, tail, ids, k=k, limits=limits), k)

    def subset(self, ids: Ids) -> Subset:
        """Return those items that have one of the ids."""
        return Subset(_rows_of(self.base.ids, ids), _rows_of(self.tail.ids, ids))

    def ids_of(self, subset: Subset) -> Ids:
        """Return the ids of some items, in no order."""
        return np.concatenate([self.base.ids[subset.base], self.tail.ids[subset.tail]])

    def label_counts(self) -> dict[str, int] | None:
        """Return how many items have each label, sorted by label; None where label sets are not kept."""
        sets = self.items().sets
        return None if self.labels is None or sets is None else self.labels.counts(sets)

    def labelled(self, wanted: tuple[str, ...]) -> Subset | None:
        """Return the items that have at least one of the labels; None where label sets are not kept."""
        if self.labels is None or self.base.sets is None or self.tail.sets is None:
            return None
        having = self.labels.having(wanted)
        base = having[self.base.sets]
        if self.gone is not None:
            base &= ~self.gone
        return Subset(np.flatnonzero(base), np.flatnonzero(having[self.tail.sets]))

    def changed(self, touched: Runs, now: Loaded, state: State) -> "Snapshot":
        """Return the snapshot of a later state.

        Args:
            touched: the runs of ids that were added, replaced or removed since this one.
            now: what the later state holds of them.
            state: the later state.
        """
        gone = _with_marks(self.gone, self.base.ids, touched)
        kept = _chosen(self.tail, ~in_runs(self.tail.ids, touched))
        return replace(self, state=state, gone=gone, tail=_merged(kept, now))

    def rebased(self, older: "Snapshot", base: Base) -> "Snapshot":
        """Return this snapshot on a base that was built from an older snapshot of the same base."""
        touched = np.concatenate([_differing(older.tail, self.tail), self.base.ids[_newly(older.gone, self.gone)]])
        runs = runs_of(touched)
        return fresh_snapshot(base, self.n_bits, self.labels).changed(
            runs, _chosen(self.tail, in_runs(self.tail.ids, runs)), self.state
        )

    def pending(self) -> int:
        """Return how many changes a merge would take into the base."""
        return len(self.tail.ids) + self.n_gone


def build_base(items: Loaded, state: State, n_bits: int) -> Base:
    """Build the search structure of all items of one state."""
    return Base(items.ids, items.words, items.sets, build_structure(items.words, n_bits), state)


def fresh_snapshot(base: Base, n_bits: int, labels: LabelSets | None) -> Snapshot:
    """Return the snapshot that is a base and nothing more."""
    empty = np.empty(0, np.int32)
    tail = Loaded(np.empty(0, np.int64), base.words[:0], None if base.sets is None else empty)
    return Snapshot(base, base.state, n_bits, None if base.sets is None else labels, tail)


def with_sets(snapshot: Snapshot, labels: LabelSets, ids: Ids, sets: SetNumbers) -> Snapshot:
    """Return a snapshot with the label sets of all its items; `ids` and `sets` hold them by id."""
    base = np.zeros(len(snapshot.base.ids), np.int32)
    base_rows = _rows_of(snapshot.base.ids, ids)
    base[base_rows] = sets[np.searchsorted(ids, snapshot.base.ids[base_rows])]
    tail = sets[np.searchsorted(ids, snapshot.tail.ids)]
    return replace(
        snapshot, labels=labels, base=replace(snapshot.base, sets=base), tail=replace(snapshot.tail, sets=tail)
    )


def codes_of(words: Words, n_bits: int) -> Codes:
    """Return words as codes uint8 `(n, ceil(n_bits / 8))`; a copy."""
    return np.ascontiguousarray(words).view(np.uint8)[:, : n_bytes(n_bits)].copy()


def _with_marks(gone: Marks | None, ids: Ids, touched: Runs) -> Marks | None:
    """Return the marks with the rows of the touched ids marked too."""
    firsts = np.searchsorted(ids, touched[:, 0], side="left")
    ends = np.searchsorted(ids, touched[:, 1], side="right")
    some = ends > firsts
    if not some.any():
        return gone
    marks = np.zeros(len(ids), np.bool_) if gone is None else gone.copy()
    for first, end in zip(firsts[some].tolist(), ends[some].tolist(), strict=True):
        marks[first:end] = True
    return marks


def _newly(before: Marks | None, after: Marks | None) -> Rows:
    """Return the rows that are marked after and not before; marks are never taken away."""
    if after is None:
        return np.empty(0, np.intp)
    return np.flatnonzero(after if before is None else after & ~before)


def _differing(a: Loaded, b: Loaded) -> Ids:
    """Return the ids that are in one of the two only, or in both with another code or label set."""
    in_both, rows_a, rows_b = np.intersect1d(a.ids, b.ids, assume_unique=True, return_indices=True)
    other = (a.words[rows_a] != b.words[rows_b]).any(axis=1)
    if a.sets is not None and b.sets is not None:
        other |= a.sets[rows_a] != b.sets[rows_b]
    return np.concatenate([np.setxor1d(a.ids, b.ids, assume_unique=True), in_both[other]])


def _rows_of(ids: Ids, wanted: Ids) -> Rows:
    """Return the rows of those `wanted` ids that are among `ids`, which ascend; ascending."""
    values = np.unique(wanted)
    rows = np.searchsorted(ids, values)
    inside = rows < len(ids)
    rows, values = rows[inside], values[inside]
    return np.asarray(rows[ids[rows] == values], dtype=np.intp)


def _chosen(items: Loaded, rows: Rows | Marks) -> Loaded:
    return Loaded(items.ids[rows], items.words[rows], None if items.sets is None else items.sets[rows])


def _merged(a: Loaded, b: Loaded) -> Loaded:
    """Return the items of both by id; without sets where one of them has none."""
    ids, words = np.concatenate([a.ids, b.ids]), np.concatenate([a.words, b.words])
    sets = None if a.sets is None or b.sets is None else np.concatenate([a.sets, b.sets])
    order = np.argsort(ids, kind="stable")
    return _chosen(Loaded(ids, words, sets), order)
