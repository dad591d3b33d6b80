"""An index file, open: transactions on connections that are sure to be those of the file at its path."""

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import final

from nearbit.errors import IndexFileError
from nearbit.index.storage import open_file
from nearbit.index.storage.connecting import Connection, bound_steps, connect, plain_errors
from nearbit.index.storage.log_owner import LOG_BASE, STAMP_DIGITS, is_foreign, put_away
from nearbit.index.storage.open_file import OpenFile, check_header, log_bytes
from nearbit.index.storage.writer_lock import WriterLock

BUSY_SECONDS = 5.0
"""How long a writer waits for another one before it gives up."""

EMPTYING_MILLISECONDS = 20
"""How long the emptying of the log waits for those who read in it; the next write empties it otherwise."""

_inherited: list[Connection | None] = []
"""Connections that came through a fork: SQLite forbids even to close them."""


@final
class Store:
    """An index file, open: a connection for reading and one for writing, shared by the threads of this process.

    Reads take turns among themselves, and so do writes; a read never waits for a write. Each transaction looks first
    whether the file is still the one at its path, and whether it was changed without its log: by another name of it, or
    by a copy over it.

    Attributes:
        path: the real file.
        read_only: whether no statement may change the file.
        writer_lock: held by its one writer.
        identity: the recorded `index_id`, once it was read; a file that has another one is another index.
    """

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False, outlives: bool = False) -> None:
        """Open the file.

        With `read_only`, no statement may change the file. It is opened for writing all the same, so that what a
        killed writer left in the log is taken over, and the log is put away at the end; in a folder that cannot be
        written it is opened as it lies there.

        Args:
            path: the file, by any of its names.
            create: make it, empty, where it is missing.
            read_only: see above.
            outlives: go on reading where another file took its place; for who looks himself (`is_in_place`).

        Raises:
            IndexFileError: the file cannot be opened, or is no SQLite file.
        """
        self.path = open_file.real_path(path)
        self._named = path.absolute()
        self.read_only, self._outlives = read_only, outlives
        self._reading, self._writing = threading.RLock(), threading.RLock()
        self._reader: Connection | None = None
        self._writer: Connection | None = None
        self._unchanging: tuple[int, int, int] | None = None
        self.identity: str | None = None
        self._is_overwritten = False
        self._process = os.getpid()
        with open_file.opening:
            self._file = self._hold(create)
            self._is_held = True
            self.writer_lock = WriterLock(self.path, self._file)
            try:
                check_header(self.path, self._file)
                self._unchanging = _signature(self.path) if read_only and _is_sealed(self.path) else None
                self._attach()
            except BaseException:
                self.close()
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give the reading connection inside a transaction: every query in it sees one state of the file.

        Raises:
            IndexFileError: the file cannot be read, or was deleted or replaced (but for a store that `outlives` it).
        """
        self._check_open()  # before the lock, which a forked child may never get
        for attempt in (1, 2):
            with self._reading:
                if not self._outlives:
                    self._check_place()
                with _Transaction(self.path, self._open(self._reader), "BEGIN") as connection:
                    if attempt == 2 or self._is_current(connection):
                        self._check_unchanged()
                        bound_steps(connection, self.file_bytes())
                        yield connection
                        self._check_unchanged()
                        return
            self._renew()

    @contextmanager
    def write(self, *, wait: float | None = None) -> Iterator[Connection]:
        """Give the writing connection inside a transaction: durable at the end, undone on any error.

        Args:
            wait: the most seconds to wait for another writer; None for `BUSY_SECONDS`.

        Raises:
            IndexFileError: the file cannot be written, or was deleted or replaced: nothing is acknowledged.
        """
        self.check_writable()
        self._check_open()
        seconds = BUSY_SECONDS if wait is None else wait
        with self.writer_lock.held(seconds), self._writing:  # in the order of those who hold the lock for several calls
            stamp = None
            for attempt in (1, 2):
                self._check_place()
                connection = self._open(self._writer)
                with plain_errors(self.path):
                    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
                with _Transaction(self.path, connection, "BEGIN IMMEDIATE"):
                    if attempt == 2 or self._is_current(connection):
                        before = connection.total_changes
                        yield connection
                        stamp = self._stamp(connection) if connection.total_changes != before else None
                        self._check_place()
                        break
                self._renew()
            self._empty_log(stamp)

    def check_writable(self) -> None:
        """Raise `IndexFileError` where the file was opened to be read only."""
        if self.read_only:
            raise IndexFileError(f"the index {self.path} was opened read-only; open_index without read_only can write")

    def is_in_place(self) -> bool:
        """Return whether the file at the path is the one that is open."""
        return self._file.is_at(self._named)

    def enter_wal(self) -> None:
        """Make the file use a write-ahead log, so that readers and the writer do not wait for each other."""
        with self._writing, plain_errors(self.path):
            self._open(self._writer).execute("PRAGMA journal_mode = WAL").fetchone()

    def vacuum(self) -> None:
        """Write the file anew without the room that removed items left."""
        self._check_open()
        with self.writer_lock.held(BUSY_SECONDS), self._writing:
            self._check_place()
            with plain_errors(self.path):
                self._open(self._writer).execute("VACUUM")
            self._empty_log(None)

    def file_bytes(self) -> int:
        """Return the size of the file and of its write-ahead log, in bytes."""
        return self._file.size() + log_bytes(self._file.path)

    def close(self) -> None:
        """Close the connections; a second call does nothing.

        The last connection to a file takes its log over and removes it by name. So where another file took the place
        of this one, the connection that cannot write is closed last.
        """
        if self._process != os.getpid():
            _inherited.extend((self._reader, self._writer))
            return
        with self._writing, self._reading, open_file.opening:
            if self._is_held:
                self._is_held = False
                try:
                    with plain_errors(self.path):
                        self._disconnect()
                finally:
                    open_file.let_go(self._file)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called, or this process is a fork of the one that opened it."""
        return not self._is_held or self._process != os.getpid()

    def _hold(self, create: bool) -> OpenFile:
        try:
            return open_file.hold(self.path, create=create)
        except OSError as error:
            raise IndexFileError(
                f"the index {self.path} cannot be opened: {error.strerror}; check the permissions of the file and of "
                "its folder"
            ) from error

    def _attach(self) -> None:
        """Connect, after putting away a log beside the file that is not its own."""
        if self._unchanging is not None or not self._has_foreign_log():
            self._connect()
            return
        with self.writer_lock.held(BUSY_SECONDS):
            if self._has_foreign_log():
                put_away(self._file)
            self._connect()

    def _has_foreign_log(self) -> bool:
        return self._file.has_log() and is_foreign(self._file)

    def _connect(self) -> None:
        """Open the connections, and read once, so that others can see that the file is in use."""
        with plain_errors(self.path):
            if self._unchanging is None:
                self._writer = connect(self._file.path, "rw", self.read_only)
            self._reader = connect(self._file.path, "ro" if self._unchanging is None else "ro&immutable=1", True)
            for connection in (self._writer, self._reader):
                if connection is not None:
                    connection.execute("PRAGMA user_version").fetchone()

    def _disconnect(self) -> None:
        is_replaced = self._named.exists() and not self.is_in_place()
        both = (self._writer, self._reader) if is_replaced else (self._reader, self._writer)
        self._reader = self._writer = None
        for connection in both:
            if connection is not None:
                connection.close()

    def _renew(self) -> None:
        """Connect anew: the file was changed without the log that these connections watch."""
        with self._writing, self._reading, open_file.opening:
            self._open(self._reader)
            if any(one is not None and one.in_transaction for one in (self._reader, self._writer)):
                raise IndexFileError(
                    f"the index {self.path} was changed under another name while it was used; try again"
                )
            with plain_errors(self.path):
                self._disconnect()
            check_header(self.path, self._file)
            self._connect()
            with plain_errors(self.path):
                found = self._open(self._reader).execute("SELECT value FROM meta WHERE key = 'index_id'").fetchone()
        self._is_overwritten = self.identity is not None and found != (self.identity,)
        self._open(self._reader)

    def _open(self, connection: Connection | None) -> Connection:
        """Return a connection, of which only who holds its lock can tell whether it is there."""
        self._check_open()
        if connection is None:
            raise self._closed()
        return connection

    def _check_open(self) -> None:
        if self._process != os.getpid():
            raise IndexFileError(
                f"the index {self.path} was opened by process {self._process}, of which this one is a fork; "
                "open it again here (open_index)"
            )
        if self._is_overwritten:
            raise IndexFileError(
                f"another index was copied over {self.path} while it was open; open it again (open_index), and put an "
                "index in its place with nearbit index replace INDEX NEW"
            )
        if not self._is_held:
            raise self._closed()

    def _closed(self) -> IndexFileError:
        return IndexFileError(f"the index {self.path} is closed; open_index opens it again")

    def _check_place(self) -> None:
        self._open(self._reader)
        if not self.is_in_place():
            what = "replaced by another file" if self._named.exists() else "deleted or moved"
            raise IndexFileError(f"the index {self.path} was {what} while it was open; open it again (open_index)")

    def _is_current(self, connection: Connection) -> bool:
        """Return whether the file is as the log that this connection reads left it; only an empty log can tell."""
        if self._unchanging is not None:
            return True
        known = connection.execute("PRAGMA user_version").fetchone()[0]
        return known == self._file.stamp() or log_bytes(self._file.path) > 0

    def _stamp(self, connection: Connection) -> int:
        """Draw the stamp of a write, and note the one that the file has: what its log goes on from."""
        stamp = 1 + secrets.randbelow(2**31 - 1)
        base = f"{self._file.stamp() % 2**32:0{STAMP_DIGITS}d}"
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (LOG_BASE, base))
        connection.execute(f"PRAGMA user_version = {stamp}")
        return stamp

    def _empty_log(self, stamp: int | None) -> None:
        """Take the log over into the file, unless somebody reads in it for long; see that what was written is there.

        A failure leaves all of it in the log, where it is durable too.
        """
        connection = self._open(self._writer)
        with suppress(sqlite3.Error):  # a full disk: the write that fills the log will say so
            connection.execute(f"PRAGMA busy_timeout = {EMPTYING_MILLISECONDS}")
            is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if not is_busy and stamp is not None and self._file.stamp() != stamp and not log_bytes(self._file.path):
                raise IndexFileError(
                    f"the index {self.path} was changed by another program while it was written: what was written is "
                    "not in it; open it again (open_index) and try again"
                )
        self._check_place()

    def _check_unchanged(self) -> None:
        """Raise where a file that was opened as it lies in a sealed folder was changed by someone who may."""
        if self._unchanging is not None and (self._unchanging != _signature(self.path) or not _is_sealed(self.path)):
            raise IndexFileError(
                f"the index {self.path} was changed while it was read in a folder that cannot be written: open it again"
            )


@final
class _Transaction:
    """A transaction on a connection, ended by COMMIT, after any error by ROLLBACK; errors come in plain words."""

    __slots__ = ("_begin", "_connection", "_words")

    def __init__(self, path: Path, connection: Connection, begin: str) -> None:
        self._words, self._connection, self._begin = plain_errors(path), connection, begin

    def __enter__(self) -> Connection:
        try:
            self._connection.execute(self._begin)
        except BaseException as error:
            self._undo(error)
            raise
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._undo(error)
            return
        try:
            self._connection.execute("COMMIT")
        except BaseException as failed:
            self._undo(failed)
            raise

    def _undo(self, error: BaseException) -> None:
        """Roll back, and raise the error in plain words where it is one of SQLite."""
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):  # the first error says more, and closing rolls back too
                self._connection.execute("ROLLBACK")
        self._words.__exit__(type(error), error, None)


def _is_sealed(path: Path) -> bool:
    """Return whether a file lies in a folder that cannot be written, without a log of a writer beside it."""
    return not os.access(path.absolute().parent, os.W_OK) and not log_bytes(path)


def _signature(path: Path) -> tuple[int, int, int]:
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
