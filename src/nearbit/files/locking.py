"""Locks that the system holds for a process and frees when it ends, however it ends."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.05


@contextmanager
def locked(path: Path, waits: Callable[[bool], None] = lambda _: None) -> Iterator[None]:
    """Hold a lock file, which is removed afterwards; who comes meanwhile waits.

    On a file system without locks nothing is locked.

    Args:
        path: the lock file.
        waits: called where another holds it: with True before waiting for it, and with False after that.

    Raises:
        OSError: the lock file cannot be made.
    """
    file = _taken(path)
    if file is None:
        waits(True)
        while (file := _taken(path)) is None:
            time.sleep(_POLL_SECONDS)
        waits(False)
    try:
        yield
    finally:
        give_back(file, path)


@contextmanager
def alone(path: Path, busy: Exception) -> Iterator[None]:
    """Hold a lock file as `locked` does, but do not wait where another holds it.

    Where no lock file can be made, in a folder that is not there or cannot be written, nothing is locked: whoever
    writes there says so.

    Args:
        path: the lock file.
        busy: raised where another holds it.
    """

    def refuse(_: bool) -> None:
        raise busy

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            stack.enter_context(locked(path, refuse))
        yield


def _taken(path: Path) -> int | None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        is_ours = try_lock(file) and is_at(file, path)
    except OSError:  # a file system without locks
        is_ours = True
    if not is_ours:
        os.close(file)
        return None
    return file


def give_back(file: int, path: Path) -> None:
    """Remove a lock file while it is held, so that none lies about; a waiter then makes a new one."""
    if sys.platform != "win32":  # there an open file cannot be removed
        with contextlib.suppress(OSError):  # left behind it locks nothing
            path.unlink()
    os.close(file)


def is_at(file: int, path: Path) -> bool:
    """Say whether an open file still lies at a path: its holder may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 1 << 30  # beyond the text, so that others can read who holds the lock

    def try_lock(file: int) -> bool:
        """Lock an open file unless another has it; say whether it is locked now."""
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def try_lock(file: int) -> bool:
        """Lock an open file unless another has it; say whether it is locked now."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
