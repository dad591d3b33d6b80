"""What is wrong with an index, in words."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nearbit.codes import n_bytes
from nearbit.errors import IndexFileError
from nearbit.index.engine.structure import brute_force_search
from nearbit.index.live.snapshot import Snapshot
from nearbit.index.storage import key_filters
from nearbit.index.storage.damage import Damage
from nearbit.index.storage.loading import StoredItems, load_all
from nearbit.index.storage.rows import ITEM_COLUMNS, has_checksums, item_of, item_sum, output_sum
from nearbit.index.storage.statements import last_id

SAMPLE, NEAREST = 20, 100
"""How many items are searched from, and how many of their neighbors are compared."""


def problems(
    connection: sqlite3.Connection, searched: Callable[[], Snapshot | None], n_bits: int, outputs: str | None
) -> Iterator[str]:
    """Yield what is wrong: SQLite's own check, the rows, then what is `searched` against the rows."""
    for (line,) in connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"SQLite: {line}"
    wrong = list(_rows(connection, n_bits))
    yield from wrong
    if outputs is not None:
        yield from _outputs(connection, outputs, n_bits)
    if not wrong:
        for key in key_filters.wrong_keys(connection):
            yield f"the filter by {key!r} is not that of the items: drop it, and create it again"
        yield from _search(connection, searched(), n_bits)


def _rows(connection: sqlite3.Connection, n_bits: int) -> Iterator[str]:
    """Yield what is wrong with single items: widths and tail bits of codes, ids, texts and checksums."""
    last, before = last_id(connection), -(2**63) - 1
    sums = "checksum" if has_checksums(connection) else "0"
    sql = f"SELECT {ITEM_COLUMNS}, {sums} FROM items ORDER BY id"
    for *columns, stored in _all_rows(connection, sql):
        row: Any = tuple(columns)
        item_id = row[0]
        if item_id <= before:
            yield f"item {item_id}: it comes after item {before}; the table leads in a circle"
            return
        before = item_id
        wrong = list(_row(row, n_bits, last))
        yield from (f"item {item_id}: {words}" for words in wrong)
        if not wrong and sums == "checksum" and item_sum(row) != stored:
            yield f"item {item_id}: it does not match its checksum"


def _row(row: Any, n_bits: int, last: int) -> Iterator[str]:
    """Yield what is wrong with the columns of an item, apart from its checksum."""
    width, unused = n_bytes(n_bits), -n_bits % 8
    item_id, code = row[:2]
    if not isinstance(code, bytes) or len(code) != width:
        yield f"its code should have {width} bytes"
        return
    if code[-1] & ((1 << unused) - 1):
        yield f"the last {unused} bits of its code should be 0"
    if not 0 <= item_id <= last:
        yield f"its id lies outside 0 … {last}, the ids that were ever used"
    try:
        item_of(row)
    except Damage as error:
        yield f"its labels or metadata are not JSON, or not of an item: {error}"


def _outputs(connection: sqlite3.Connection, kind: str, n_bits: int) -> Iterator[str]:
    """Yield which items lack outputs, which outputs lack an item, and which are not as they were written."""
    for sql, words in (
        ("SELECT id FROM items WHERE id NOT IN (SELECT id FROM outputs)", "its outputs are missing"),
        ("SELECT id FROM outputs WHERE id NOT IN (SELECT id FROM items)", "outputs of an item that is not there"),
    ):
        yield from (f"item {item_id}: {words}" for (item_id,) in connection.execute(sql))
    width = n_bits * np.dtype(kind).itemsize
    sums = "checksum" if has_checksums(connection) else "0"
    for item_id, scale, data, stored in _all_rows(connection, f"SELECT id, scale, data, {sums} FROM outputs"):
        if not isinstance(data, bytes) or len(data) != width or not isinstance(scale, float):
            yield f"item {item_id}: its outputs should have {width} bytes"
        elif sums == "checksum" and output_sum(item_id, scale, data) != stored:
            yield f"item {item_id}: its outputs do not match their checksum"


def _all_rows(connection: sqlite3.Connection, sql: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows; a text that is not UTF-8 comes as one all the same, with a half of a surrogate pair for each byte."""
    plain = connection.text_factory
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    try:
        yield from connection.execute(sql)
    finally:
        connection.text_factory = plain


def _search(connection: sqlite3.Connection, snapshot: Snapshot | None, n_bits: int) -> Iterator[str]:
    """Yield how what is searched differs from the rows of the file."""
    truth = load_all(connection, n_bits, None)
    if snapshot is None:
        raise IndexFileError("the index was written to while it was verified; verify it again")
    if not _same(snapshot.items(), truth):
        yield "the search structure in memory differs from the file; open the index again"
        return
    yield from _searches(snapshot, truth)


def _searches(snapshot: Snapshot, truth: StoredItems) -> Iterator[str]:
    rows = np.linspace(0, max(0, len(truth.ids) - 1), min(SAMPLE, len(truth.ids)), dtype=np.intp)
    queries = truth.words[rows]
    limits = np.full(len(rows), snapshot.n_bits, np.int32)
    expected = brute_force_search(queries, truth.words, truth.ids, k=NEAREST, limits=limits).first(NEAREST)
    found = snapshot.nearest(queries, k=NEAREST, radius=None)
    if not (np.array_equal(found.ids, expected.ids) and np.array_equal(found.distances, expected.distances)):
        yield "a search finds something else than a comparison with every item"


def _same(a: StoredItems, b: StoredItems) -> bool:
    return np.array_equal(a.ids, b.ids) and np.array_equal(a.words, b.words)
