"""What is read from and written to the tables of an index, inside the caller's transaction."""

import json
import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np

from nearbit.codes import Codes, n_bytes
from nearbit.errors import InputError
from nearbit.index.filters import Condition
from nearbit.index.results import Ids, Item
from nearbit.index.rows import ITEM_COLUMNS, Fields, item_of

LAST_ID = np.iinfo(np.int64).max


def insert_items(
    connection: sqlite3.Connection, ids: Ids, codes: Codes, fields: Sequence[Fields], *, replace: bool
) -> None:
    """Write items, and raise the mark of the highest id ever used."""
    verb = "INSERT OR REPLACE" if replace else "INSERT"
    rows = ((item_id, code.tobytes(), *own) for item_id, code, own in zip(ids.tolist(), codes, fields, strict=True))
    connection.executemany(f"{verb} INTO items ({ITEM_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", rows)
    if len(ids):
        highest = max(_last_id(connection), int(ids.max()))
        connection.execute("UPDATE meta SET value = ? WHERE key = 'last_id'", (str(highest),))


def next_ids(connection: sqlite3.Connection, n: int) -> Ids:
    """Return `n` ids that were never used: those after the highest one that ever was."""
    last = _last_id(connection)
    if last > LAST_ID - n:
        raise InputError(f"no ids are left after {last}; give ids yourself")
    return np.arange(last + 1, last + 1 + n, dtype=np.int64)


def present_ids(connection: sqlite3.Connection, ids: Ids) -> Ids:
    """Return those of the ids that the index holds, ascending."""
    sql = "SELECT id FROM items WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
    return _ids(connection.execute(sql, (json.dumps(ids.tolist()),)))


def matching_ids(connection: sqlite3.Connection, condition: Condition) -> Ids:
    """Return the ids of the items that meet a condition, ascending."""
    sql, parameters = condition
    return _ids(connection.execute(f"SELECT id FROM items WHERE {sql} ORDER BY id", parameters))


def delete_items(connection: sqlite3.Connection, ids: Ids) -> None:
    """Delete the items of these ids."""
    connection.execute("DELETE FROM items WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids.tolist()),))


def items_of(connection: sqlite3.Connection, ids: Ids) -> list[Item]:
    """Return the items of these ids, in that order.

    Raises:
        InputError: the index holds no item of one of the ids.
    """
    sql = f"SELECT {ITEM_COLUMNS} FROM items WHERE id IN (SELECT value FROM json_each(?))"
    found = {row[0]: row for row in connection.execute(sql, (json.dumps(ids.tolist()),))}
    missing = next((item_id for item_id in ids.tolist() if item_id not in found), None)
    if missing is not None:
        raise InputError(f"the index holds no item {missing}; items() takes ids that add or search returned")
    return [item_of(found[item_id]) for item_id in ids.tolist()]


def items_after(connection: sqlite3.Connection, last: int, n: int) -> list[Item]:
    """Return the next `n` items with an id above `last`, by id."""
    rows = connection.execute(f"SELECT {ITEM_COLUMNS} FROM items WHERE id > ? ORDER BY id LIMIT ?", (last, n))
    return [item_of(row) for row in rows]


def label_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many items have each label, by label."""
    sql = (
        "SELECT label.value, count(DISTINCT items.id) FROM items, json_each(items.labels) AS label "
        "GROUP BY label.value ORDER BY label.value"
    )
    return dict(connection.execute(sql).fetchall())


def path_entries(connection: sqlite3.Connection) -> dict[str, tuple[int, str | None]]:
    """Return the id and digest of each path; of several items of one path, those of the highest id."""
    rows = connection.execute("SELECT path, id, digest FROM items WHERE path IS NOT NULL ORDER BY id")
    return {path: (item_id, digest) for path, item_id, digest in rows}


def problems(connection: sqlite3.Connection, n_bits: int) -> Iterator[str]:
    """Yield what is wrong with the file: SQLite's own check, widths and tail bits of codes, the mark of ids."""
    for (line,) in connection.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"SQLite: {line}"
    width, unused = n_bytes(n_bits), -n_bits % 8
    last = _last_id(connection)
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


def _last_id(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT value FROM meta WHERE key = 'last_id'").fetchone()[0])


def _ids(rows: sqlite3.Cursor) -> Ids:
    return np.fromiter((row[0] for row in rows), np.int64)


NOTE = "note:"
"""How the keys of notes begin in the table of recorded facts."""


def notes(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the owner's notes, by name."""
    rows = connection.execute("SELECT key, value FROM meta WHERE key LIKE ? ORDER BY key", (NOTE + "%",))
    return {str(key).removeprefix(NOTE): str(value) for key, value in rows}


def put_notes(connection: sqlite3.Connection, values: dict[str, str]) -> None:
    """Write notes, each in the place of the one of its name."""
    rows = [(NOTE + name, text) for name, text in values.items()]
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
