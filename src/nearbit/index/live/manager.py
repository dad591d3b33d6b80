"""Keeps the snapshot of an open index at the state of its file: by what changed, by the cache file, or by reading all.

Nothing here decides what is true: every snapshot is known by the state that it is, and is used only in a transaction
that sees this state. Merges of large indexes run in a thread of their own.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

from nearbit.compiled import BUILDING, SEARCH, prepare
from nearbit.errors import IndexFileError, InputError
from nearbit.index.live.cache import SearchCache
from nearbit.index.live.filters import Filter, chosen
from nearbit.index.live.snapshot import Snapshot, Subset, build_main, fresh_snapshot, with_sets
from nearbit.index.storage import statements
from nearbit.index.storage.change_log import Runs, State, changed_since, read_state, trim
from nearbit.index.storage.connecting import Connection
from nearbit.index.storage.label_sets import LabelSets
from nearbit.index.storage.loading import StoredItems, load_all, load_label_sets, load_runs
from nearbit.index.storage.store import Store

CACHED_ITEMS = 100_000
"""From how many items on the search structure is kept in a file, with the label sets."""

MERGE_ITEMS = 50_000
MERGE_SHARE = 0.05
"""A merge begins beyond so many pending changes, or this share of the main segment, whichever is fewer…"""

FEWEST_PENDING = 1_000
"""…but never for fewer than these."""

MERGED_AT_ONCE = 20_000
"""Up to so many items a merge takes a moment and needs no thread."""


@final
class SnapshotManager:
    """The snapshot of one open index. Thread-safe."""

    def __init__(self, store: Store, n_bits: int, *, has_cache: bool) -> None:
        """Take the open store, and whether its cache file may be read and, of a store that may be written, written."""
        self._store = store
        self._n_bits = n_bits
        self._reads_cache = has_cache
        self._writes_cache = has_cache and not store.read_only
        self._cache: SearchCache | None = None
        self._is_damaged = False
        self._is_provisional = False
        self._lock = threading.RLock()
        self._snapshot: Snapshot | None = None
        self._labels_fit = True
        self._merging: threading.Thread | None = None

    @contextmanager
    def looking(self) -> Iterator[tuple[Connection, Callable[[], Snapshot | None]]]:
        """Give a reading transaction, and what returns the snapshot of the state that it sees.

        That is None where a writer of this process made ours newer meanwhile: look again.
        """
        held = self._snapshot  # without its lock, which a forked child may never get
        with self._store.read() as connection:
            yield connection, lambda: self._at(connection, held)

    def _at(self, connection: Connection, held: Snapshot | None) -> Snapshot | None:
        """Return the snapshot of the state that a transaction sees, which began when `held` was the one that was here.

        Where that one is newer than the file all the same, an older copy was put over the file.
        """
        self._find_cache(connection)
        state = read_state(connection)
        snapshot = self.latest()
        if snapshot is None:
            return self._begun(connection, state)
        if snapshot.main.structure.is_provisional and SEARCH.is_loaded:
            self._improve(snapshot)
        if snapshot.state == state:
            return snapshot
        dirty = changed_since(connection, snapshot.state)
        if dirty is not None:
            now = load_runs(connection, self._n_bits, snapshot.labels, dirty)
            self._take_along(snapshot.state, state, dirty, now)
            latest = self.latest()
            return latest if latest is not None and latest.state == state else None
        is_newer = -1 not in (state.token, snapshot.state.token) and state.revision < snapshot.state.revision
        if is_newer and (held is None or held.state != snapshot.state):
            return None
        return self._begun(connection, state)

    def view(self, wanted: Filter | None = None) -> tuple[Snapshot, Subset | None]:
        """Return the present snapshot and the items that pass a filter, both of one state of the file."""
        while wanted is None:
            with self.looking() as (_, seen):
                present = seen()
            if present is not None:
                return present, None
        with self.reading(wanted) as (_, snapshot, only):
            return snapshot, only

    @contextmanager
    def reading(self, wanted: Filter | None = None) -> Iterator[tuple[Connection, Snapshot, Subset | None]]:
        """Give one state of the file: the transaction that sees it, its snapshot and the items that pass a filter."""
        while True:
            with self.looking() as (connection, seen):
                snapshot = seen()
                if snapshot is None:  # a writer of this process was faster: look again
                    continue
                if wanted is not None and wanted.labels is not None:
                    snapshot = self.with_labels(connection, snapshot)
                yield connection, snapshot, None if wanted is None else chosen(connection, snapshot, wanted)
                return

    def latest(self) -> Snapshot | None:
        """Return the snapshot that is here, of whatever state, or None."""
        with self._lock:
            return self._snapshot

    def advance(self, before: State, after: State, dirty: Runs, now: Callable[[LabelSets | None], StoredItems]) -> None:
        """Take the snapshot along from the state before a transaction of this process to the one after it.

        Args:
            before: the state before; a snapshot of another one is left for the next search to bring up to date.
            after: the state that the transaction left.
            dirty: the runs of ids that it touched.
            now: gives what the index holds of these ids now, with the numbers of their label sets where asked for.
        """
        snapshot = self.latest()
        if snapshot is not None and snapshot.state == before:
            self._take_along(before, after, dirty, now(snapshot.labels))

    def with_labels(self, connection: Connection, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with its label sets, read if they are not there yet and not too many."""
        if snapshot.has_sets or not self._labels_fit:
            return snapshot
        labels = LabelSets()
        loaded = load_label_sets(connection, labels)
        if loaded is None:
            self._labels_fit = False
            return snapshot
        richer = with_sets(snapshot, labels, *loaded)
        with self._lock:
            if self._snapshot is snapshot:
                self._snapshot = richer
        return richer

    def merge(self) -> None:
        """Make a new main segment of all that changed, at once."""
        self.finish_merge()
        snapshot = self.latest()
        if snapshot is not None and (snapshot.pending() or snapshot.main.structure.is_provisional):
            self._merge(snapshot)

    def finish_merge(self) -> None:
        """Wait for a merge that is under way."""
        merging = self._merging
        if merging is not None and merging is not threading.current_thread():
            merging.join()

    def save(self) -> bool:
        """Write the main segment to the cache file if it is not there, and shorten the log; return whether it was
        written.

        Nothing is written for a small index, without a cache, or where the file cannot be written.
        """
        snapshot = self.latest()
        if not self._writes_cache or self._cache is None or snapshot is None or not self._store.is_in_place():
            return False
        main = snapshot.main
        if len(main.ids) < CACHED_ITEMS or main.state.token == -1:
            return False
        is_better = self._is_provisional and not main.structure.is_provisional
        if self._cache.state() == main.state and not self._is_damaged and not is_better:
            return False
        try:
            self._cache.save(main, snapshot.labels)
        except (OSError, InputError):  # no folder to write in, a full disk, a folder of that name: it works without
            return False
        self._is_damaged, self._is_provisional = False, main.structure.is_provisional
        self._shorten_log(main.state)
        return True

    def prepare_next_opening(self) -> None:
        """Write the cache file where so much changed that the next opening would be slow without."""
        with self.looking() as (connection, seen):
            if not self._needs_saving(connection):
                return
            seen()
        self.merge()
        self.save()

    def forget(self) -> None:
        """Let go of the snapshot; the next search reads it again."""
        with self._lock:
            self._snapshot = None

    def _needs_saving(self, connection: Connection) -> bool:
        """Return whether so much changed since the cache file was written that it should be written again."""
        self._find_cache(connection)
        if not self._writes_cache or self._cache is None:
            return False
        n_items = statements.n_items(connection)
        if n_items < CACHED_ITEMS or read_state(connection).token == -1:
            return False
        saved = None if self._is_damaged else self._cache.state()
        dirty = None if saved is None else changed_since(connection, saved)
        return dirty is None or int((dirty[:, 1] - dirty[:, 0] + 1).sum()) > most_pending(n_items)

    def _find_cache(self, connection: Connection) -> None:
        """Name the cache file; a file of an older format has none until it is upgraded."""
        if self._reads_cache and self._cache is None:
            index_id = connection.execute("SELECT value FROM meta WHERE key = 'index_id'").fetchone()
            if index_id is not None:
                self._cache = SearchCache(self._store.path, str(index_id[0]), self._n_bits)

    def _begun(self, connection: Connection, state: State) -> Snapshot:
        """Return a snapshot of a state from the cache file and the log, else from all rows, and keep it."""
        snapshot = self._from_cache(connection, state)
        if snapshot is None:
            n_items = statements.n_items(connection)
            labels = LabelSets() if n_items >= CACHED_ITEMS and self._labels_fit else None
            items = load_all(connection, self._n_bits, labels)
            snapshot = fresh_snapshot(build_main(items, state, self._n_bits), self._n_bits, labels)
        with self._lock:
            self._snapshot = snapshot
        return snapshot

    def _from_cache(self, connection: Connection, state: State) -> Snapshot | None:
        saved = None if self._cache is None else self._cache.state()
        dirty = None if saved is None else changed_since(connection, saved)
        if self._cache is None or dirty is None:
            return None
        loaded = self._cache.load()
        if loaded is None or loaded[0].state != saved:
            self._is_damaged = loaded is None
            return None
        self._is_provisional = loaded[0].structure.is_provisional
        snapshot = fresh_snapshot(loaded[0], self._n_bits, loaded[1])
        return snapshot.changed(dirty, load_runs(connection, self._n_bits, snapshot.labels, dirty), state)

    def _take_along(self, before: State, after: State, dirty: Runs, now: StoredItems) -> None:
        """Take the snapshot from one state to a later one, and begin a merge where much has changed."""
        with self._lock:
            snapshot = self._snapshot
            if snapshot is None or snapshot.state != before:
                return
            self._snapshot = snapshot = snapshot.changed(dirty, now, after)
            if self._merging is not None or snapshot.pending() <= most_pending(len(snapshot.main.ids)):
                return
            if len(snapshot) <= MERGED_AT_ONCE:
                self._merge(snapshot)
                return
            self._begin_merge(snapshot)

    def _improve(self, snapshot: Snapshot) -> None:
        """Build the structure anew, aside, once the kernels that do so are there: this process searches a lot."""
        if not BUILDING.is_loaded:
            prepare(BUILDING)
            return
        with self._lock:
            if self._merging is None and self._snapshot is snapshot:
                self._begin_merge(snapshot)

    def _begin_merge(self, snapshot: Snapshot) -> None:
        self._merging = threading.Thread(target=self._merge_aside, args=(snapshot,), name="merge", daemon=True)
        self._merging.start()

    def _merge_aside(self, snapshot: Snapshot) -> None:
        """Merge in a thread of its own, and keep the result in the cache file."""
        try:
            self._merge(snapshot)
            self.save()
        finally:
            self._merging = None

    def _merge(self, snapshot: Snapshot) -> None:
        """Build a new main segment from a snapshot; what changed meanwhile becomes its delta."""
        main = build_main(snapshot.items(), snapshot.state, self._n_bits)
        with self._lock:
            current = self._snapshot
            if current is not None and current.main is snapshot.main:
                self._snapshot = current.rebased(snapshot, main)

    def _shorten_log(self, state: State) -> None:
        try:
            with self._store.write(wait=0.0) as connection:
                trim(connection, state)
        except IndexFileError:  # another writer is at work; the next cache file shortens the log
            return


def most_pending(n_items: int) -> int:
    """Return how many changes may wait beside a main segment of `n_items` before a merge begins."""
    return max(FEWEST_PENDING, min(MERGE_ITEMS, int(MERGE_SHARE * n_items)))
