"""The search side of an index: ids and codes of one state of the file, in memory, never changed in place."""

import sqlite3
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, as_words, n_bytes
from nearbit.errors import IndexFileError
from nearbit.index.results import Ids
from nearbit.index.search import PlainScan, Rows, Searcher

ROWS_PER_FETCH = 65_536


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Ids and words of all items of one state of the file, sorted by id.

    Attributes:
        ids: int64 `(n,)`, ascending.
        words: uint64 `(n, words)`, the codes padded to whole words.
        n_bits: code length in bits.
    """

    ids: Ids
    words: npt.NDArray[np.uint64]
    n_bits: int

    @cached_property
    def searcher(self) -> Searcher:
        """The search structure over these codes, built when it is first asked for."""
        return PlainScan(self.words, self.n_bits)

    def codes(self) -> Codes:
        """Return the codes uint8 `(n, ceil(n_bits / 8))`, in the order of `ids`; a copy."""
        return self.words.view(np.uint8)[:, : n_bytes(self.n_bits)].copy()

    def rows_of(self, ids: Ids) -> Rows:
        """Return the rows of those `ids` that are here, ascending."""
        wanted = np.unique(ids)
        rows = np.searchsorted(self.ids, wanted)
        inside = rows < len(self.ids)
        rows, wanted = rows[inside], wanted[inside]
        return np.asarray(rows[self.ids[rows] == wanted], dtype=np.intp)

    def with_items(self, ids: Ids, codes: Codes) -> "Snapshot":
        """Return the snapshot with items added, or replaced where the id is here already."""
        kept = self.without(ids)
        all_ids = np.concatenate([kept.ids, ids])
        all_words = np.concatenate([kept.words, as_words(codes)])
        if len(ids) and len(kept.ids) and (np.diff(all_ids[len(kept.ids) - 1 :]) > 0).all():
            return Snapshot(all_ids, all_words, self.n_bits)
        order = np.argsort(all_ids, kind="stable")
        return Snapshot(all_ids[order], all_words[order], self.n_bits)

    def without(self, ids: Ids) -> "Snapshot":
        """Return the snapshot without the items of these ids."""
        gone = self.rows_of(ids)
        if not len(gone):
            return self
        return Snapshot(np.delete(self.ids, gone), np.delete(self.words, gone, axis=0), self.n_bits)


def load_snapshot(connection: sqlite3.Connection, n_bits: int) -> Snapshot:
    """Read all ids and codes from the file.

    Raises:
        IndexFileError: a stored code has another width than `n_bits` asks for.
    """
    width = n_bytes(n_bits)
    cursor = connection.execute("SELECT id, code FROM items ORDER BY id")
    ids: list[Ids] = []
    blobs: list[bytes] = []
    while rows := cursor.fetchmany(ROWS_PER_FETCH):
        ids.append(np.array([row[0] for row in rows], np.int64))
        _check_widths(rows, width)
        blobs.append(b"".join(row[1] for row in rows))
    codes = np.frombuffer(b"".join(blobs), np.uint8).reshape(-1, width)
    return Snapshot(np.concatenate([np.empty(0, np.int64), *ids]), as_words(codes), n_bits)


def _check_widths(rows: list[tuple[int, bytes]], width: int) -> None:
    for item_id, code in rows:
        if not isinstance(code, bytes) or len(code) != width:
            raise IndexFileError(
                f"the index is damaged: the code of item {item_id} should have {width} bytes; "
                "restore the file from a copy or build it again"
            )
