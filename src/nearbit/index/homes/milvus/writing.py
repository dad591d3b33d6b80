"""What changes the rows, in the turn of the one writer. What is read does not see it before the turn keeps it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes
from nearbit.errors import IndexFileError, InputError
from nearbit.index import arguments
from nearbit.index.changes import NewItems
from nearbit.index.homes.milvus.client import Row, Server
from nearbit.index.homes.milvus.filters import among, visible
from nearbit.index.homes.milvus.reading import Rows
from nearbit.index.homes.milvus.rows import check_sizes, code_of, marker, row_of, rows_of
from nearbit.index.homes.milvus.state import Mark, Turn
from nearbit.index.results import Ids
from nearbit.index.storage.rows import Fields

LAST_ID = 2**63 - 2
"""Milvus finds no row whose id is the highest number of 64 bits."""

ROWS_PER_REQUEST = 10_000
BYTES_PER_REQUEST = 8 << 20
"""About so much is written at once: all of it is seen, or nothing."""

FEW = 1_000
"""Up to so many new items are written so that a lost answer does no harm; more of them are counted afterwards."""


Part = tuple[Ids, Codes, list[Fields] | None]


@final
class Writer:
    """Changes the rows of an index."""

    def __init__(self, server: Server, name: str, n_bits: int) -> None:
        """Take where the rows are."""
        self._server, self._name, self._n_bits = server, name, n_bits

    def check(self, new: NewItems) -> None:
        """Raise `InputError` for items that Milvus cannot hold."""
        check_sizes(new.fields)
        if new.ids is not None and len(new.ids) and int(new.ids.max()) > LAST_ID:
            raise InputError(f"ids in Milvus must lie in 0 … 2**63 - 2, not {LAST_ID + 1}: give another one")

    def insert(self, turn: Turn, new: NewItems) -> Ids:
        """Write items, and return their ids."""
        mark = turn.mark
        ids = new.ids if new.ids is not None else _next_ids(mark.last_id, len(new.codes))
        if not len(ids):
            return ids
        present = np.empty(0, np.int64) if new.ids is None else self._rows(mark).present(ids)
        if not new.replace:
            arguments.refuse_present(present)
        is_new = ~np.isin(ids, present)
        turn.is_changed = True
        self._add(turn, _parts(ids, new, is_new), mark.revision + 1)
        self._put(turn, rows_of(*_parts(ids, new, ~is_new), mark.revision))
        items, last_id = mark.items + int(is_new.sum()), max(mark.last_id, int(ids.max()))
        turn.keep(self._after(turn.mark, items=items, last_id=last_id, added=1))
        return ids

    def remove(self, turn: Turn, ids: Ids, *, missing_ok: bool) -> int:
        """Delete items, and return how many."""
        present = self._rows(turn.mark).present(ids)
        if not missing_ok:
            arguments.refuse_absent(ids, present, "nothing was removed")
        if len(present):
            turn.is_changed = True
            self._delete(turn, present)
            turn.keep(self._after(turn.mark, items=turn.mark.items - len(present)))
        return len(present)

    def update(self, turn: Turn, ids: Ids, fields: Sequence[Fields]) -> None:
        """Give items other metadata."""
        found = {
            row["id"]: code_of(row, self._n_bits).tobytes() for row in self._rows(turn.mark).by_id(ids, ["id", "code"])
        }
        arguments.refuse_absent(ids, np.array(sorted(found), np.int64), "nothing was changed")
        if not len(ids):
            return
        turn.is_changed = True
        revision = turn.mark.revision
        rows = (row_of(one, found[one], own, revision) for one, own in zip(ids.tolist(), fields, strict=True))
        self._put(turn, rows)
        turn.keep(self._after(turn.mark))

    def raise_last_id(self, turn: Turn, used: int) -> None:
        """Let assigned ids follow this one, too."""
        if used > turn.mark.last_id:
            turn.keep(self._after(turn.mark, last_id=used))

    def repaired(self, turn: Turn) -> Mark:
        """Delete what additions that were cut short have left, count anew, and return the state that follows."""
        mark = turn.mark
        hidden = f"revision > {mark.revision} and id >= 0"
        while self._server.count(self._name, hidden, None):  # a query leaves rows out where an id is there twice
            left = self._server.query(self._name, hidden, ["id"], None)
            self._delete(turn, np.array([row["id"] for row in left], np.int64))
        items = self._server.count(self._name, visible(mark), None)
        return self._after(turn.mark, items=items)

    def _add(self, turn: Turn, part: Part, revision: int) -> None:
        """Write new rows; raise `IndexFileError` unless each of them is there once."""
        rows, n = rows_of(*part, revision), len(part[0])
        if n <= FEW:
            self._put(turn, rows)
            return
        for batch in _batches(rows):
            turn.make_sure()
            self._server.insert(self._name, batch)
        there = self._server.count(self._name, f"revision == {revision}", None)
        if there != n:
            raise IndexFileError(
                f"the index {self._server.address}: of {n} new items {there} are there, as the connection was lost on "
                "the way; nothing was added: do it again"
            )

    def _put(self, turn: Turn, rows: Iterable[Row]) -> None:
        for batch in _batches(rows):
            turn.make_sure()
            self._server.upsert(self._name, batch)

    def _delete(self, turn: Turn, ids: Ids) -> None:
        for begin in range(0, len(ids), ROWS_PER_REQUEST):
            turn.make_sure()
            self._server.delete(self._name, among(ids[begin : begin + ROWS_PER_REQUEST]))

    def _after(self, mark: Mark, *, items: int | None = None, last_id: int | None = None, added: int = 0) -> Mark:
        """Return the state after a change, which everyone sees who sees as far as the time in it."""
        return replace(
            mark,
            revision=mark.revision + added,
            items=mark.items if items is None else items,
            last_id=mark.last_id if last_id is None else last_id,
            since=self._server.upsert(self._name, [marker(self._n_bits)]),
        )

    def _rows(self, mark: Mark) -> Rows:
        return Rows(self._server, self._name, self._n_bits, mark)


def _next_ids(last: int, n: int) -> Ids:
    if last > LAST_ID - n:
        raise InputError(f"no ids are left after {last}; give ids yourself")
    return np.arange(last + 1, last + 1 + n, dtype=np.int64)


def _parts(ids: Ids, new: NewItems, which: npt.NDArray[np.bool_]) -> Part:
    """Return the ids, codes and fields of some of the new items."""
    if which.all():
        return ids, new.codes, new.fields
    fields = None if new.fields is None else [new.fields[row] for row in np.flatnonzero(which)]
    return ids[which], new.codes[which], fields


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in requests of a moderate size."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += 100 + len(row["code"]) + len(row["source"]) + len(row["metadata"]) + 34 * len(row["tokens"])
        if len(batch) >= ROWS_PER_REQUEST or size >= BYTES_PER_REQUEST:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
