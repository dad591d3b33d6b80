"""A first look at a file, before SQLite touches it: SQLite reads some damaged files without a word."""

from pathlib import Path

from nearbit.errors import IndexFileError
from nearbit.index.storage.log_owner import log_bytes
from nearbit.index.storage.open_file import OpenFile

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100


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


def _is_whole(header: bytes, size: int) -> bool:
    """Return whether a file of `size` bytes holds whole pages, and all those that its header counts."""
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65_536 if page_bytes == 1 else page_bytes
    pages = int.from_bytes(header[28:32], "big")
    return page_bytes > 0 and size >= HEADER_BYTES and size % page_bytes == 0 and size >= pages * page_bytes
