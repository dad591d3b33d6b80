"""One writer at a time: a lock file beside the index, held by the system for a process, that says who holds it.

The system frees the lock when its holder ends, however it ends, so a lock file that was left behind locks nothing.
"""

import contextlib
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from nearbit.errors import IndexFileError

POLL_SECONDS = 0.01


@final
class WriterLock:
    """The lock of one index for one open handle; taken again by the thread that holds it at no cost."""

    def __init__(self, index: Path) -> None:
        """Name the index; nothing is opened yet."""
        self._index = index
        self._path = index.with_name(f"{index.name}-writer")
        self._threads = threading.RLock()
        self._depth = 0
        self._file: int | None = None

    @contextmanager
    def held(self, seconds: float) -> Iterator[None]:
        """Hold the lock, waiting for another holder up to `seconds`.

        A thread of this process is waited for as long as it takes, as with any lock, unless `seconds` is 0.

        Where the folder cannot be written no lock file is made: the database itself refuses to write there.

        Raises:
            IndexFileError: another process, or another open handle, holds it; the message names it.
        """
        if not self._threads.acquire(timeout=-1 if seconds else 0):
            raise _held_by(self._index, _read_facts(self._path))
        try:
            if self._depth == 0:
                self._file = self._take(time.monotonic() + seconds)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0 and self._file is not None:
                    self._give_back(self._file)
                    self._file = None
        finally:
            self._threads.release()

    def _take(self, until: float) -> int | None:
        while True:
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:  # the folder cannot be written; SQLite says so in its turn
                return None
            try:
                if _locked(file) and _is_at(file, self._path):  # else its holder removed it in the meantime
                    _write_facts(file)
                    return file
            except OSError:  # a file system without locks, or full: SQLite's own lock is left
                os.close(file)
                return None
            os.close(file)
            if time.monotonic() >= until:
                raise _held_by(self._index, _read_facts(self._path))
            time.sleep(POLL_SECONDS)

    def _give_back(self, file: int) -> None:
        """Remove the lock file while it is held, so that none lies about; a waiter then makes a new one."""
        if sys.platform != "win32":  # there an open file cannot be removed
            with contextlib.suppress(OSError):  # left behind it locks nothing
                self._path.unlink()
        os.close(file)


def _own_facts() -> dict[str, str | int]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "machine": platform.node(), "since": now}


def _write_facts(file: int) -> None:
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, json.dumps(_own_facts()).encode())


def _read_facts(path: Path) -> dict[str, str | int]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _held_by(index: Path, facts: dict[str, str | int]) -> IndexFileError:
    who = f"process {facts['pid']} on {facts.get('machine')}" if "pid" in facts else "another process"
    since = f" since {facts['since']}" if "since" in facts else ""
    return IndexFileError(
        f"the index {index} cannot be written: {who} is writing to it{since}; wait until it is done, then try again"
    )


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 30  # beyond the text, so that others can read who holds the lock

    def _locked(file: int) -> bool:
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _locked(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
