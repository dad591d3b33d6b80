"""The file of kept thumbnails: of our making or made anew, since anyone may have put a file of that name there."""

import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import final

from nearbit.service.monitoring import log

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS thumbs (key TEXT PRIMARY KEY, data BLOB, type TEXT, used REAL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS total (bytes INTEGER);"
    "CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON thumbs BEGIN "
    "UPDATE total SET bytes = bytes + length(new.data); END;"
    "CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON thumbs BEGIN "
    "UPDATE total SET bytes = bytes - length(old.data); END;"
)
"""The sum of all bytes is kept by triggers."""

BUSY_SECONDS = 1.0
LONGEST_SECONDS = 3.0
STEPS_A_LOOK = 20_000
MOST_SHARE = 2
"""A file of more than so many times the limit is not one of ours."""
SMALLEST_LIMIT = 16_000_000


@final
class TimeLimit:
    """Ends what takes longer on a file than `LONGEST_SECONDS`: a foreign one could be made so that it does."""

    def __init__(self) -> None:
        self._end = 0.0
        self.begin()

    def begin(self) -> None:
        """Let the time begin."""
        self._end = time.monotonic() + LONGEST_SECONDS

    def is_over(self) -> bool:
        """Return whether the time is over; SQLite, which asks this while it works, then ends with an error."""
        return time.monotonic() > self._end


def open_thumbnails(path: Path, limit: int, clock: TimeLimit) -> sqlite3.Connection:
    """Open the file, or make it; one that is not exactly of our making is removed first.

    Args:
        path: where it lies.
        limit: how many bytes of thumbnails it may hold.
        clock: bounds the time of all that is done with it.

    Raises:
        sqlite3.Error, OSError: it can neither be used nor made.
    """
    reason = _why_foreign(path, limit)
    if reason:
        log("thumbnails_made_anew", reason=reason)
        _remove(path)
    return connect(str(path), clock)


def connect(path: str, clock: TimeLimit) -> sqlite3.Connection:
    """Open a file of our making, with tables where there are none, and its sum of bytes counted again."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        clock.begin()
        connection.set_progress_handler(clock.is_over, STEPS_A_LOOK)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA} DELETE FROM thumbs WHERE typeof(data) <> 'blob' OR typeof(used) <> 'real';"
            "DELETE FROM total;"
            "INSERT INTO total SELECT coalesce(sum(length(data)), 0) FROM thumbs; COMMIT;"
        )
        connection.execute("PRAGMA recursive_triggers = ON")  # REPLACE then runs the trigger of the row that goes
    except BaseException:
        connection.close()
        raise
    return connection


def _why_foreign(path: Path, limit: int) -> str | None:
    """Return why a file is not of our making; None where it is, or where there is none."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return "a log without its file" if any(map(os.path.lexists, _logs(path))) else None
    is_plain = all(stat.S_ISREG(os.lstat(log).st_mode) for log in _logs(path) if os.path.lexists(log))
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1 or not is_plain:
        return "it is a link, or no plain file"
    if facts.st_size > max(SMALLEST_LIMIT, MOST_SHARE * limit):
        return f"it is larger than thumbnails become ({facts.st_size} bytes)"
    try:
        found = _schema_of(path)
    except sqlite3.DatabaseError as error:
        return None if _is_busy(error) else f"SQLite cannot read it ({error})"
    return None if found in ([], _own_schema()) else "its tables are not ours"


def _schema_of(path: Path) -> list[tuple[str, ...]]:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.set_progress_handler(TimeLimit().is_over, STEPS_A_LOOK)
        connection.execute("PRAGMA trusted_schema = OFF")
        return _tables(connection)
    finally:
        connection.close()


def _own_schema() -> list[tuple[str, ...]]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(SCHEMA)
        return _tables(connection)
    finally:
        connection.close()


def _tables(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    return sorted(connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master"))


def _is_busy(error: sqlite3.Error) -> bool:
    """Return whether another process of ours has the file just now."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _remove(path: Path) -> None:
    for file in (path, *_logs(path)):
        file.unlink(missing_ok=True)


def _logs(path: Path) -> list[Path]:
    """Return the files that SQLite keeps beside one."""
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]
