"""The index: a durable file of codes, paths, labels and metadata, with an exact search in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, as_words, check_codes
from nearbit.errors import InputError
from nearbit.index import arguments, asymmetric_search, changes
from nearbit.index.any_index import AnyIndex
from nearbit.index.engine.weighted.weights import check_weights
from nearbit.index.live.filters import filter_of, matching
from nearbit.index.live.manager import SnapshotManager
from nearbit.index.live.snapshot import Snapshot, codes_of
from nearbit.index.offers import ALL, Offer
from nearbit.index.results import Ids, Item, Results
from nearbit.index.stats import describe
from nearbit.index.storage import key_filters, statements
from nearbit.index.storage.change_log import State, read_state
from nearbit.index.storage.loading import no_items
from nearbit.index.storage.outputs import reordered
from nearbit.index.storage.schema import Meta
from nearbit.index.storage.store import BUSY_SECONDS, Store
from nearbit.index.verify import problems
from nearbit.keywords import suggesting

ITEMS_PER_PAGE = 1000


@final
class Index(AnyIndex):
    """An open index; `create_index` and `open_index` make it. A context manager that closes itself.

    What `add`, `update` and `remove` wrote is durable when they return, and no other call sees half of it. Threads may
    share an index: searches run side by side and wait for no writer, writing takes turns. Several processes may open
    one file: one writes at a time, and each search sees what was durable when it began. After a fork, open it again.

    Attributes:
        path: the file.
        address: the path as a text, by which messages name the index.
        folder: absolute: that of the file, from where the relative paths of items are seen.
        offers: what it can do of that which not every home of an index can (`nearbit.index.homes`): all of it.
        n_bits: code length in bits, of every item.
        model_id: the model that makes the codes, or None where it was not recorded.
        outputs: how real-valued outputs are kept beside the codes: "int8", "float16" or None.
    """

    def __init__(self, store: Store, meta: Meta, *, cache: bool, temporary: Callable[[], object] | None = None) -> None:
        """Take an open store and its recorded facts, and what removes a temporary one; see `create_index`."""
        self._temporary = temporary
        self.path: Path = store.path
        self.address: str = str(store.path)
        self.n_bits: int = int(meta["n_bits"])
        self.model_id: str | None = meta.get("model_id")
        self.outputs: str | None = meta.get("outputs")
        self._meta = meta
        self._store = store
        store.identity = meta.get("index_id")
        self._manager = SnapshotManager(store, self.n_bits, has_cache=cache)

    @property
    def folder(self) -> Path:
        return self.path.absolute().parent

    @property
    def offers(self) -> frozenset[Offer]:
        return ALL

    def __repr__(self) -> str:
        where = "in memory" if self._temporary is not None else repr(str(self.path))
        n_items = "closed" if self._store.is_closed else f"{len(self)} items"
        return f"Index({where}: {n_items}, {self.n_bits} bits)"

    def __len__(self) -> int:
        """Return the number of items."""
        with self._store.read() as connection:
            snapshot = self._manager.latest()
            if snapshot is not None and snapshot.state == read_state(connection):
                return len(snapshot)
            return statements.n_items(connection)

    @suggesting
    def add(
        self,
        codes: npt.ArrayLike,
        *,
        ids: npt.ArrayLike | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        outputs: npt.ArrayLike | None = None,
        replace: bool = False,
    ) -> Ids:
        """Add items in one transaction: all of them are durable when it returns, or none is there.

        Args:
            codes: uint8 `(n, ceil(n_bits / 8))` with tail bits 0; n may be 0.
            ids: whole numbers `(n,)`, 0 or more, all different; None assigns the numbers after the highest id that
                this index ever used.
            metadata: one mapping an item: "path" (str), "labels" (list of str), "digest" (str: content hash), and
                anything else that JSON holds.
            outputs: what the codes are the signs of, float `(n, n_bits)`, finite; needed by an index that keeps them,
                refused by one that does not.
            replace: put items in the place of those that have their ids, metadata included; needs `ids`.

        Returns:
            int64 `(n,)`, the ids in the order of `codes`.

        Raises:
            InputError: codes, ids, metadata or outputs of a wrong form or count, or an id that is there already
                (without `replace`); nothing is written.
            IndexFileError: the file cannot be written (read-only, held by another writer, disk full).
        """
        new = changes.NewItems.checked(
            codes, self.n_bits, ids=ids, metadata=metadata, outputs=outputs, kind=self.outputs, replace=replace
        )
        return changes.made(self._store, self._manager, new.insert, new.stored)

    @suggesting
    def update(self, ids: npt.ArrayLike, *, metadata: Sequence[Mapping[str, Any]]) -> None:
        """Give items new metadata in one transaction; their ids and codes stay.

        Args:
            ids: whole numbers `(n,)`, all different.
            metadata: one mapping an item, as for `add`; it takes the place of all that was there.

        Raises:
            InputError: ids or metadata of a wrong form or count, or an absent id; nothing is written.
            IndexFileError: the file cannot be written.
        """
        wanted = arguments.check_ids(ids)
        fields = arguments.check_metadata(metadata, len(wanted), "ids")
        arguments.check_new_ids(wanted, len(wanted))
        changes.made(self._store, self._manager, changes.update(wanted, fields))

    @suggesting
    def remove(self, ids: npt.ArrayLike, *, missing_ok: bool = False) -> int:
        """Remove items in one transaction. Their ids are never assigned again.

        Args:
            ids: whole numbers `(n,)`; one that comes twice counts once.
            missing_ok: pass over ids that the index does not hold.

        Returns:
            How many items were removed.

        Raises:
            InputError: the index does not hold one of the ids (without `missing_ok`); nothing is removed.
            IndexFileError: the file cannot be written.
        """
        wanted = np.unique(arguments.check_ids(ids))
        remove = changes.remove(wanted, missing_ok=missing_ok)
        return len(changes.made(self._store, self._manager, remove, lambda *_: no_items(self.n_bits)))

    @suggesting
    def search(
        self,
        codes: npt.ArrayLike,
        *,
        k: int | None = 10,
        radius: float | None = None,
        where: Mapping[str, Any] | None = None,
        outputs: npt.ArrayLike | None = None,
        rerank: int | None = None,
        weights: npt.ArrayLike | None = None,
    ) -> Results:
        """Return the nearest items of each query, exactly, ranked by distance, then by id.

        Args:
            codes: queries, uint8 `(n, ceil(n_bits / 8))`.
            k: the most items of a query; None (with a radius) for all within it.
            radius: the largest distance, in bits (with `weights`, the largest weighted distance); None for no limit.
            where: only items that meet every key: "labels" (a label, or a list of which an item has one), "path",
                "digest", or any other key of the metadata with the value it holds.
            outputs: what the codes are the signs of, float `(n, n_bits)`: results at the same distance are ordered by
                their inner product with the outputs that the index keeps, then by id.
            rerank: with `outputs`, the first so many by distance are ordered by that product alone, the first `k` kept.
            weights: what the codes are the signs of, float `(n, n_bits)`: items are ranked by the sum of |weight| over
                the bits in which they differ (asymmetric search), then by id. Nothing need be kept.

        Returns:
            Results of `k` columns, beyond 1000 at most one an item; as the longest row if `k` is None; padded by -1.

        Raises:
            InputError: an argument of another form, outputs for an index that keeps none, k < 1, radius < 0, or none.
            IndexFileError: the file cannot be read.
        """
        queries = check_codes(codes, self.n_bits)
        wanted = None if where is None else filter_of(where)
        if weights is not None:
            limit, reach = arguments.check_weighted(k, radius, outputs, rerank)
            weighted = check_weights(weights, queries, self.n_bits)
            snapshot, only = self._manager.view(wanted)
            most = snapshot.room(limit)
            return Results(asymmetric_search.search(snapshot, only, weighted, most, reach), most, self)
        limit, within = arguments.check_limits(k, radius)
        real, first = arguments.check_rerank(outputs, rerank, self.outputs, len(queries), self.n_bits)
        if real is None:
            snapshot, only = self._manager.view(wanted)
            most = snapshot.room(limit)
            return Results(snapshot.nearest(as_words(queries), k=most, radius=within, only=only), most, self)
        with self._manager.reading(wanted) as (connection, snapshot, only):
            most = snapshot.room(None if limit is None else max(limit, first))
            hits = snapshot.nearest(as_words(queries), k=most, radius=within, only=only)
            kept = statements.outputs_of(connection, hits.ids, str(self.outputs), self.n_bits)
        return Results(reordered(hits, real, *kept, k=limit, rerank=first), snapshot.room(limit), self)

    def _snapshot(self) -> Snapshot:
        return self._manager.view()[0]

    def items(self, ids: npt.ArrayLike) -> list[Item]:
        """Return the items of these ids, in the order asked; raise `InputError` where one is not there."""
        with self._store.read() as connection:
            return statements.items_of(connection, arguments.check_ids(ids))

    def kept_outputs(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the outputs kept of these items, as rounded: float32 `(n, n_bits)`, in the order asked.

        Raises:
            InputError: the index keeps no outputs, or holds no item of one of the ids.
        """
        wanted = arguments.check_ids(ids)
        if self.outputs is None:
            raise InputError(f"{self.path} keeps no outputs: build it with outputs to have them")
        with self._store.read() as connection:
            found, kept = statements.outputs_of(connection, wanted, self.outputs, self.n_bits)
        arguments.refuse_absent(np.unique(wanted), found, "kept_outputs() takes ids that add or search returned")
        rows = np.searchsorted(found, wanted)
        return kept.rows[rows].astype(np.float32) * kept.scales[rows, None]

    def __iter__(self) -> Iterator[Item]:
        """Yield every item by id, page by page; items written meanwhile may or may not come."""
        last = -1
        while page := self.items_after(last, ITEMS_PER_PAGE):
            yield from page
            last = page[-1].id

    def items_after(self, last: int, n: int) -> list[Item]:
        """Return the next `n` items with an id above `last`, by id; -1 for the first ones."""
        with self._store.read() as connection:
            return statements.items_after(connection, last, n)

    def state(self) -> State:
        """Return a number and a token that every change of an item replaces: what was read before may be kept."""
        with self._store.read() as connection:
            return read_state(connection)

    def codes(self) -> tuple[Ids, Codes]:
        """Return all ids int64 `(n,)`, ascending, and their codes uint8 `(n, ceil(n_bits / 8))`; copies."""
        items = self._manager.view()[0].items()
        return items.ids.copy(), codes_of(items.words, self.n_bits)

    def matching(self, where: Mapping[str, Any]) -> Ids:
        """Return the ids of the items that meet every key of `where` (see `search`): int64 `(n,)`, ascending."""
        with self._store.read() as connection:
            return matching(connection, filter_of(where))

    def filters(self) -> list[str]:
        """Return the keys that `create_filter` was called for, sorted."""
        with self._store.read() as connection:
            return key_filters.kept_keys(connection)

    def create_filter(self, key: str) -> None:
        """Let the file keep which items have which value of a key: `where` then finds by it without a scan.

        Results are the same without. A nearbit that knows no filters refuses the file, until the last is dropped.

        Args:
            key: "path", "digest" or a key of the metadata; one that is kept already stays.

        Raises:
            InputError: no text, "labels" (quick without), or more than 16 filters.
            IndexFileError: the file cannot be written.
        """
        arguments.check_text(key, "the key of a filter")
        with changes.transaction(self._store) as connection:
            key_filters.keep(connection, key)

    def drop_filter(self, key: str) -> None:
        """Take away what `create_filter` made; raise `InputError` where there is none by this key."""
        with changes.transaction(self._store) as connection:
            key_filters.drop(connection, key)

    def labels(self) -> dict[str, int]:
        """Return how many items have each label, sorted by label."""
        with self._manager.reading() as (connection, snapshot, _):
            return snapshot.label_counts() or statements.label_counts(connection)

    def paths(self) -> list[tuple[str, int, str | None]]:
        """Return (path, id, digest) of each item that has a path, by id."""
        with self._store.read() as connection:
            return statements.paths(connection)

    def entries(self) -> dict[str, tuple[int, str | None]]:
        """Return (id, digest) of each path; where several items share a path, those of the highest id."""
        return {path: (item_id, digest) for path, item_id, digest in self.paths()}

    def stats(self) -> dict[str, Any]:
        """Return facts ready for JSON: items, distinct codes, n_bits, file size, model, format, how it is searched."""
        with self._manager.reading() as (connection, snapshot, _):
            return describe(connection, self._store, snapshot, self._meta)

    def last_id(self) -> int:
        """Return the highest id that this index ever used, 0 where it used none."""
        with self._store.read() as connection:
            return statements.last_id(connection)

    def never_assign(self, last_id: int) -> None:
        """Let assigned ids follow this one, too: for an index that takes the place of another one."""
        with changes.transaction(self._store) as connection:
            statements.raise_last_id(connection, last_id)

    def notes(self) -> dict[str, str]:
        """Return what `set_notes` kept: facts of the owner, such as where the model lies."""
        with self._store.read() as connection:
            return statements.notes(connection)

    def set_notes(self, notes: Mapping[str, str]) -> None:
        """Keep texts by name beside the items, durably; a note of the same name is replaced.

        Raises:
            InputError: a name or a text is not a str.
            IndexFileError: the file cannot be written.
        """
        checked = arguments.check_notes(notes)
        with changes.transaction(self._store) as connection:
            statements.put_notes(connection, checked)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Stay the only writer for several calls; another process that would write is told who holds the index.

        Raises:
            IndexFileError: another process holds it.
        """
        self._store.check_writable()
        with self._store.writer_lock.held(BUSY_SECONDS):
            yield

    def compact(self, *, vacuum: bool = False) -> None:
        """Take all changes into the search structure, and into the cache file of a large index: only to be fast.

        Args:
            vacuum: also write the file anew, without the room that removed items left.

        Raises:
            IndexFileError: the file cannot be written.
        """
        with changes.transaction(self._store):
            pass  # brings an older file to this format
        self._manager.view()
        self._manager.merge()
        self._manager.save()
        if vacuum:
            self._store.vacuum()

    def verify(self) -> list[str]:
        """Return what is wrong with the file or with its search, in words; an empty list where all is well.

        Reads everything: SQLite's own check, every code, and the search structure against the codes in the file.

        Raises:
            IndexFileError: the file is so damaged that it cannot be read at all.
        """
        with self._manager.looking() as (connection, searched):
            return list(problems(connection, searched, self.n_bits, self.outputs))

    def is_in_place(self) -> bool:
        """Return whether the file at `path` is the one that is open; not where it was deleted, moved or replaced."""
        return self._store.is_in_place()

    def close(self) -> None:
        """Close the file; a second call does nothing, any other call on a closed index is an `IndexFileError`.

        Where much changed since the cache file of a large index was written, it is written again, which may take
        seconds for each million items. A merge under way is waited for: nothing is written once this returns.
        """
        try:
            if not self._store.is_closed and not self._store.read_only and self.is_in_place():
                self._manager.prepare_next_opening()
        finally:
            self._manager.finish_merge()  # it still writes beside the file
            self._manager.forget()
            self._store.close()
            if self._temporary is not None:
                self._temporary()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the index; after an error, without making the cache file."""
        if kind is not None:
            self._store.close()
        self.close()
