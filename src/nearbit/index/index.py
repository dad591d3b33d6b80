"""The index: a durable file of codes, paths, labels and metadata, with an exact search in memory."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, check_codes
from nearbit.errors import IndexFileError, InputError
from nearbit.index import statements
from nearbit.index.arguments import check_ids, check_limits, check_new_ids
from nearbit.index.filters import Condition, condition_of
from nearbit.index.results import Ids, Item, Results, padded
from nearbit.index.rows import EMPTY, Fields, check_text, fields_of
from nearbit.index.schema import Meta
from nearbit.index.search import Rows
from nearbit.index.snapshot import Snapshot, load_snapshot
from nearbit.index.store import Connection, Store

ITEMS_PER_PAGE = 1000


@final
class Index:
    """An open index; `create_index` and `open_index` make it. A context manager that closes itself.

    What `add` and `remove` wrote is durable when they return, and no other call sees half of it. Threads of one
    process may share an index: searches run side by side, reading the file and writing take turns. Several processes
    may open one file: one writes at a time, readers see whole states only, and each search sees what was durable when
    it began. An open index must not be carried through a fork: open it again in the child.

    Attributes:
        path: the file.
        n_bits: code length in bits, of every item.
        model_id: the model that makes the codes, or None where it was not recorded.
    """

    def __init__(self, store: Store, meta: Meta, *, read_only: bool) -> None:
        """Take an open store and its recorded facts; called by `create_index` and `open_index`."""
        self.path: Path = store.path
        self.n_bits: int = int(meta["n_bits"])
        self.model_id: str | None = meta.get("model_id")
        self._meta = meta
        self._read_only = read_only
        self._store = store
        self._snapshot: Snapshot | None = None
        self._snapshot_version = -1

    def __len__(self) -> int:
        """Return the number of items."""
        with self._store.read() as connection:
            if self._snapshot is not None:
                return len(self._current(connection).ids)
            return int(connection.execute("SELECT count(*) FROM items").fetchone()[0])

    def add(
        self,
        codes: npt.ArrayLike,
        *,
        ids: npt.ArrayLike | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        replace: bool = False,
    ) -> Ids:
        """Add items in one transaction: all of them are durable when it returns, or none is there.

        Args:
            codes: uint8 `(n, ceil(n_bits / 8))` with tail bits 0; n may be 0.
            ids: whole numbers `(n,)`, 0 or more, all different; None assigns the numbers after the highest id that
                this index ever used.
            metadata: one mapping an item: "path" (str), "labels" (list of str), "digest" (str: content hash), and
                anything else that JSON holds.
            replace: put items in the place of those that have their ids, metadata included; needs `ids`.

        Returns:
            int64 `(n,)`, the ids in the order of `codes`.

        Raises:
            InputError: codes, ids or metadata of a wrong form or count, or an id that is there already (without
                `replace`); nothing is written.
            IndexFileError: the file cannot be written (read-only, locked by another process, disk full).
        """
        self._check_writable()
        checked = check_codes(codes, self.n_bits)
        fields = _fields(metadata, len(checked))
        given = None if ids is None else check_new_ids(ids, len(checked))
        if replace and given is None:
            raise InputError("replace=True needs ids: those of the items to replace")
        return self._insert(checked, fields, given, replace=replace)

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
        self._check_writable()
        wanted = np.unique(check_ids(ids))
        with self._store.lock:
            with self._store.write() as connection:
                snapshot = self._current_or_none(connection)
                present = statements.present_ids(connection, wanted)
                if not missing_ok and len(present) < len(wanted):
                    absent = np.setdiff1d(wanted, present)[0]
                    raise InputError(
                        f"the index holds no item {absent}; nothing was removed; missing_ok=True passes over it"
                    )
                self._snapshot = None
                statements.delete_items(connection, present)
            self._snapshot = None if snapshot is None else snapshot.without(present)
        return len(present)

    def search(
        self,
        codes: npt.ArrayLike,
        *,
        k: int | None = 10,
        radius: int | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> Results:
        """Return the nearest items of each query, exactly, ranked by distance, then by id.

        Args:
            codes: queries, uint8 `(n, ceil(n_bits / 8))`.
            k: the most items of a query; None (with a radius) for all within it.
            radius: the largest distance, in bits; None for no limit.
            where: only items that meet every key: "labels" (a label, or a list of which an item has one), "path",
                "digest", or any other key of the metadata with the value it holds.

        Returns:
            Results of `k` columns, or of the longest row where `k` is None; padded with id -1 and distance -1.

        Raises:
            InputError: codes of another length, k < 1, radius < 0, neither of both, or a filter of another form.
            IndexFileError: the file cannot be read.
        """
        queries = check_codes(codes, self.n_bits)
        limit, within = check_limits(k, radius)
        snapshot, allowed = self._view(None if where is None else condition_of(where))
        ranked = snapshot.searcher.nearest(queries, k=limit, radius=within, allowed=allowed)
        return padded(((snapshot.ids[rows], distances) for rows, distances in ranked), len(queries), limit)

    def items(self, ids: npt.ArrayLike) -> list[Item]:
        """Return the items of these ids, in the order asked; raise `InputError` where one is not there."""
        wanted = check_ids(ids)
        with self._store.read() as connection:
            return statements.items_of(connection, wanted)

    def __iter__(self) -> Iterator[Item]:
        """Yield every item by id, page by page; items written meanwhile may or may not come."""
        last = -1
        while page := self._page_after(last):
            yield from page
            last = page[-1].id

    def codes(self) -> tuple[Ids, Codes]:
        """Return all ids int64 `(n,)`, ascending, and their codes uint8 `(n, ceil(n_bits / 8))`; copies."""
        snapshot, _ = self._view(None)
        return snapshot.ids.copy(), snapshot.codes()

    def labels(self) -> dict[str, int]:
        """Return how many items have each label, sorted by label."""
        with self._store.read() as connection:
            return statements.label_counts(connection)

    def entries(self) -> dict[str, tuple[int, str | None]]:
        """Return (id, digest) of each path; where several items share a path, those of the highest id."""
        with self._store.read() as connection:
            return statements.path_entries(connection)

    def stats(self) -> dict[str, Any]:
        """Return facts ready for JSON: items, distinct codes, n_bits, file size, model, format version, creation."""
        with self._store.read() as connection:
            sql = "SELECT count(*), count(DISTINCT code) FROM items"
            n_items, n_distinct = connection.execute(sql).fetchone()
        return {
            "path": str(self.path),
            "items": n_items,
            "distinct_codes": n_distinct,
            "n_bits": self.n_bits,
            "file_bytes": self._store.file_bytes(),
            "model_id": self.model_id,
            "format_version": int(self._meta["format_version"]),
            "created": self._meta.get("created"),
        }

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
        self._check_writable()
        checked = {check_text(name, "a note's name"): check_text(text, "a note") for name, text in notes.items()}
        with self._store.write() as connection:
            statements.put_notes(connection, checked)

    def verify(self) -> list[str]:
        """Return what is wrong with the file, in words; an empty list where all is well.

        Raises:
            IndexFileError: the file is so damaged that it cannot be read at all.
        """
        with self._store.read() as connection:
            return list(statements.problems(connection, self.n_bits))

    def close(self) -> None:
        """Close the file; a second call does nothing, any other call on a closed index is an `IndexFileError`."""
        self._snapshot = None
        self._store.close()

    def __enter__(self) -> Self:
        """Return the index itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the index."""
        self.close()

    def _insert(self, codes: Codes, fields: list[Fields], given: Ids | None, *, replace: bool) -> Ids:
        """Write checked items, and take the snapshot along once they are durable."""
        with self._store.lock:
            with self._store.write() as connection:
                snapshot = self._current_or_none(connection)
                ids = statements.next_ids(connection, len(codes)) if given is None else given
                if given is not None and not replace:
                    _refuse_present(statements.present_ids(connection, given))
                self._snapshot = None
                statements.insert_items(connection, ids, codes, fields, replace=replace)
            self._snapshot = None if snapshot is None else snapshot.with_items(ids, codes)
        return ids

    def _view(self, condition: Condition | None) -> tuple[Snapshot, Rows | None]:
        """Return the current snapshot and the rows that meet a condition, both of one state of the file."""
        with self._store.read() as connection:
            snapshot = self._current(connection)
            if condition is None:
                return snapshot, None
            return snapshot, snapshot.rows_of(statements.matching_ids(connection, condition))

    def _current(self, connection: Connection) -> Snapshot:
        """Return the snapshot of the file's present state, loaded again where another connection wrote."""
        snapshot = self._current_or_none(connection)
        if snapshot is None:
            self._snapshot = snapshot = load_snapshot(connection, self.n_bits)
        return snapshot

    def _current_or_none(self, connection: Connection) -> Snapshot | None:
        """Return the snapshot, or None where there is none or another connection wrote since it was made."""
        version = int(connection.execute("PRAGMA data_version").fetchone()[0])
        if version != self._snapshot_version:
            self._snapshot, self._snapshot_version = None, version
        return self._snapshot

    def _page_after(self, last: int) -> list[Item]:
        with self._store.read() as connection:
            return statements.items_after(connection, last, ITEMS_PER_PAGE)

    def _check_writable(self) -> None:
        if self._read_only:
            raise IndexFileError(f"the index {self.path} was opened read-only; open_index without read_only can write")


def _fields(metadata: Sequence[Mapping[str, Any]] | None, n_codes: int) -> list[Fields]:
    if metadata is None:
        return [EMPTY] * n_codes
    if isinstance(metadata, Mapping) or len(metadata) != n_codes:
        raise InputError(f"metadata must be a list of one mapping an item: {n_codes} codes came with {len(metadata)}")
    return [fields_of(own, position) for position, own in enumerate(metadata)]


def _refuse_present(ids: Ids) -> None:
    if len(ids):
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        raise InputError(f"the index already holds item {ids[0]}{more}; replace=True puts the new items in their place")
