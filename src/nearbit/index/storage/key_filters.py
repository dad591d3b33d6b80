"""Filters that a file keeps a table for, where one is asked for: which items have which value of path, digest or a key.

The table holds a row for each item that has the key: of `path` and `digest` each item has one. Its values are what a
filter compares: texts and numbers as they are, true, false and null as bytes, which no metadata holds. Lists and dicts
are no values. The rows that it names meet the exact condition, too: it only spares the others a look. A file that keeps
filters is of format 4; without any it is of format 3.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nearbit.errors import InputError
from nearbit.index.storage.connecting import Connection
from nearbit.index.storage.rows import Fields, format_of, metadata_of

TABLE = (
    "CREATE TABLE filters (key TEXT NOT NULL, value, id INTEGER NOT NULL, PRIMARY KEY (key, value, id)) WITHOUT ROWID"
)
BY_ITEM = "CREATE INDEX filters_by_item ON filters (id)"
VERSION, VERSION_WITHOUT = 4, 3
NOTE = "filter:"
"""How the keys begin under which the table of recorded facts names the filters."""
MOST_FILTERS = 16
ITEMS_PER_PAGE = 10_000

Value = str | int | float | bytes


def value_of(value: Any) -> Value | None:
    """Return a value as the table holds it; None for a list or a dict."""
    if value is None or isinstance(value, bool):
        return json.dumps(value).encode()
    return value if isinstance(value, str | int | float) else None


def kept_keys(connection: Connection) -> list[str]:
    """Return the keys that the file keeps filters for, sorted, in the state that a transaction sees."""
    rows = connection.execute("SELECT key FROM meta WHERE key > ? AND key < ? ORDER BY key", (NOTE, "filter;"))
    return [str(key).removeprefix(NOTE) for (key,) in rows]


def keep(connection: Connection, key: str) -> None:
    """Fill the table for a key, inside the caller's write transaction; a filter that is there stays.

    Raises:
        InputError: an empty text, "labels", or the file keeps as many as it may.
    """
    kept = kept_keys(connection)
    if key in kept:
        return
    if not key or key == "labels":
        raise InputError(f"a filter is by path, digest or a key of the metadata, not {key!r}: labels need none")
    if len(kept) >= MOST_FILTERS:
        raise InputError(f"an index keeps at most {MOST_FILTERS} filters, here {', '.join(kept)}: drop one first")
    if format_of(connection) < VERSION:
        connection.execute(TABLE)
        connection.execute(BY_ITEM)
    connection.execute("INSERT INTO meta VALUES (?, '')", (f"{NOTE}{key}",))
    _put_version(connection, VERSION)
    for page in _pages(connection):
        _insert(connection, [key], page)


def drop(connection: Connection, key: str) -> None:
    """Take a filter away, inside the caller's write transaction; raise `InputError` where there is none."""
    kept = kept_keys(connection)
    if key not in kept:
        raise InputError(f"the index keeps no filter by {key!r}; it keeps {', '.join(kept) or 'none'}")
    connection.execute("DELETE FROM filters WHERE key = ?", (key,))
    connection.execute("DELETE FROM meta WHERE key = ?", (NOTE + key,))
    if len(kept) == 1:
        connection.execute("DROP TABLE filters")
        _put_version(connection, VERSION_WITHOUT)


def put(connection: Connection, ids: Sequence[int], fields: Iterable[Fields]) -> None:
    """Take into the table what items now are, in the place of what they were."""
    kept = kept_keys(connection)
    if kept:
        forget(connection, ids)
        _insert(connection, kept, zip(ids, fields, strict=True))


def forget(connection: Connection, ids: Sequence[int]) -> None:
    """Take items out of the table, if there is one."""
    if format_of(connection) >= VERSION:
        connection.executemany("DELETE FROM filters WHERE id = ?", ((number,) for number in ids))


def wrong_keys(connection: Connection) -> Iterator[str]:
    """Yield the keys whose rows in the table are not those of the items."""
    for key in kept_keys(connection):
        found = connection.execute("SELECT value, id FROM filters WHERE key = ? ORDER BY id", (key,))
        wanted = (row for page in _pages(connection) for row in _rows([key], page))
        if [tuple(row) for row in found] != [(value, number) for _, value, number in wanted]:
            yield key


def _insert(connection: Connection, keys: list[str], items: Iterable[tuple[int, Fields]]) -> None:
    connection.executemany("INSERT INTO filters VALUES (?, ?, ?)", _rows(keys, items))


def _rows(keys: list[str], items: Iterable[tuple[int, Fields]]) -> Iterator[tuple[str, Value, int]]:
    """Yield the rows of the table for some items."""
    for number, (path, _, metadata, digest) in items:
        own = {**metadata_of(metadata, number), "path": path, "digest": digest}
        for key in keys:
            value = value_of(own[key]) if key in own else None
            if value is not None:
                yield key, value, number


def _pages(connection: Connection) -> Iterator[list[tuple[int, Fields]]]:
    """Yield all items by id, page by page."""
    sql, last = "SELECT id, path, labels, metadata, digest FROM items WHERE id > ? ORDER BY id LIMIT ?", -(2**63)
    while rows := connection.execute(sql, (last, ITEMS_PER_PAGE)).fetchall():
        yield [(row[0], row[1:]) for row in rows]
        last = rows[-1][0]


def _put_version(connection: Connection, version: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('format_version', ?)", (str(version),))
