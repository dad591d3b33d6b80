"""Whose log lies beside an index: SQLite's own, `-wal` with `-shm`, is found by name alone and names no file.

Where another file took the place of an index (`mv new.index birds.index`), those who still have the old one open also
have its log open, under the name that the new one's log would have. SQLite would mix the two. A log that is not of the
file it lies beside is known by two things: somebody uses it, and nobody has this file open; or it does not go on from
this file. Each write draws a random stamp (`PRAGMA user_version`), which stands in the first page of its log, and notes
in the log the stamp that the file had then: a log whose stamps do not contain the file's goes on from another file.
What a killed writer left of a write that it did not finish says nothing, since SQLite leaves it out.
"""

import mmap
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from nearbit.errors import IndexFileError
from nearbit.index.storage.open_file import STAMP_AT, OpenFile, is_other_held_at, log_bytes, log_paths

LOG_BASE = "log_base"
"""The recorded fact that names the stamp of the file when its last write began."""

STAMP_DIGITS = 10

_BASE = re.compile(rb"log_base(\d{10})")
_WAL_HEADER, _FRAME_HEADER = 32, 24
_SALTS = slice(16, 24)
"""What a log and each frame since it was begun anew have in common."""


def is_foreign(file: OpenFile) -> bool:
    """Return whether the log that lies beside a file is that of another one; for the first handle of this process."""
    wal, shared = log_paths(file.path)
    if sys.platform == "win32":  # there an open file cannot be replaced
        return False
    if is_other_held_at(file):
        return True
    if file.users > 1:
        return False
    stamps = _stamps_of(wal) if log_bytes(file.path) else set()
    if stamps:
        return file.stamp() not in stamps
    return _is_locked(shared, *_SHM_USERS) and not _is_locked(file.path, *_FILE_USERS)


def put_away(file: OpenFile, *, keep: bool = True) -> None:
    """Take the log of another file from beside this one; with `keep`, what it holds is kept as `NAME-wal-foreign`.

    Those who still use it go on with it without a name.

    Raises:
        IndexFileError: the folder cannot be written.
    """
    wal, shared = log_paths(file.path)
    try:
        if keep and log_bytes(file.path):
            wal.replace(wal.with_name(f"{wal.name}-foreign"))
        wal.unlink(missing_ok=True)
        shared.unlink(missing_ok=True)
    except OSError as error:
        raise IndexFileError(
            f"the index {file.path} cannot be opened: the log of another file lies beside it ({wal.name}) and cannot "
            f"be put away: {error.strerror}; open it as a user who may write to the folder"
        ) from error


def _stamps_of(wal: Path) -> set[int]:
    """Return the stamps of the files that a log can go on from; none where it does not say, or holds no whole write."""
    with open(wal, "rb") as opened:
        try:
            log = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # emptied in the meantime
            return set()
        with log:
            frames = list(_frames_of(log))
            if not any(is_last for _, is_last in frames):
                return set()
            return {int(digits) for digits in _BASE.findall(log)} | _stamps_in(log, [at for at, _ in frames])


def _frames_of(log: mmap.mmap) -> Iterator[tuple[int, bool]]:
    """Yield where each frame of a log begins, and whether it is the last of a write that was acknowledged."""
    page_bytes = int.from_bytes(log[8:12], "big")
    if 512 <= page_bytes <= 65_536:
        for at in range(_WAL_HEADER, len(log) - _FRAME_HEADER - page_bytes + 1, _FRAME_HEADER + page_bytes):
            yield at, log[at + 4 : at + 8] != bytes(4) and log[at + 8 : at + 16] == log[_SALTS]


def _stamps_in(log: mmap.mmap, frames: list[int]) -> set[int]:
    """Return the stamps in the first pages that a log holds, in whatever state."""
    begins = [at + _FRAME_HEADER + STAMP_AT for at in frames if log[at : at + 4] == b"\0\0\0\1"]
    return {int.from_bytes(log[begin : begin + 4], "big", signed=True) for begin in begins}


_SHM_USERS = (128, 1)
"""The byte of `-shm` on which every connection that uses it holds a lock: first byte, number of bytes."""

_FILE_USERS = (0x40000002, 510)
"""The bytes of the file on which every connection that reads holds a lock, in this mode as long as it is open."""

if sys.platform == "win32":

    def _is_locked(path: Path, begin: int, length: int) -> bool:
        return False

else:
    import fcntl

    def _is_locked(path: Path, begin: int, length: int) -> bool:
        """Return whether another process holds a lock; a file that cannot be asked counts as not locked."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, begin)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False
