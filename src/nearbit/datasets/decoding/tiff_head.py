"""The first directory of a TIFF, read without Pillow: what its pixels are, before anything large is read."""

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from nearbit.errors import ImageError

MAX_ENTRIES = 4096
"""Entries of a directory; honest ones have some tens."""

SHORT, LONG, LONG8 = 3, 4, 16
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}


@dataclass(frozen=True)
class Entry:
    """One entry of a directory: type, count, and where its data stand in the file; short data themselves as well."""

    kind: int
    count: int
    place: int
    inline: bytes = b""

    @property
    def n_bytes(self) -> int:
        """The length of the data, in bytes."""
        return self.count * _SIZES.get(self.kind, 1)


@dataclass(frozen=True)
class Directory:
    """A directory: its entries by tag, in a stream of `size` bytes, in a byte order ("<" or ">")."""

    stream: BinaryIO
    order: str
    is_big: bool
    size: int
    entries: dict[int, Entry]

    def numbers(self, tag: int, most: int = 16) -> tuple[int, ...]:
        """Return the first `most` whole numbers of a tag; () where it is absent, no number, or beyond the file."""
        entry = self.entries.get(tag)
        code = _NUMBERS.get(entry.kind) if entry is not None else None
        if entry is None or code is None:
            return ()
        count = min(entry.count, most)
        length = count * _SIZES[entry.kind]
        return (
            struct.unpack(f"{self.order}{count}{code}", data)
            if len(data := self._data(entry, length)) == length
            else ()
        )

    def number(self, tag: int, default: int) -> int:
        """Return the first number of a tag, or `default` where it has none."""
        return (self.numbers(tag, 1) or (default,))[0]

    def text(self, tag: int, most: int = 64) -> str:
        """Return the beginning of a text; "" where it is absent."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in (1, 2, 7):
            return ""
        return self._data(entry, min(entry.count, most)).split(b"\0")[0].decode("latin-1").strip()

    def _data(self, entry: Entry, length: int) -> bytes:
        if entry.inline:
            return entry.inline[:length]
        self.stream.seek(entry.place)
        return self.stream.read(length)


def first_directory(stream: BinaryIO) -> Directory:
    """Read the first directory of a TIFF or BigTIFF.

    Raises:
        ImageError: cut off, or of more than `MAX_ENTRIES` entries.
    """
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    is_big = 43 in head[2:4]
    if len(head) < 16:
        raise ImageError("truncated or damaged: a TIFF without its header")
    (place,) = struct.unpack_from(order + ("Q" if is_big else "L"), head, 8 if is_big else 4)
    return directory_at(stream, place, order, is_big)


def directory_at(stream: BinaryIO, place: int, order: str, is_big: bool) -> Directory:
    """Read the directory at a place of the file; see `first_directory`."""
    size = stream.seek(0, os.SEEK_END)
    head, width = (8, 20) if is_big else (2, 12)
    if place < 8 or place + head > size:
        raise ImageError("truncated or damaged: a TIFF whose directory lies beyond its end")
    stream.seek(place)
    count = int.from_bytes(stream.read(head), "little" if order == "<" else "big")
    if count > MAX_ENTRIES:
        raise ImageError(f"a TIFF with more than {MAX_ENTRIES:,} entries in its directory: refused")
    table = stream.read(count * width)
    entries: dict[int, Entry] = {}
    form, n_inline = (order + "HHQ8s", 8) if is_big else (order + "HHL4s", 4)
    for row, (tag, kind, number, data) in enumerate(struct.iter_unpack(form, table[: len(table) // width * width])):
        here = place + head + (row + 1) * width - n_inline
        entry = Entry(kind, number, here, data)
        if entry.n_bytes > n_inline:
            entry = Entry(kind, number, int.from_bytes(data, "little" if order == "<" else "big"))
        entries.setdefault(tag, entry)
    return Directory(stream, order, is_big, size, entries)
