"""The connections to an index file: opening, transactions, and SQLite's errors in plain words."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final

from nearbit.errors import IndexFileError
from nearbit.index.writer_lock import WriterLock

Connection = sqlite3.Connection

BUSY_SECONDS = 5.0
"""How long a writer waits for another one before it gives up."""

_PLAIN_WORDS = (
    ("locked", "another program is writing to it; wait until it is done, then try again"),
    ("not a database", "it is damaged; restore it from a copy or build it again"),
    ("malformed", "it is damaged; restore it from a copy or build it again"),
    ("disk is full", "the disk is full; nothing was written; make room and try again"),
    ("disk I/O error", "the disk is full or fails; what was not acknowledged was not written; see to it and try again"),
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
    """An index file, open: a connection for reading and one for writing, shared by the threads of this process.

    Reads take turns among themselves, and so do writes; a read never waits for a write.
    """

    def __init__(self, path: Path, mode: str, *, read_only: bool = False) -> None:
        """Open the file; `mode` is "rw", or "rwc", the only one that may create it.

        With `read_only`, no statement may change the file. It is opened for writing all the same, so that what a
        killed writer left in the log is taken over, and the log is put away at the end; in a folder that cannot be
        written it is opened as it lies there.

        Raises:
            IndexFileError: the file cannot be opened.
        """
        self.path = path
        self.writer_lock = WriterLock(path)
        self._unchanging = _signature(path) if read_only and _is_sealed(path) else None
        self._reading, self._writing = threading.RLock(), threading.RLock()
        self._reader: Connection | None = None
        self._writer: Connection | None = None
        with plain_errors(path):
            self._reader = _connect(path, "ro&immutable=1" if self._unchanging else mode, read_only)
            if not read_only:
                self._writer = _connect(path, mode, read_only)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give the reading connection inside a transaction: every query in it sees one state of the file."""
        with self._reading, _transaction(self.path, self._open(self._reader), "BEGIN") as connection:
            self._check_unchanged()
            yield connection
            self._check_unchanged()

    @contextmanager
    def write(self, *, wait: float | None = None) -> Iterator[Connection]:
        """Give the writing connection inside a transaction: durable at the end, undone on any error.

        Args:
            wait: the most seconds to wait for another writer; None for `BUSY_SECONDS`.
        """
        seconds = BUSY_SECONDS if wait is None else wait
        with self.writer_lock.held(seconds), self._writing:  # in the order of those who hold the lock for several calls
            connection = self._open(self._writer)
            with plain_errors(self.path):
                connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
            with _transaction(self.path, connection, "BEGIN IMMEDIATE"):
                yield connection

    def enter_wal(self) -> None:
        """Make the file use a write-ahead log, so that readers and the writer do not wait for each other."""
        with self._writing, plain_errors(self.path):
            self._open(self._writer).execute("PRAGMA journal_mode = WAL").fetchone()

    def vacuum(self) -> None:
        """Write the file anew without the room that removed items left."""
        with self.writer_lock.held(BUSY_SECONDS), self._writing, plain_errors(self.path):
            self._open(self._writer).execute("VACUUM")

    def file_bytes(self) -> int:
        """Return the size of the file and of its write-ahead log, in bytes."""
        log = self.path.with_name(f"{self.path.name}-wal")
        return self.path.stat().st_size + (log.stat().st_size if log.exists() else 0)

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        with self._writing, self._reading, plain_errors(self.path):
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._reader is None

    def _open(self, connection: Connection | None) -> Connection:
        if connection is None:
            raise IndexFileError(f"the index {self.path} is closed; open_index opens it again")
        return connection

    def _check_unchanged(self) -> None:
        """Raise where a file that was opened as it lies in a sealed folder was changed by someone who may."""
        if self._unchanging is not None and (self._unchanging != _signature(self.path) or not _is_sealed(self.path)):
            raise IndexFileError(
                f"the index {self.path} was changed while it was read in a folder that cannot be written: open it again"
            )


@contextmanager
def _transaction(path: Path, connection: Connection, begin: str) -> Iterator[Connection]:
    with plain_errors(path):
        try:
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(sqlite3.Error):  # the first error says more, and closing rolls back too
                    connection.execute("ROLLBACK")
            raise


def _is_sealed(path: Path) -> bool:
    """Return whether a file lies in a folder that cannot be written, without a log of a writer beside it."""
    log = path.with_name(f"{path.name}-wal")
    return not os.access(path.absolute().parent, os.W_OK) and not (log.exists() and log.stat().st_size)


def _signature(path: Path) -> tuple[int, int, int]:
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _connect(path: Path, mode: str, read_only: bool) -> Connection:
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
