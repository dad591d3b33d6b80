"""The file of an index as this process holds it: one descriptor for all its handles, known by device and inode.

When a process closes any descriptor of a file, POSIX drops all locks that the process has on it, those of SQLite too.
So the file is opened once, whatever its spelling, and closed after the last handle. Its first bytes are looked at
before SQLite touches it, which reads some damaged files without a word.
"""

import os
import threading
from pathlib import Path
from typing import final

from nearbit.errors import IndexFileError

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100

STAMP_AT = 60
"""Where SQLite keeps the four bytes of `PRAGMA user_version`: a random number that each write draws anew."""

Key = tuple[int, int]

opening = threading.RLock()
"""Held while a file is opened or closed: what is asked of the system's locks then must not meet another opening."""

_held: dict[Key, "OpenFile"] = {}


@final
class OpenFile:
    """One file, held open by this process.

    Attributes:
        key: device and inode.
        path: the real path under which this process came to it first; all its handles use this one, because SQLite
            names its log after it.
        users: how many handles use it.
        writer: held by the handle of this process that writes.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        """Take an open descriptor, and the real path that it was opened by."""
        self.key = _key(os.fstat(descriptor))
        self.path = path.absolute()
        self.users = 0
        self.writer = threading.Lock()
        self.descriptor = descriptor
        self._reading = threading.Lock()

    def read(self, length: int, offset: int) -> bytes:
        """Return bytes of the file itself, without what only its log holds."""
        with self._reading:
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            return os.read(self.descriptor, length)

    def size(self) -> int:
        """Return the size of the file, in bytes."""
        return os.fstat(self.descriptor).st_size

    def stamp(self) -> int:
        """Return the number that the last write drew whose log was taken into the file; 0 where none ever did."""
        return int.from_bytes(self.read(4, STAMP_AT), "big", signed=True)

    def has_log(self) -> bool:
        """Return whether a log lies beside the file, whosever it is."""
        return any(path.exists() for path in log_paths(self.path))

    def is_at(self, path: Path) -> bool:
        """Return whether a path leads to this file."""
        try:
            return _key(os.stat(str(path))) == self.key  # noqa: PTH116 - each search asks, and this takes half the time
        except OSError:
            return False


def hold(path: Path, *, create: bool = False) -> OpenFile:
    """Return the file at a real path, held by one more handle; inside `opening`.

    Raises:
        OSError: it cannot be opened.
    """
    if create and not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644))
    file = _held.get(_key(path.stat()))
    if file is not None and not file.is_at(file.path):  # it was moved
        file.path = path.absolute()
    if file is None:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        file = OpenFile(descriptor, path)
        _held[file.key] = file
    file.users += 1
    return file


def let_go(file: OpenFile) -> None:
    """Count one handle less, and close the file after the last; inside `opening`, after SQLite closed its own."""
    file.users -= 1
    if file.users == 0 and _held.get(file.key) is file:
        del _held[file.key]
        os.close(file.descriptor)


def is_other_held_at(file: OpenFile) -> bool:
    """Return whether this process still holds another file that was opened under the path of this one."""
    return any(other.path == file.path and other is not file for other in _held.values())


def log_paths(path: Path) -> tuple[Path, Path]:
    """Return where SQLite keeps the log of a file and what its users share."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def log_bytes(path: Path) -> int:
    """Return the size of the log beside a file; 0 where there is none."""
    try:
        return os.stat(f"{path}-wal").st_size  # noqa: PTH116 - each search asks
    except OSError:
        return 0


def check_header(path: Path, file: OpenFile) -> None:
    """Check that a file is an SQLite database of whole pages, or holds nothing at all.

    A file with a write-ahead log may be in the middle of taking it over, which SQLite completes; its size is not
    checked.

    Raises:
        IndexFileError: the file cannot be read, is not an SQLite database, or was cut short.
    """
    had_log = log_bytes(file.path) > 0
    try:
        header, size = file.read(HEADER_BYTES, 0), file.size()
    except OSError as error:
        raise IndexFileError(f"the index {path} cannot be read: {error.strerror}; check its permissions") from error
    if not header:
        return
    if header[: len(MAGIC)] != MAGIC:
        raise IndexFileError(
            f"{path} is not an index (not an SQLite file at all); name an index, or build one elsewhere"
        )
    if not _is_whole(header, size) and not had_log and not log_bytes(file.path):
        raise IndexFileError(f"the index {path} is damaged: it was cut short; restore it from a copy or build it again")


def real_path(path: Path) -> Path:
    """Return a path as it is given where no link is in it, else the path of the real file."""
    real = os.path.realpath(path)
    return path if real == os.path.normpath(path.absolute()) else Path(real)


def forget_after_fork() -> None:
    """Let a forked child hold nothing: the descriptors are closed, which unlocks nothing of the parent's."""
    global opening
    opening = threading.RLock()
    for file in _held.values():
        os.close(file.descriptor)
        file.descriptor = -1
    _held.clear()


def _is_whole(header: bytes, size: int) -> bool:
    """Return whether a file of `size` bytes holds whole pages, and all those that its header counts."""
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65_536 if page_bytes == 1 else page_bytes
    pages = int.from_bytes(header[28:32], "big")
    return page_bytes > 0 and size >= HEADER_BYTES and size % page_bytes == 0 and size >= pages * page_bytes


def _key(facts: os.stat_result) -> Key:
    return facts.st_dev, facts.st_ino


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_after_fork)
