"""The file format: the tables of an index, its recorded facts (meta), and how a file is recognised as an index."""

import sqlite3
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nearbit.errors import IndexFileError
from nearbit.index.storage import key_filters
from nearbit.index.storage.change_log import TABLES as REVISION_TABLES
from nearbit.index.storage.change_log import begin_history
from nearbit.index.storage.damage import Damage
from nearbit.index.storage.rows import ITEM_COLUMNS, format_of, item_sum, output_sum

APPLICATION_ID = 0x6E626974
"""Bytes 68 to 71 of the file ("nbit"): how an index differs from any other SQLite file."""

FORMAT_VERSION = key_filters.VERSION
"""The newest format that is read."""

WRITTEN_VERSION = key_filters.VERSION_WITHOUT
"""The format of files that keep no filters: older ones are brought to it."""

META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
ITEMS = (
    "CREATE TABLE items (id INTEGER PRIMARY KEY, code BLOB NOT NULL, path TEXT, labels TEXT NOT NULL, "
    "metadata TEXT NOT NULL, digest TEXT)"
)
OUTPUTS = "CREATE TABLE outputs (id INTEGER PRIMARY KEY, scale REAL NOT NULL, data BLOB NOT NULL)"
SINCE_VERSION_2 = (*REVISION_TABLES, OUTPUTS)

ROWS_PER_PAGE = 10_000

ROWS_OF = {
    "items": f"SELECT {ITEM_COLUMNS} FROM items WHERE id > ? ORDER BY id LIMIT ?",
    "outputs": "SELECT id, scale, data FROM outputs WHERE id > ? ORDER BY id LIMIT ?",
}
"""How the rows of a table are read, page by page, to give them their checksums."""

LONGEST_NUMBER = 19
"""Digits of a recorded number; what has more was not written by us."""

Meta = dict[str, str]


def _summed(statement: str) -> str:
    """Return a table's statement as SQLite keeps it once a column of checksums was added."""
    return f"{statement.removesuffix(')')}, checksum INTEGER)"


SCHEMAS = {
    1: (META, ITEMS),
    2: (META, ITEMS, *SINCE_VERSION_2),
    3: (META, _summed(ITEMS), *REVISION_TABLES, _summed(OUTPUTS)),
    4: (META, _summed(ITEMS), *REVISION_TABLES, _summed(OUTPUTS), key_filters.TABLE, key_filters.BY_ITEM),
}
"""All that the file of each format holds; anything else is not ours."""


def is_blank(connection: sqlite3.Connection) -> bool:
    """Return whether the file holds nothing at all: new, or left by a creation that was cut short."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return not tables and connection.execute("PRAGMA application_id").fetchone()[0] == 0


def create_tables(connection: sqlite3.Connection, n_bits: int, model_id: str | None, outputs: str | None) -> None:
    """Make the tables and record the facts of a new index, inside the caller's transaction."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(META)
    connection.execute(ITEMS)
    meta = {
        "format_version": "1",
        "n_bits": str(n_bits),
        "last_id": "0",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    given = {"model_id": model_id, "outputs": outputs}
    meta |= {key: value for key, value in given.items() if value is not None}
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    upgrade(connection)


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring a file of before format 3 to it, inside the caller's write transaction; others are left alone."""
    version = format_of(connection)
    if version >= WRITTEN_VERSION:
        return
    meta = {"format_version": str(WRITTEN_VERSION)}
    if version == 1:
        for statement in SINCE_VERSION_2:
            connection.execute(statement)
        begin_history(connection)
        meta["index_id"] = uuid.uuid4().hex
    for table in ("items", "outputs"):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN checksum INTEGER")
    _put_sums(connection)
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())


def _put_sums(connection: sqlite3.Connection) -> None:
    """Give every row of a file that was written before rows had any its checksum, inside the caller's transaction.

    Raises:
        Damage: a row that no item has: a checksum would make it look whole.
    """
    for table, sql in ROWS_OF.items():
        last = -(2**63)
        while rows := connection.execute(sql, (last, ROWS_PER_PAGE)).fetchall():
            sums = [(_sum_of(row), row[0]) for row in rows]
            connection.executemany(f"UPDATE {table} SET checksum = ? WHERE id = ?", sums)
            last = rows[-1][0]


def _sum_of(row: Any) -> int:
    """Return the checksum of a row of either table."""
    if not isinstance(row[1 if len(row) > 3 else 2], bytes):
        raise Damage(f"the code or the outputs of item {row[0]} are no bytes")
    return item_sum(row) if len(row) > 3 else output_sum(*row)


def read_meta(connection: sqlite3.Connection, path: Path) -> Meta:
    """Return the recorded facts of an index after checking that this nearbit can read it.

    Raises:
        IndexFileError: not an index, of a newer format, with tables that are not ours, or without the facts that every
            index has.
    """
    if is_blank(connection):
        raise IndexFileError(f"{path} is empty, not an index: nearbit index (in Python create_index) makes one there")
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise IndexFileError(f"{path} is an SQLite file of another program, not an index of nearbit; name another file")
    schema = _schema(connection)
    _refuse_foreign(path, {"meta": META}, {"meta": schema.get("meta")})
    meta: Meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    version = _number(meta.get("format_version"))
    if version is not None and version > FORMAT_VERSION:
        raise IndexFileError(
            f"{path} has the index format {version}, made by a newer nearbit; this one reads up to {FORMAT_VERSION}: "
            "upgrade nearbit"
        )
    if not _is_complete(meta):
        raise IndexFileError(f"{path} is damaged: its recorded facts are incomplete; restore it or build it again")
    _refuse_foreign(path, {statement.split()[2]: statement for statement in SCHEMAS[int(version or 1)]}, schema)
    return meta


def _is_complete(meta: Meta) -> bool:
    """Return whether all facts are texts, and those are there that every index has."""
    if not all(isinstance(text, str) for pair in meta.items() for text in pair):
        return False
    version, n_bits, last = (_number(meta.get(name)) for name in ("format_version", "n_bits", "last_id"))
    return bool(version and n_bits) and last is not None and (version == 1 or bool(meta.get("index_id")))


def _number(text: str | None) -> int | None:
    """Return a recorded number, None where it is none."""
    is_number = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER
    return int(str(text)) if is_number else None


def _schema(connection: sqlite3.Connection) -> dict[str, str | None]:
    """Return the statement of each thing that the file holds beside rows, by name, white space made even."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master LIMIT 100")
    return {str(name): None if sql is None else " ".join(str(sql).split()) for name, sql in rows}


def _refuse_foreign(path: Path, ours: Mapping[str, str], found: Mapping[str, str | None]) -> None:
    """Raise where a file lacks one of our tables, has it in another form, or has anything else: a trigger, a view."""
    wrong = next((name for name in sorted({*ours, *found}) if ours.get(name) != found.get(name)), None)
    if wrong is None:
        return
    what = "something that is not of an index" if wrong in found and wrong not in ours else "no table of an index"
    raise IndexFileError(
        f"{path} is no index as nearbit makes it: under the name {wrong[:40]!r} it holds {what}; "
        "take the items over from a file that you trust"
    )
