"""What is read from and written to the tables of an index, inside the caller's transaction."""

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes
from nearbit.errors import InputError
from nearbit.index.results import Ids, Item
from nearbit.index.storage import key_filters
from nearbit.index.storage.damage import Damage
from nearbit.index.storage.outputs import StoredOutputs
from nearbit.index.storage.rows import (
    EMPTY,
    ITEM_COLUMNS,
    TEXTS,
    Fields,
    has_checksums,
    item_of,
    item_sum,
    item_sums,
    labels_of,
    output_sum,
    row_sums,
    stored_text,
    text_sum,
)

LAST_ID = np.iinfo(np.int64).max

Condition = tuple[str, list[str | int | float | bytes]]
"""An SQL condition over a row of `items`, and its parameters."""

IS_AMONG = "id IN (SELECT value FROM json_each(?))"


def insert_items(
    connection: sqlite3.Connection, ids: Ids, codes: Codes, fields: Sequence[Fields] | None, *, replace: bool
) -> None:
    """Write items, and raise the mark of the highest id ever used; without `fields`, items of a code alone."""
    verb = "INSERT OR REPLACE" if replace else "INSERT"
    numbers, blobs, sums = ids.tolist(), row_bytes(codes), item_sums(ids, codes, fields)
    if fields is None:
        sql = f"{verb} INTO items (id, code, labels, metadata, checksum) VALUES (?, ?, '[]', '{{}}', ?)"
        connection.executemany(sql, zip(numbers, blobs, sums, strict=True))
    else:
        sql = f"{verb} INTO items ({ITEM_COLUMNS}, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)"
        paths, labels, metadata, digests = zip(*fields, strict=True) if fields else ((), (), (), ())
        connection.executemany(sql, zip(numbers, blobs, paths, labels, metadata, digests, sums, strict=True))
    if len(ids):
        key_filters.put(connection, numbers, [EMPTY] * len(numbers) if fields is None else fields)
        raise_last_id(connection, int(ids.max()))


def insert_outputs(connection: sqlite3.Connection, ids: Ids, outputs: StoredOutputs) -> None:
    """Write the outputs of items, in the place of those that were there."""
    sums = row_sums(ids[:, None], outputs.scales.astype(np.float64)[:, None], outputs.rows).tolist()
    rows = zip(ids.tolist(), outputs.scales.tolist(), row_bytes(outputs.rows), sums, strict=True)
    connection.executemany("INSERT OR REPLACE INTO outputs (id, scale, data, checksum) VALUES (?, ?, ?, ?)", rows)


def update_fields(connection: sqlite3.Connection, ids: Ids, fields: Sequence[Fields]) -> None:
    """Write the path, labels, metadata and digest of items that are there."""
    rows = ((*own, ~TEXTS, text_sum(own), item_id) for item_id, own in zip(ids.tolist(), fields, strict=True))
    sql = "UPDATE items SET path = ?, labels = ?, metadata = ?, digest = ?, checksum = (checksum & ?) | ? WHERE id = ?"
    connection.executemany(sql, rows)
    key_filters.put(connection, ids.tolist(), fields)


def next_ids(connection: sqlite3.Connection, n: int) -> Ids:
    """Return `n` ids that were never used: those after the highest one that ever was."""
    last = last_id(connection)
    if last > LAST_ID - n:
        raise InputError(f"no ids are left after {last}; give ids yourself")
    return np.arange(last + 1, last + 1 + n, dtype=np.int64)


def present_ids(connection: sqlite3.Connection, ids: Ids) -> Ids:
    """Return those of the ids that the index holds, ascending."""
    return _ids(connection.execute(f"SELECT id FROM items WHERE {IS_AMONG} ORDER BY id", (_json(ids),)))


def matching_ids(connection: sqlite3.Connection, condition: Condition, among: Ids | None = None) -> Ids:
    """Return the ids of the items that meet a condition, ascending; only those of `among`, where it is given."""
    sql, parameters = condition
    if among is not None:
        sql, parameters = f"{IS_AMONG} AND {sql}", [_json(among), *parameters]
    return _ids(connection.execute(f"SELECT id FROM items WHERE {sql} ORDER BY id", parameters))


def delete_items(connection: sqlite3.Connection, ids: Ids) -> None:
    """Delete the items of these ids, and their outputs."""
    for table in ("items", "outputs"):
        connection.execute(f"DELETE FROM {table} WHERE {IS_AMONG}", (_json(ids),))
    key_filters.forget(connection, ids.tolist())


def items_of(connection: sqlite3.Connection, ids: Ids) -> list[Item]:
    """Return the items of these ids, in that order.

    Raises:
        InputError: the index holds no item of one of the ids.
    """
    sql = f"SELECT {_columns(connection)} FROM items WHERE {IS_AMONG}"
    found = {row[0]: row for row in connection.execute(sql, (_json(ids),))}
    missing = next((item_id for item_id in ids.tolist() if item_id not in found), None)
    if missing is not None:
        raise InputError(f"the index holds no item {missing}; items() takes ids that add or search returned")
    return [_whole_item(found[item_id]) for item_id in ids.tolist()]


def items_after(connection: sqlite3.Connection, last: int, n: int) -> list[Item]:
    """Return the next `n` items with an id above `last`, by id."""
    sql = f"SELECT {_columns(connection)} FROM items WHERE id > ? ORDER BY id LIMIT ?"
    return [_whole_item(row) for row in connection.execute(sql, (last, min(n, LAST_ID)))]


def _columns(connection: sqlite3.Connection) -> str:
    """Return the columns of an item and, where rows have one, of its checksum."""
    return f"{ITEM_COLUMNS}, checksum" if has_checksums(connection) else ITEM_COLUMNS


def _whole_item(row: tuple[Any, ...]) -> Item:
    """Return the item of a row; raise `Damage` where its checksum is not that of its columns."""
    item = item_of(row[:6])
    if len(row) > 6 and row[6] != item_sum(row[:6]):
        raise Damage(f"item {item.id} does not match its checksum")
    return item


def outputs_of(connection: sqlite3.Connection, ids: Ids, kind: str, n_bits: int) -> tuple[Ids, StoredOutputs]:
    """Return the outputs of those of the ids that have some, by id."""
    sums = "checksum" if has_checksums(connection) else "NULL"
    sql = f"SELECT id, scale, data, {sums} FROM outputs WHERE {IS_AMONG} ORDER BY id"
    rows = connection.execute(sql, (_json(np.unique(ids)),)).fetchall()
    width = n_bits * np.dtype(kind).itemsize
    for row in rows:
        if not (isinstance(row[1], float) and isinstance(row[2], bytes) and len(row[2]) == width):
            raise Damage(f"the outputs of item {row[0]} should be a number and {width} bytes")
        if sums != "NULL" and row[3] != output_sum(*row[:3]):
            raise Damage(f"the outputs of item {row[0]} do not match their checksum")
    found = np.array([row[0] for row in rows], np.int64)
    scales = np.array([row[1] for row in rows], np.float32)
    return found, StoredOutputs.of(kind, n_bits, scales, b"".join(row[2] for row in rows))


def label_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many items have each label, by label."""
    sets = Counter(text for (text,) in connection.execute("SELECT labels FROM items"))
    counts: dict[str, int] = {}
    for text, n in sets.items():
        for label in dict.fromkeys(labels_of(text)):
            counts[label] = counts.get(label, 0) + n
    return dict(sorted(counts.items()))


def paths(connection: sqlite3.Connection) -> list[tuple[str, int, str | None]]:
    """Return (path, id, digest) of each item that has a path, by id."""
    rows = connection.execute("SELECT path, id, digest FROM items WHERE path IS NOT NULL ORDER BY id").fetchall()
    for path, item_id, digest in rows:
        stored_text(path, item_id, "path")
        stored_text(digest, item_id, "digest")
    return rows


def n_items(connection: sqlite3.Connection) -> int:
    """Return the number of items; counted row by row, so that a table that leads in a circle comes to an end."""
    return int(connection.execute("SELECT count(id) FROM items").fetchone()[0])


def raise_last_id(connection: sqlite3.Connection, used: int) -> None:
    """Raise the mark of the highest id ever used to `used`, unless it is higher."""
    highest = max(last_id(connection), used)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'last_id'", (str(highest),))


def last_id(connection: sqlite3.Connection) -> int:
    """Return the highest id that was ever used."""
    return int(connection.execute("SELECT value FROM meta WHERE key = 'last_id'").fetchone()[0])


def row_bytes(rows: npt.NDArray[Any]) -> list[bytes]:
    """Return each row of an array as bytes."""
    packed = np.ascontiguousarray(rows)
    if not len(packed):
        return []
    size = packed.itemsize * packed.shape[1]  # the stride of a single row may be anything
    whole: list[bytes] = packed.view(f"V{size}").ravel().tolist()
    return whole


def _json(ids: Ids) -> str:
    return json.dumps(ids.tolist())


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
