"""One writer at a time: a lock file beside the index, held by the system for a process, that says who holds it.

The system frees the lock when its holder ends, however it ends, so a lock file that was left behind locks nothing. The
file lies beside the real file, and on Linux the index itself is locked too: another hard link of it, or a mount of the
file alone, is another name beside which no lock file lies.
"""

import contextlib
import errno
import json
import os
import platform
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from nearbit.errors import IndexBusyError, IndexFileError
from nearbit.files.locking import give_back, is_at, locked, try_lock
from nearbit.index.storage.open_file import OpenFile
from nearbit.json_text import read_json

POLL_SECONDS = 0.01

LONGEST_FACT = 100
"""Characters of what a lock file says that are believed."""

_locks: "weakref.WeakSet[WriterLock]" = weakref.WeakSet()


@final
class WriterLock:
    """The lock of one index for one open handle; taken again by the thread that holds it at no cost."""

    def __init__(self, index: Path, target: OpenFile) -> None:
        """Name the index by its real path, and the file that it is; nothing is locked yet."""
        self._index = index
        self._target = target
        self._path = _lock_path(target.path)
        self._threads = threading.RLock()
        self._depth = 0
        self._file: int | None = None
        _locks.add(self)

    @contextmanager
    def held(self, seconds: float) -> Iterator[None]:
        """Hold the lock, waiting for another holder up to `seconds`.

        A thread of this process is waited for as long as it takes, as with any lock, unless `seconds` is 0.

        Where the folder cannot be written no lock file is made: the database itself refuses to write there.

        Raises:
            IndexBusyError: another process, or another open handle, holds it; the message names it.
        """
        threads = self._threads
        if not threads.acquire(timeout=-1 if seconds else 0):
            raise _held_by(self._index, _read_facts(self._path))
        try:
            if self._depth == 0:
                self._take(time.monotonic() + seconds)
            self._depth += 1
            try:
                yield
            finally:
                if self._depth:  # else this is a forked child, which holds nothing
                    self._depth -= 1
                    if self._depth == 0:
                        self._let_go()
        finally:
            threads.release()

    def forget_after_fork(self) -> None:
        """Let a forked child hold nothing: its copy of the descriptor would keep the lock of a parent that ended."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._depth, self._threads = None, 0, threading.RLock()

    def _take(self, until: float) -> None:
        while not self._is_taken():
            if time.monotonic() >= until:
                raise _held_by(self._index, _read_facts(self._path))
            time.sleep(POLL_SECONDS)

    def _is_taken(self) -> bool:
        """Try to take all locks: that among the handles of this process, the lock file, and the index itself."""
        if not self._target.writer.acquire(blocking=False):
            return False
        is_ours = False
        try:
            is_ours = self._is_locked()
        finally:
            if not is_ours:
                self._target.writer.release()
        return is_ours

    def _is_locked(self) -> bool:
        file = self._opened()
        if file is not None:
            try:
                is_ours = try_lock(file) and is_at(file, self._path)  # else its holder removed it in the meantime
            except OSError:  # a file system without locks: SQLite's own lock is left
                is_ours = True
            if not is_ours:
                os.close(file)
                return False
            with contextlib.suppress(OSError):  # a full disk: the lock holds, it only does not say whose it is
                _write_facts(file)
        if not _locked_itself(self._target.descriptor):
            if file is not None:
                give_back(file, self._path)
            return False
        self._file = file
        return True

    def _opened(self) -> int | None:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR):
                return None  # the folder cannot be written; SQLite says so in its turn
            raise IndexFileError(
                f"the index {self._index} cannot be written: {self._path} is a link or a folder where the lock file "
                "belongs; remove it"
            ) from error

    def _let_go(self) -> None:
        _unlock_itself(self._target.descriptor)
        if self._file is not None:
            give_back(self._file, self._path)
            self._file = None
        self._target.writer.release()


@contextmanager
def kept_from_writers(index: Path) -> Iterator[None]:
    """Hold the lock file of an index, without opening that, as long as it takes to remove it.

    Raises:
        IndexBusyError: somebody writes to the index; the message names the process.
    """
    path = _lock_path(index)

    def refuse(_: bool) -> None:
        raise _held_by(index, _read_facts(path))

    with locked(path, refuse):
        yield


def _lock_path(index: Path) -> Path:
    return index.with_name(f"{index.name}-writer")


def _own_facts() -> dict[str, str | int]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "machine": platform.node(), "since": now}


def _write_facts(file: int) -> None:
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, json.dumps(_own_facts()).encode())


def _read_facts(path: Path) -> dict[str, str | int]:
    """Return what a lock file says, as far as it is what a lock file holds."""
    try:
        facts = read_json(path, "the lock file", IndexFileError)
    except IndexFileError:  # gone in the meantime, or not whole yet
        return {}
    kinds = {"pid": int, "machine": str, "since": str}
    known = facts if isinstance(facts, dict) else {}
    return {
        name: known[name]
        for name, kind in kinds.items()
        if type(known.get(name)) is kind and len(str(known[name])) <= LONGEST_FACT
    }


def _held_by(index: Path, facts: dict[str, str | int]) -> IndexBusyError:
    who = f"process {facts['pid']} on {facts.get('machine', 'this machine')}" if "pid" in facts else "another process"
    since = f" since {facts['since']}" if "since" in facts else ""
    return IndexBusyError(
        f"the index {index} cannot be written: {who} is writing to it{since}; wait until it is done, then try again"
    )


if sys.platform == "linux":
    import fcntl

    def _locked_itself(descriptor: int) -> bool:
        """Lock the index itself: on Linux this is apart from SQLite's locks; a file system without it locks nothing."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _unlock_itself(descriptor: int) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)

else:

    def _locked_itself(descriptor: int) -> bool:
        return True

    def _unlock_itself(descriptor: int) -> None:
        return


def _forget_after_fork() -> None:
    for lock in list(_locks):
        lock.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
