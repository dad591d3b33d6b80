"""How much work a PNG, GIF, BMP or WebP asks for, counted in its chunks and blocks before it is decoded."""

import os
import struct
from typing import BinaryIO

from nearbit.errors import ImageError

MAX_CHUNKS = 1024
"""Chunks of a PNG or a WebP that any may have; more as long as they hold 512 bytes each on the average."""

MAX_BLOCKS = 65_536
"""Blocks of metadata, and bytes of rubbish, before the first frame of a GIF."""

MAX_PACKED = 64
"""Compressed texts and profiles of a PNG; each may grow to a million bytes."""

MAX_RUNS = 2_000_000
"""Bytes and pixels of a run-length BMP, which is decoded slowly."""

_PACKED = (b"zTXt", b"iTXt", b"iCCP")


def size_of(stream: BinaryIO) -> int:
    """Return the number of bytes of a stream, and leave it where it stands."""
    place = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(place)
    return end


def check_png(stream: BinaryIO) -> tuple[int, int]:
    """Refuse a PNG of far too many chunks or compressed texts; return its width and height.

    Raises:
        ImageError: so many chunks, or a header that is cut off.
    """
    stream.seek(8)
    head = stream.read(25)
    if len(head) < 25 or head[4:8] != b"IHDR":
        raise ImageError("truncated or damaged: a PNG without its header")
    allowed = MAX_CHUNKS + size_of(stream) // 512
    packed = 0
    for _ in range(allowed):
        chunk = stream.read(8)
        if len(chunk) < 8 or chunk[4:] == b"IEND":
            width, height = struct.unpack_from(">LL", head, 8)
            return width, height
        packed += chunk[4:] in _PACKED
        if packed > MAX_PACKED:
            raise ImageError(f"a PNG with more than {MAX_PACKED} compressed texts and profiles: refused")
        stream.seek(int.from_bytes(chunk[:4], "big") + 4, os.SEEK_CUR)
    raise ImageError(f"a PNG with more than {allowed:,} chunks: refused")


def check_gif(stream: BinaryIO) -> tuple[int, int]:
    """Refuse a GIF with far too many blocks before its first frame; return the size that holds screen and frame.

    Raises:
        ImageError: so many blocks, no frame, or a header that is cut off.
    """
    stream.seek(0)
    head = stream.read(13)
    if len(head) < 13:
        raise ImageError("truncated or damaged: a GIF without its header")
    if head[10] & 0x80:
        stream.seek(3 << ((head[10] & 7) + 1), os.SEEK_CUR)
    left = MAX_BLOCKS
    while left > 0:
        byte = stream.read(1)
        if byte == b"!":
            stream.read(1)
            left -= _skip_blocks(stream, left)
        elif byte == b",":
            return _size_with_frame(head, stream.read(8))
        elif byte in (b"", b";"):
            raise ImageError("truncated or damaged: a GIF without a frame")
        left -= 1
    raise ImageError(f"a GIF with more than {MAX_BLOCKS:,} blocks before its first frame: refused")


def _skip_blocks(stream: BinaryIO, most: int) -> int:
    count = 0
    while count <= most:
        count += 1
        length = stream.read(1)
        if length in (b"", b"\x00"):
            break
        stream.seek(length[0], os.SEEK_CUR)
    return count


def _size_with_frame(head: bytes, frame: bytes) -> tuple[int, int]:
    if len(frame) < 8:
        raise ImageError("truncated or damaged: a GIF without a frame")
    left, top, width, height = struct.unpack("<4H", frame)
    screen = struct.unpack_from("<2H", head, 6)
    return max(screen[0], left + width), max(screen[1], top + height)


def check_bmp(stream: BinaryIO) -> tuple[int, int]:
    """Refuse a run-length BMP that is large, and one of a packing that is not read; return its width and height.

    Raises:
        ImageError: for these, or where the header is cut off.
    """
    stream.seek(14)
    head = stream.read(20)
    if len(head) < 12:
        raise ImageError("truncated or damaged: a BMP without its header")
    if struct.unpack_from("<L", head)[0] == 12:
        width, height = struct.unpack_from("<2H", head, 4)
        return width, height
    if len(head) < 20:
        raise ImageError("truncated or damaged: a BMP without its header")
    width, height, _, _, packing = struct.unpack_from("<LlHHL", head, 4)
    if packing in (4, 5):
        raise ImageError("a BMP that holds a JPEG or PNG, which is not read: save it as JPEG or PNG itself")
    if packing in (1, 2) and size_of(stream) + width * abs(height) > MAX_RUNS:
        raise ImageError(f"a run-length BMP of more than {MAX_RUNS:,} bytes and pixels, not read: save it as PNG")
    return width, abs(height)


def check_webp(stream: BinaryIO) -> tuple[int, int]:
    """Refuse a WebP of far too many chunks; return its width and height by its first chunk.

    Raises:
        ImageError: so many chunks, or a header that is cut off.
    """
    stream.seek(12)
    head = stream.read(18)
    if len(head) < 18:
        raise ImageError("truncated or damaged: a WebP without its header")
    allowed = MAX_CHUNKS + size_of(stream) // 512
    place = 12
    for _ in range(allowed):
        stream.seek(place)
        chunk = stream.read(8)
        if len(chunk) < 8:
            return _webp_size(head)
        length = int.from_bytes(chunk[4:], "little")
        place += 8 + length + (length & 1)
    raise ImageError(f"a WebP with more than {allowed:,} chunks: refused")


def _webp_size(head: bytes) -> tuple[int, int]:
    if head[:4] == b"VP8X":
        return int.from_bytes(head[12:15], "little") + 1, int.from_bytes(head[15:18], "little") + 1
    if head[:4] == b"VP8L":
        bits = int.from_bytes(head[9:13], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<2H", head, 14)
    return width & 0x3FFF, height & 0x3FFF
