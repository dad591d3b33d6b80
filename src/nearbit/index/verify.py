"""What is wrong with an index, in words."""

import sqlite3
from collections.abc import Iterator

import numpy as np

from nearbit.codes import n_bytes
from nearbit.errors import IndexFileError
from nearbit.index.keeper import Keeper
from nearbit.index.loading import Loaded, load_all
from nearbit.index.search import cut, plain_search
from nearbit.index.snapshot import Snapshot
from nearbit.index.statements import last_id

SAMPLE, NEAREST = 20, 100
"""How many items are searched from, and how many of their neighbors are compared."""


def problems(connection: sqlite3.Connection, keeper: Keeper, n_bits: int, outputs: str | None) -> Iterator[str]:
    """Yield what is wrong: SQLite's own check, the rows, then the search structure against the rows."""
    for (line,) in connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"SQLite: {line}"
    wrong = list(_rows(connection, n_bits))
    yield from wrong
    if outputs is not None:
        yield from _outputs(connection, outputs, n_bits)
    if not wrong:
        yield from _search(connection, keeper, n_bits)


def _rows(connection: sqlite3.Connection, n_bits: int) -> Iterator[str]:
    """Yield what is wrong with single rows: widths and tail bits of codes, ids, labels and metadata."""
    width, unused = n_bytes(n_bits), -n_bits % 8
    last = last_id(connection)
    for item_id, code in connection.execute("SELECT id, code FROM items ORDER BY id"):
        if not isinstance(code, bytes) or len(code) != width:
            yield f"item {item_id}: its code should have {width} bytes"
        elif code[-1] & ((1 << unused) - 1):
            yield f"item {item_id}: the last {unused} bits of its code should be 0"
        if not 0 <= item_id <= last:
            yield f"item {item_id}: its id lies outside 0 … {last}, the ids that were ever used"
    for (item_id,) in connection.execute(
        "SELECT id FROM items WHERE NOT (json_valid(labels) AND json_valid(metadata))"
    ):
        yield f"item {item_id}: its labels or metadata are not JSON"


def _outputs(connection: sqlite3.Connection, kind: str, n_bits: int) -> Iterator[str]:
    """Yield which items lack outputs, which outputs lack an item, and which have another width."""
    width = n_bits * np.dtype(kind).itemsize
    for sql, words in (
        ("SELECT id FROM items WHERE id NOT IN (SELECT id FROM outputs)", "its outputs are missing"),
        ("SELECT id FROM outputs WHERE id NOT IN (SELECT id FROM items)", "outputs of an item that is not there"),
        (
            f"SELECT id FROM outputs WHERE typeof(data) <> 'blob' OR length(data) <> {width}",
            f"its outputs should have {width} bytes",
        ),
    ):
        yield from (f"item {item_id}: {words}" for (item_id,) in connection.execute(sql))


def _search(connection: sqlite3.Connection, keeper: Keeper, n_bits: int) -> Iterator[str]:
    """Yield how what is searched differs from the rows of the file."""
    snapshot = keeper.at(connection)
    truth = load_all(connection, n_bits, None)
    if snapshot is None:
        raise IndexFileError("the index was written to while it was verified; verify it again")
    if not _same(snapshot.items(), truth):
        yield "the search structure in memory differs from the file; open the index again"
        return
    yield from _searches(snapshot, truth)


def _searches(snapshot: Snapshot, truth: Loaded) -> Iterator[str]:
    rows = np.linspace(0, max(0, len(truth.ids) - 1), min(SAMPLE, len(truth.ids)), dtype=np.intp)
    queries = truth.words[rows]
    limits = np.full(len(rows), snapshot.n_bits, np.int32)
    expected = cut(plain_search(queries, truth.words, truth.ids, k=NEAREST, limits=limits), NEAREST)
    found = snapshot.nearest(queries, k=NEAREST, radius=None)
    if not (np.array_equal(found.ids, expected.ids) and np.array_equal(found.distances, expected.distances)):
        yield "a search finds something else than a comparison with every item"


def _same(a: Loaded, b: Loaded) -> bool:
    return np.array_equal(a.ids, b.ids) and np.array_equal(a.words, b.words)
