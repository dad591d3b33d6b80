"""The file format: the tables of an index, its recorded facts (meta), and how a file is recognised as an index."""

import sqlite3
import uuid
from datetime import UTC, datetime
from pathlib import Path

from nearbit.errors import IndexFileError
from nearbit.index.revisions import TABLES as REVISION_TABLES
from nearbit.index.revisions import begin_history

APPLICATION_ID = 0x6E626974
"""Bytes 68 to 71 of the file ("nbit"): how an index differs from any other SQLite file."""

FORMAT_VERSION = 2

ITEMS = (
    "CREATE TABLE items (id INTEGER PRIMARY KEY, code BLOB NOT NULL, path TEXT, labels TEXT NOT NULL, "
    "metadata TEXT NOT NULL, digest TEXT)"
)
SINCE_VERSION_2 = (
    *REVISION_TABLES,
    "CREATE TABLE outputs (id INTEGER PRIMARY KEY, scale REAL NOT NULL, data BLOB NOT NULL)",
)

Meta = dict[str, str]


def is_blank(connection: sqlite3.Connection) -> bool:
    """Return whether the file holds nothing at all: new, or left by a creation that was cut short."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return not tables and connection.execute("PRAGMA application_id").fetchone()[0] == 0


def create_tables(connection: sqlite3.Connection, n_bits: int, model_id: str | None, outputs: str | None) -> None:
    """Make the tables and record the facts of a new index, inside the caller's transaction."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
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
    """Bring an older file to this format, inside the caller's write transaction; a current one is left alone."""
    if _version(connection) == FORMAT_VERSION:
        return
    for statement in SINCE_VERSION_2:
        connection.execute(statement)
    begin_history(connection)
    meta = {"index_id": uuid.uuid4().hex, "format_version": str(FORMAT_VERSION)}
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())


def read_meta(connection: sqlite3.Connection, path: Path) -> Meta:
    """Return the recorded facts of an index after checking that this nearbit can read it.

    Raises:
        IndexFileError: not an index, of a newer format, or without the facts that every index has.
    """
    if is_blank(connection):
        raise IndexFileError(f"{path} is empty, not an index: nearbit index (in Python create_index) makes one there")
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise IndexFileError(f"{path} is an SQLite file of another program, not an index of nearbit; name another file")
    meta: Meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    version = meta.get("format_version", "")
    if version.isdecimal() and int(version) > FORMAT_VERSION:
        raise IndexFileError(
            f"{path} has the index format {version}, made by a newer nearbit; this one reads up to {FORMAT_VERSION}: "
            "upgrade nearbit"
        )
    numbers = (version, meta.get("n_bits", ""), meta.get("last_id", ""))
    if not all(number.isdecimal() for number in numbers) or (version != "1" and not meta.get("index_id")):
        raise IndexFileError(f"{path} is damaged: its recorded facts are incomplete; restore it or build it again")
    return meta


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT value FROM meta WHERE key = 'format_version'").fetchone()[0])
