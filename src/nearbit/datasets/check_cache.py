"""A small SQLite file that remembers the digests of files that were decoded without an error."""

import os
import sqlite3
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType

from nearbit.datasets.decoding.pixel_limit import MAX_PIXELS

SETTLED_NS = 2_000_000_000
"""A file changed less than this many nanoseconds ago may change again at the same time stamp."""

_VERSION = 3  # of what is taken for a good file
_TABLE = """CREATE TABLE IF NOT EXISTS checked (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    digest TEXT NOT NULL) WITHOUT ROWID"""


@dataclass(frozen=True)
class Stamp:
    """What tells whether a file is still the one that was checked.

    Attributes:
        size: in bytes.
        mtime_ns: the time of change in nanoseconds, which tools that copy or unpack set as they like.
        ctime_ns: the time of the last change of anything about it, which nobody can set (on Windows, when it was made).
    """

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """Return the stamp of a file by what the system says of it."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def is_settled(self, now_ns: int) -> bool:
        """Say whether the file was left alone for so long before `now_ns` that a change since would give another."""
        return max(self.mtime_ns, self.ctime_ns) < now_ns - SETTLED_NS


class CheckCache:
    """Digests by path and stamp, a shortcut only: a damaged file is made anew, an unwritable one is done without."""

    def __init__(self, folder: Path, limit: int = MAX_PIXELS) -> None:
        """Take the folder, and the most pixels that a good file has: under another limit it is another cache."""
        name = f"checked-{_VERSION}.sqlite" if limit == MAX_PIXELS else f"checked-{_VERSION}-{limit}.sqlite"
        self._file = folder / "datasets" / name
        self._connection = self._open()

    def __enter__(self) -> "CheckCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self.commit()
            self._connection.close()

    def get(self, path: Path, stamp: Stamp) -> str | None:
        """Return the digest of a file that has not changed since, or None."""
        if self._connection is None:
            return None
        question = "SELECT digest FROM checked WHERE path = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?"
        try:
            row = self._connection.execute(question, (os.fsencode(path), *astuple(stamp))).fetchone()
        except sqlite3.DatabaseError:
            self._abandon()
            return None
        return None if row is None else str(row[0])

    def put(self, path: Path, stamp: Stamp, digest: str) -> None:
        """Remember a digest; it is kept from the next `commit` on."""
        if self._connection is not None:
            entry = (os.fsencode(path), *astuple(stamp), digest)
            try:
                self._connection.execute("INSERT OR REPLACE INTO checked VALUES (?, ?, ?, ?, ?)", entry)
            except sqlite3.DatabaseError:  # read-only, full, damaged or locked for long: go on without
                self._abandon()

    def commit(self) -> None:
        """Keep what was put."""
        if self._connection is not None:
            try:
                self._connection.commit()
            except sqlite3.DatabaseError:
                self._abandon()

    def _open(self) -> sqlite3.Connection | None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._connect()
            except sqlite3.OperationalError:
                return None
            except sqlite3.DatabaseError:  # not a database any more
                self._file.unlink(missing_ok=True)
                return self._connect()
        except (OSError, sqlite3.Error):
            return None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=30)
        try:
            connection.execute(_TABLE)
            connection.execute("SELECT path, size, mtime_ns, ctime_ns, digest FROM checked LIMIT 1").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _abandon(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
