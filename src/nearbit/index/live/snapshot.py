"""The search side of an index: one state of its items in memory, never changed in place.

A snapshot is a large *main segment*, built once, and what changed since: a short *delta* of items that are new or in
the place of old ones, and *tombstones* on the rows of the main segment that were removed or replaced. Its searches are
exact at all times; a merge, which makes a new main segment of all three, only makes them faster.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, as_words, n_bytes
from nearbit.index.engine.layout import RowNumbers, Words
from nearbit.index.engine.structure import Structure, brute_force_search, build_structure
from nearbit.index.live.postings import Postings, rows_having
from nearbit.index.results import Hits, Ids, merged
from nearbit.index.storage.change_log import Runs, State, in_runs, runs_of
from nearbit.index.storage.label_sets import LabelSets, SetNumbers
from nearbit.index.storage.loading import StoredItems

Marks = npt.NDArray[np.bool_]

PADDED = 1000
"""Up to so many columns, a table of results is padded to the `k` asked for, however few items there are."""


@dataclass(frozen=True, eq=False)
class MainSegment:
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

    @cached_property
    def postings(self) -> Postings | None:
        """The rows by label set; None where sets are not kept."""
        return None if self.sets is None else Postings(self.sets)


@dataclass(frozen=True, eq=False)
class Subset:
    """Some items of a snapshot: rows of the main segment and the delta, both ascending; without tombstones."""

    main: RowNumbers
    delta: RowNumbers


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All items of one state of the file.

    Attributes:
        main: the items of an older state.
        state: the state that this is.
        n_bits: code length in bits.
        labels: the sets that `sets` number, shared with other snapshots; None where no sets are kept.
        delta: the items that came since, by id.
        tombstones: bool `(n,)`, the rows of the main segment that were removed or replaced since; None for none.
    """

    main: MainSegment
    state: State
    n_bits: int
    labels: LabelSets | None
    delta: StoredItems
    tombstones: Marks | None = None

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.main.ids) + len(self.delta.ids) - self.n_tombstones

    @property
    def has_sets(self) -> bool:
        """Whether the label sets of all items are here."""
        return self.labels is not None and self.main.sets is not None and self.delta.sets is not None

    @property
    def n_tombstones(self) -> int:
        """How many rows of the main segment have a tombstone."""
        return 0 if self.tombstones is None else int(self.tombstones.sum())

    def items(self) -> StoredItems:
        """Return all items by id: those of the main segment that are left, and those of the delta."""
        main, delta = self.main, self.delta
        left = StoredItems(main.ids, main.words, main.sets)
        if not len(delta.ids) and self.tombstones is None:
            return left
        return _merged(left if self.tombstones is None else _selected(left, ~self.tombstones), delta)

    def n_distinct(self) -> int:
        """Return how many distinct codes the items have."""
        main = self.main.words if self.tombstones is None else self.main.words[~self.tombstones]
        words = np.concatenate([main, self.delta.words])
        return len(np.unique(words if words.shape[1] == 1 else words.view(f"V{8 * words.shape[1]}")))

    def codes(self) -> Codes:
        """Return the codes uint8 `(n, ceil(n_bits / 8))` of all items by id; a copy."""
        return codes_of(self.items().words, self.n_bits)

    def room(self, k: int | None) -> int | None:
        """Return `k`, or the number of items where `k` is beyond it and `PADDED`: no room for what cannot come."""
        return k if k is None or k <= PADDED else min(k, max(1, len(self)))

    def nearest(self, queries: Words, *, k: int | None, radius: int | None, only: Subset | None = None) -> Hits:
        """Return the nearest items of each query, ranked by distance, then by id.

        Args:
            queries: uint64 `(q, words)`.
            k: the most items of a query; None for no limit.
            radius: the largest distance, in bits; None for no limit.
            only: the items to look at; None for all.
        """
        allowed = None if only is None else only.main
        rows = self.main.structure.nearest(queries, k=k, radius=radius, allowed=allowed, excluded=self.tombstones)
        found = rows.numbered(self.main.ids)
        delta = self.delta.words if only is None else self.delta.words[only.delta]
        if not len(delta):
            return found
        ids = self.delta.ids if only is None else self.delta.ids[only.delta]
        limit = self.n_bits if radius is None else min(radius, self.n_bits)
        limits = found.lowered(np.full(len(queries), limit, np.int32), k)
        return merged([found, brute_force_search(queries, delta, ids, k=k, limits=limits)], k)

    def subset(self, ids: Ids) -> Subset:
        """Return those items that have one of the ids."""
        return Subset(_rows_of(self.main.ids, ids), _rows_of(self.delta.ids, ids))

    def ids_of(self, subset: Subset) -> Ids:
        """Return the ids of some items, in no order."""
        return np.concatenate([self.main.ids[subset.main], self.delta.ids[subset.delta]])

    def label_counts(self) -> dict[str, int] | None:
        """Return how many items have each label, sorted by label; None where label sets are not kept."""
        sets = self.items().sets
        return None if self.labels is None or sets is None else self.labels.counts(sets)

    def labelled(self, wanted: tuple[str, ...]) -> Subset | None:
        """Return the items that have at least one of the labels; None where label sets are not kept."""
        postings = self.main.postings
        if self.labels is None or postings is None or self.delta.sets is None:
            return None
        numbers = self.labels.having(wanted)
        main = postings.rows(numbers)
        if self.tombstones is not None:
            main = main[~self.tombstones[main]]
        return Subset(main, rows_having(self.delta.sets, numbers))

    def changed(self, dirty: Runs, now: StoredItems, state: State) -> "Snapshot":
        """Return the snapshot of a later state.

        Args:
            dirty: the runs of ids that were added, replaced or removed since this one.
            now: what the later state holds of them.
            state: the later state.
        """
        tombstones = _with_marks(self.tombstones, self.main.ids, dirty)
        kept = _selected(self.delta, ~in_runs(self.delta.ids, dirty))
        return replace(self, state=state, tombstones=tombstones, delta=_merged(kept, now))

    def rebased(self, older: "Snapshot", main: MainSegment) -> "Snapshot":
        """Return this snapshot on a main segment that was built from an older snapshot of the same main segment."""
        dirty = np.concatenate(
            [_differing(older.delta, self.delta), self.main.ids[_newly(older.tombstones, self.tombstones)]]
        )
        runs = runs_of(dirty)
        return fresh_snapshot(main, self.n_bits, self.labels).changed(
            runs, _selected(self.delta, in_runs(self.delta.ids, runs)), self.state
        )

    def pending(self) -> int:
        """Return how many changes a merge would take into the main segment."""
        return len(self.delta.ids) + self.n_tombstones


def build_main(items: StoredItems, state: State, n_bits: int) -> MainSegment:
    """Build the search structure of all items of one state."""
    return MainSegment(items.ids, items.words, items.sets, build_structure(items.words, n_bits), state)


def fresh_snapshot(main: MainSegment, n_bits: int, labels: LabelSets | None) -> Snapshot:
    """Return the snapshot that is a main segment and nothing more."""
    empty = np.empty(0, np.int32)
    delta = StoredItems(np.empty(0, np.int64), main.words[:0], None if main.sets is None else empty)
    return Snapshot(main, main.state, n_bits, None if main.sets is None else labels, delta)


def snapshot_of(ids: Ids, codes: Codes, n_bits: int) -> Snapshot:
    """Return a snapshot of items that were read elsewhere; it has no state of a file.

    Args:
        ids: int64 `(n,)`, ascending.
        codes: uint8 `(n, ceil(n_bits / 8))`.
        n_bits: code length in bits.
    """
    return fresh_snapshot(build_main(StoredItems(ids, as_words(codes), None), State(0, 0), n_bits), n_bits, None)


def with_sets(snapshot: Snapshot, labels: LabelSets, ids: Ids, sets: SetNumbers) -> Snapshot:
    """Return a snapshot with the label sets of all its items; `ids` and `sets` hold them by id."""
    main = np.zeros(len(snapshot.main.ids), np.int32)
    main_rows = _rows_of(snapshot.main.ids, ids)
    main[main_rows] = sets[np.searchsorted(ids, snapshot.main.ids[main_rows])]
    delta = sets[np.searchsorted(ids, snapshot.delta.ids)]
    return replace(
        snapshot, labels=labels, main=replace(snapshot.main, sets=main), delta=replace(snapshot.delta, sets=delta)
    )


def codes_of(words: Words, n_bits: int) -> Codes:
    """Return words as codes uint8 `(n, ceil(n_bits / 8))`; a copy."""
    return np.ascontiguousarray(words).view(np.uint8)[:, : n_bytes(n_bits)].copy()


def _with_marks(tombstones: Marks | None, ids: Ids, dirty: Runs) -> Marks | None:
    """Return the marks with the rows of the dirty ids marked too."""
    firsts = np.searchsorted(ids, dirty[:, 0], side="left")
    ends = np.searchsorted(ids, dirty[:, 1], side="right")
    some = ends > firsts
    if not some.any():
        return tombstones
    marks = np.zeros(len(ids), np.bool_) if tombstones is None else tombstones.copy()
    for first, end in zip(firsts[some].tolist(), ends[some].tolist(), strict=True):
        marks[first:end] = True
    return marks


def _newly(before: Marks | None, after: Marks | None) -> RowNumbers:
    """Return the rows that are marked after and not before; marks are never taken away."""
    if after is None:
        return np.empty(0, np.intp)
    return np.flatnonzero(after if before is None else after & ~before)


def _differing(a: StoredItems, b: StoredItems) -> Ids:
    """Return the ids that are in one of the two only, or in both with another code or label set."""
    in_both, rows_a, rows_b = np.intersect1d(a.ids, b.ids, assume_unique=True, return_indices=True)
    other = (a.words[rows_a] != b.words[rows_b]).any(axis=1)
    if a.sets is not None and b.sets is not None:
        other |= a.sets[rows_a] != b.sets[rows_b]
    return np.concatenate([np.setxor1d(a.ids, b.ids, assume_unique=True), in_both[other]])


def _rows_of(ids: Ids, wanted: Ids) -> RowNumbers:
    """Return the rows of those `wanted` ids that are among `ids`, which ascend; ascending."""
    values = np.unique(wanted)
    rows = np.searchsorted(ids, values)
    inside = rows < len(ids)
    rows, values = rows[inside], values[inside]
    return np.asarray(rows[ids[rows] == values], dtype=np.intp)


def _selected(items: StoredItems, rows: RowNumbers | Marks) -> StoredItems:
    return StoredItems(items.ids[rows], items.words[rows], None if items.sets is None else items.sets[rows])


def _merged(a: StoredItems, b: StoredItems) -> StoredItems:
    """Return the items of both by id; without sets where one of them has none."""
    ids, words = np.concatenate([a.ids, b.ids]), np.concatenate([a.words, b.words])
    sets = None if a.sets is None or b.sets is None else np.concatenate([a.sets, b.sets])
    order = np.argsort(ids, kind="stable")
    return _selected(StoredItems(ids, words, sets), order)
