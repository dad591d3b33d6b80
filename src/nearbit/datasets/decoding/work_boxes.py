"""How much work a JPEG 2000, AVIF or HEIF file asks for, counted in its boxes and segments before it is decoded."""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from nearbit.errors import ImageError

MAX_BOXES = 4096
"""Boxes of a file, those inside others that are looked into included."""

MAX_BYTES = 256_000_000
"""Files of these formats are read whole."""

MAX_PACKETS = 2_000_000
"""Packets of a JPEG 2000: layers times components times resolutions times precincts, over all tiles."""

MAX_PLANES = 26
"""Bit planes of a JPEG 2000; samples of 16 bits have up to 24."""

MAX_FRAMES = 16
"""Frames of AV1 in one item of an AVIF: a still image is one."""

_HEADERS = frozenset((3, 6))


def boxes(stream: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the content of each box between two places of a file."""
    place = start
    for _ in range(MAX_BOXES):
        stream.seek(place)
        head = stream.read(16)
        if place + 8 > end or len(head) < 8:
            return
        length, skip = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, skip = int.from_bytes(head[8:16], "big"), 16
        stop = end if length == 0 else place + length
        if length and length < skip:
            raise ImageError("truncated or damaged: a box shorter than its own head")
        yield head[4:8], place + skip, min(stop, end)
        place = stop
    raise ImageError(f"a file of more than {MAX_BOXES:,} boxes: refused")


def _end(stream: BinaryIO) -> int:
    end = stream.seek(0, os.SEEK_END)
    if end > MAX_BYTES:
        raise ImageError(f"an image of this format in more than {MAX_BYTES:,} bytes: refused")
    return end


def check_jpeg2000(stream: BinaryIO) -> tuple[int, int]:
    """Refuse a JPEG 2000 of far too many tiles, layers and precincts; return width and height.

    Raises:
        ImageError: for these, or where the header is cut off.
    """
    end = _end(stream)
    stream.seek(0)
    place = 0
    if stream.read(4) != b"\xff\x4f\xff\x51":
        parts = list(boxes(stream, 0, end))
        for kind, start, stop in parts:
            if kind == b"jp2h":
                list(boxes(stream, start, stop))  # which counts them
        found = [start for kind, start, _ in parts if kind == b"jp2c"]
        if not found:
            raise ImageError("truncated or damaged: a JPEG 2000 without an image")
        place = found[0]
    return _check_codestream(stream, place)


def _check_codestream(stream: BinaryIO, place: int) -> tuple[int, int]:
    stream.seek(place + 2)
    size: tuple[int, ...] = ()
    for _ in range(1024):
        head = stream.read(4)
        if len(head) < 4 or head[1] in (0x90, 0xD9):
            break
        body = stream.read(max(0, int.from_bytes(head[2:], "big") - 2))
        if head[1] == 0x51:
            size = _image_size(body)
        elif head[1] in (0x5C, 0x5D):
            _check_planes(body if head[1] == 0x5C else body[1:])
        elif head[1] in (0x52, 0x53) and size:
            _check_coding(size, body if head[1] == 0x52 else _component_coding(size, body))
    else:
        raise ImageError("a JPEG 2000 with more than 1,024 segments before its image: refused")
    if not size:
        raise ImageError("truncated or damaged: a JPEG 2000 without its header")
    return size[0], size[1]


def _check_planes(body: bytes) -> None:
    """Refuse more bit planes than samples of 16 bits have: each is walked through, whatever the file holds of it."""
    exponents = body[1:] if body[:1] and not body[0] & 31 else body[1::2]
    planes = (body[0] >> 5 if body else 0) + max((byte >> 3 for byte in exponents), default=0) - 1
    if planes > MAX_PLANES:
        raise ImageError(f"a JPEG 2000 of {planes} bit planes, more than any encoder makes: refused")


def _image_size(body: bytes) -> tuple[int, ...]:
    """Return width, height, tile width, tile height, number of tiles, number of components."""
    if len(body) < 36:
        raise ImageError("truncated or damaged: a JPEG 2000 without its header")
    right, low, left, top, across, down, x, y, n_parts = struct.unpack_from(">8LH", body, 2)
    if not across or not down or right <= left or low <= top:
        raise ImageError("truncated or damaged: a JPEG 2000 of impossible size")
    tiles = -(-(right - x) // across) * -(-(low - y) // down)
    if n_parts > 4:
        raise ImageError(f"a JPEG 2000 of {n_parts} components, which is not read: save it in grey, RGB or RGBA")
    if tiles > MAX_BOXES:
        raise ImageError(f"a JPEG 2000 in {tiles:,} tiles: refused")
    return right - left, low - top, min(across, right), min(down, low), tiles, n_parts


def _component_coding(size: tuple[int, ...], body: bytes) -> bytes:
    """Return a COC segment in the form of a COD segment of one layer."""
    return body[1:2] + b"\x00\x00\x01\x00" + body[2:] if size[5] < 257 else b""


def _check_coding(size: tuple[int, ...], body: bytes) -> None:
    if len(body) < 10:
        raise ImageError("truncated or damaged: a JPEG 2000 without its coding style")
    style, layers, levels = body[0], int.from_bytes(body[2:4], "big"), body[5]
    across, down, tiles, n_parts = size[2:]
    precincts = 0
    for level in range(min(levels, 32) + 1):
        exponents = body[10 + level] if style & 1 and len(body) > 10 + level else 0xFF
        shift = min(levels, 32) - level
        width, height = (across >> shift) + 1, (down >> shift) + 1
        precincts += ((width >> (exponents & 15)) + 1) * ((height >> (exponents >> 4)) + 1)
    if precincts * n_parts * layers * tiles > MAX_PACKETS:
        raise ImageError("a JPEG 2000 of more layers and precincts than any encoder makes: refused")


def check_heif(stream: BinaryIO) -> None:
    """Refuse an AVIF or HEIF file of far too many boxes or items, or with many frames of AV1 in one item.

    Raises:
        ImageError: for these.
    """
    end = _end(stream)
    for kind, start, stop in list(boxes(stream, 0, end)):
        if kind == b"meta":
            for inner, place, last in list(boxes(stream, start + 4, stop)):
                if inner == b"iloc":
                    stream.seek(place)
                    _check_items(stream, stream.read(min(last - place, 1 << 20)), end)


def _check_items(stream: BinaryIO, table: bytes, end: int) -> None:
    left = 2 * end
    for extents in _extents(table):
        frames = 0
        left -= sum(min(length, end) for _, length in extents)
        if left < 0:
            raise ImageError("an AVIF or HEIF file whose items lie over each other: refused")
        data = b"".join(_piece(stream, place, length) for place, length in extents)
        for kind in _units(data):
            frames += kind in _HEADERS
            if frames > MAX_FRAMES:
                raise ImageError("an AVIF with many frames in one image: refused")


def _piece(stream: BinaryIO, place: int, length: int) -> bytes:
    stream.seek(place)
    return stream.read(length)


def _extents(table: bytes) -> Iterator[list[tuple[int, int]]]:
    """Yield places and lengths of each item that lies in the file itself (construction method 0)."""
    version = table[0] if table else 0
    sizes = table[4:6]
    if len(sizes) < 2 or version > 2:
        return
    n_place, n_length, n_base = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    n_index = sizes[1] & 15 if version else 0
    wide = 4 if version == 2 else 2
    reader = _Reader(table, 6)
    for _ in range(min(reader.number(wide), MAX_BOXES)):
        reader.number(wide)
        method = reader.number(2) & 15 if version else 0
        reader.number(2)
        base = reader.number(n_base)
        found = []
        count = reader.number(2)
        if count > MAX_BOXES:
            raise ImageError(f"an AVIF or HEIF file with an item in {count:,} pieces: refused")
        for _ in range(count):
            reader.number(n_index)
            found.append((base + reader.number(n_place), reader.number(n_length)))
        if method == 0:
            yield found


class _Reader:
    """Whole numbers out of bytes, highest byte first; zeros after the end."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place

    def number(self, width: int) -> int:
        """Return the next number of so many bytes."""
        piece = self._data[self._place : self._place + width]
        self._place += width
        return int.from_bytes(piece, "big")


def _units(data: bytes) -> Iterator[int]:
    """Yield the kinds of the units (OBU) of AV1 data, as long as they look like such."""
    place = 0
    while place < len(data):
        head = data[place]
        if head & 0x81 or not head & 2:
            return
        place += 2 if head & 4 else 1
        length = shift = 0
        while place < len(data) and shift < 35:
            byte = data[place]
            place += 1
            length |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                break
        yield head >> 3 & 15
        place += length
