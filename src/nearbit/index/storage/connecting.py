"""Connections to an index file: opened with all that SQLite has against hostile files, its errors in plain words."""

import sqlite3
import sys
from pathlib import Path
from types import TracebackType
from typing import final

from nearbit.errors import IndexFileError
from nearbit.index.storage.damage import Damage

Connection = sqlite3.Connection

LOCK_SECONDS = 5.0
"""How long SQLite itself waits for another connection."""

_PLAIN_WORDS = (
    ("locked", "another program is writing to it; wait until it is done, then try again"),
    ("not a database", "it is damaged; restore it from a copy or build it again"),
    ("malformed", "it is damaged; restore it from a copy or build it again"),
    ("UTF-8", "it is damaged: a text in it is not UTF-8; restore it from a copy or build it again"),
    ("interrupted", "it is damaged: reading it would never end; restore it from a copy or build it again"),
    ("disk is full", "the disk is full; nothing was written; make room and try again"),
    ("disk I/O error", "the disk is full or fails; what was not acknowledged was not written; see to it and try again"),
    ("readonly", "it, or its folder, cannot be written; check the permissions"),
    ("unable to open", "it cannot be opened; check the permissions of the file and of its folder"),
)


STEPS_PER_LOOK = 1_000_000

STEPS_PER_BYTE = 100
"""No transaction of ours takes more instructions of SQLite for each byte of the file, with as many bytes to begin with:
one that does goes round in pages that lead to themselves."""

FEWEST_BYTES = 1 << 20


def bound_steps(connection: Connection, file_bytes: int) -> None:
    """Let SQLite stop ("interrupted") what takes more steps from here on than the whole file is worth."""
    left = iter(range(1 + STEPS_PER_BYTE * max(file_bytes, FEWEST_BYTES) // STEPS_PER_LOOK))
    connection.set_progress_handler(lambda: next(left, None) is None, STEPS_PER_LOOK)


@final
class plain_errors:
    """Turn errors of SQLite and damaged content into an `IndexFileError` that names the file and says what to do."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        """Take the file."""
        self._path = path

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise what an error is in plain words."""
        if isinstance(error, sqlite3.Error):
            reason = next((words for sign, words in _PLAIN_WORDS if sign in str(error)), f"SQLite says: {error}")
            raise IndexFileError(f"the index {self._path} cannot be used: {reason}") from error
        if isinstance(error, Damage):
            raise IndexFileError(
                f"the index {self._path} is damaged: {error}; restore it from a copy or build it again "
                "(nearbit index verify INDEX lists what is wrong)"
            ) from error


def connect(path: Path, mode: str, read_only: bool) -> Connection:
    """Open a connection whose transactions are begun and ended by statements.

    Args:
        path: the file.
        mode: "rw", "ro", or more that a URI of SQLite takes.
        read_only: refuse statements that change the file.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=LOCK_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _defend(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    except BaseException:
        connection.close()
        raise
    return connection


def _defend(connection: Connection) -> None:
    """Let a file neither call functions nor run triggers and views, and look at each page before it is used."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA recursive_triggers = OFF")
    for limit, most in (
        (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (sqlite3.SQLITE_LIMIT_ATTACHED, 1),  # VACUUM needs one
        (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100),
        (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 10),
    ):
        connection.setlimit(limit, most)
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_VIEW, False)
