"""The connection to an index file: opening, transactions, and SQLite's errors in plain words."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from nearbit.errors import IndexFileError

Connection = sqlite3.Connection

BUSY_SECONDS = 5.0
"""How long a writer waits for another one before it gives up."""

_PLAIN_WORDS = (
    ("locked", "another process is writing to it; wait until it is done, then try again"),
    ("not a database", "it is damaged; restore it from a copy or build it again"),
    ("malformed", "it is damaged; restore it from a copy or build it again"),
    ("disk is full", "the disk is full; nothing was written; make room and try again"),
    ("readonly", "it, or its folder, cannot be written; check the permissions"),
    ("unable to open", "it cannot be opened; check the permissions of the file and of its folder"),
)


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn every error of SQLite into an `IndexFileError` that names the file and says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        reason = next((words for sign, words in _PLAIN_WORDS if sign in str(error)), f"SQLite says: {error}")
        raise IndexFileError(f"the index {path} cannot be used: {reason}") from error


@final
class Store:
    """One connection to an index file, shared by the threads of this process: they take turns."""

    def __init__(self, path: Path, mode: str, *, read_only: bool = False) -> None:
        """Open the file; `mode` is "rw", or "rwc", the only one that may create it.

        With `read_only`, no statement may change the file. It is opened for writing all the same, so that what a
        killed writer left in the log is taken over, and the log is put away at the end.

        Raises:
            IndexFileError: the file cannot be opened.
        """
        self.path = path
        self.lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        with plain_errors(path):
            self._connection = _connect(path, mode, read_only)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a read transaction: every query in it sees one state of the file."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a write transaction: durable at the end, undone on any error."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def enter_wal(self) -> None:
        """Make the file use a write-ahead log, so that readers and the writer do not wait for each other."""
        with self.lock, plain_errors(self.path):
            self._open_connection().execute("PRAGMA journal_mode = WAL").fetchone()

    def file_bytes(self) -> int:
        """Return the size of the file and of its write-ahead log, in bytes."""
        log = self.path.with_name(f"{self.path.name}-wal")
        return self.path.stat().st_size + (log.stat().st_size if log.exists() else 0)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self.lock, plain_errors(self.path):
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self.lock, plain_errors(self.path):
            connection = self._open_connection()
            try:
                connection.execute(begin)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise IndexFileError(f"the index {self.path} is closed; open_index opens it again")
        return self._connection


def _connect(path: Path, mode: str, read_only: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    except BaseException:
        connection.close()
        raise
    return connection
