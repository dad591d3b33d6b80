"""How much work a JPEG asks for, counted in its markers before it is decoded: scans times blocks, and segments."""

import io
import os
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from nearbit.errors import ImageError

MAX_WORK_A_BLOCK = 40
"""Work of all scans for each block of the image: a block read once is 1, one that is refined up to 9 (it is walked
through). Encoders with the default scans ask for 16, those that search for the best scans for up to 30."""

MIN_WORK = 8_000_000
"""Work that any image may ask for."""

MAX_SEGMENTS = 1024
"""Segments before the first scan; metadata of a large kind come in some hundred."""

MAX_JUNK = 65_536
"""Bytes between segments, and of padding."""

MAX_BYTES = 256_000_000
"""A file of several scans is read whole to count them."""

_SCAN_COST = 512
"""Work of a scan besides its blocks."""
_START_OF_SCAN, _END = 0xDA, 0xD9
_PROGRESSIVE = (0xC2, 0xC6)
_KNOWN = 16
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ARITHMETIC = frozenset((0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF))
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


class Frame(NamedTuple):
    """What a start-of-frame segment says: blocks of each component by its number."""

    marker: int
    width: int
    height: int
    blocks: dict[int, int]


def check_jpeg(stream: BinaryIO) -> tuple[tuple[int, int], BinaryIO]:
    """Refuse a JPEG that asks for more work than honest ones do; return its width and height, and what to decode.

    That is the stream itself; only where scans are repeated without end, it is one without those repetitions that
    change nothing.

    Raises:
        ImageError: too many segments or scans, a coding that is not read, or no scan at all.
    """
    stream.seek(2)
    frame = _to_first_scan(stream)
    start = stream.tell()
    first = _segment(stream)
    n_parts = first[0] if first else 0
    if frame.marker in _PROGRESSIVE or n_parts != len(frame.blocks):
        rest = _rest(stream, start)
        if _at_most(frame, rest) > _allowed(frame):
            return (frame.width, frame.height), _leaner(frame, _scans(frame, rest), stream, start)
    return (frame.width, frame.height), stream


def _to_first_scan(stream: BinaryIO) -> Frame:
    """Walk over the segments up to the first start of a scan; the stream stands at its length."""
    frame, junk, exif = None, 0, 0
    for _ in range(MAX_SEGMENTS):
        marker, skipped = _next_marker(stream)
        junk += skipped
        if junk > MAX_JUNK:
            raise ImageError(f"a JPEG with more than {MAX_JUNK:,} bytes of rubbish between its segments: refused")
        if marker == _START_OF_SCAN:
            if frame is None:
                raise ImageError("truncated or damaged: a JPEG with a scan before its header")
            return frame
        if marker == _END:
            raise ImageError("truncated or damaged: a JPEG without an image")
        if marker in _ALONE:
            continue
        body = _segment(stream)
        if marker in _FRAMES:
            frame = _frame(marker, body)
        elif marker == 0xE1:
            exif += 1
            if exif > 256:
                raise ImageError("a JPEG with more than 256 segments of EXIF or XMP: refused")
    raise ImageError(f"a JPEG with more than {MAX_SEGMENTS:,} segments before its image: refused")


def _next_marker(stream: BinaryIO) -> tuple[int, int]:
    """Return the next marker and how many bytes that belong to none came before it."""
    skipped = 0
    head = stream.read(2)
    if head[:1] == b"\xff" and head[1:] not in (b"\xff", b"\x00", b""):
        return head[1], 0
    byte, rest = head[:1], head[1:]
    if rest:
        stream.seek(-1, os.SEEK_CUR)
    while byte:
        if byte != b"\xff":
            skipped += 1
            byte = stream.read(1)
        else:
            byte = stream.read(1)
            if byte not in (b"\xff", b"\x00", b""):
                return byte[0], skipped
            skipped += 1
            if byte == b"\x00":
                byte = stream.read(1)
        if skipped > MAX_JUNK:
            return 0x01, skipped
    raise ImageError("truncated or damaged: a JPEG that ends before its image")


def _segment(stream: BinaryIO) -> bytes:
    head = stream.read(2)
    if len(head) < 2:
        raise ImageError("truncated or damaged: a JPEG that ends before its image")
    return stream.read(max(0, struct.unpack(">H", head)[0] - 2))


def _frame(marker: int, body: bytes) -> Frame:
    if marker in _ARITHMETIC:
        raise ImageError("an arithmetic-coded JPEG, which is not read: save it as an ordinary JPEG")
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise ImageError("truncated or damaged: a JPEG whose header is cut off")
    bits, height, width, n_parts = struct.unpack_from(">BHHB", body)
    if bits != 8:
        raise ImageError(f"a JPEG of {bits} bits a sample, which is not read: save it with 8 bits, or as PNG")
    if n_parts not in (1, 3, 4):
        raise ImageError(f"a JPEG of {n_parts} components, which is not read: save it in grey, RGB or CMYK")
    factors = [(one >> 4 or 1, one & 15 or 1) for one in body[7 : 6 + 3 * n_parts : 3]]
    across, down = 8 * max(x for x, _ in factors), 8 * max(y for _, y in factors)
    blocks = {
        part: -(-width * x // across) * -(-height * y // down)
        for part, (x, y) in zip(body[6 : 6 + 3 * n_parts : 3], factors, strict=True)
    }
    return Frame(marker, width, height, blocks)


def _rest(stream: BinaryIO, start: int) -> bytes:
    stream.seek(start)
    rest = stream.read(MAX_BYTES + 1)
    if len(rest) > MAX_BYTES:
        raise ImageError(f"a JPEG of several scans in more than {MAX_BYTES:,} bytes: refused")
    return rest


@dataclass(frozen=True)
class JpegScan:
    """One scan: its header, header and data together, the work that it asks for, what other segments stand after it."""

    header: bytes
    data: bytes
    work: int
    after: bytes

    @property
    def band(self) -> tuple[frozenset[int], int, int, int]:
        """Components, first and last coefficient, and whether it refines (not 0)."""
        n_parts = self.header[0] if self.header else 0
        first, last, depth = (*self.header[1 + 2 * n_parts : 4 + 2 * n_parts], 0, 0, 0)[:3]
        return frozenset(self.header[1 : 1 + 2 * n_parts : 2]), first, last, depth >> 4

    def touches(self, other: "JpegScan") -> bool:
        """Return whether both write to a coefficient of the same component."""
        parts, first, last, _ = self.band
        others, start, end, _ = other.band
        return bool(parts & others) and first <= end and start <= last


def _at_most(frame: Frame, rest: bytes) -> int:
    """Return what all scans ask for at most, quickly: what looks like a scan is counted as one."""
    allowed, work, place = _allowed(frame), 0, 0
    while place >= 0 and work <= allowed:
        work += _SCAN_COST + _blocks(frame, rest[place + 2 : place + _length(rest, place)])
        place = rest.find(b"\xff\xda", place)
        place = place + 2 if place >= 0 else -1
    return work


def _allowed(frame: Frame) -> int:
    return max(MIN_WORK, MAX_WORK_A_BLOCK * sum(frame.blocks.values()))


def _scans(frame: Frame, rest: bytes) -> list[JpegScan]:
    """Return the scans up to the end of the image; `rest` begins with the length of the first one's header."""
    scans: list[JpegScan] = []
    place, others, is_over = 0, 0, False
    while not is_over:
        length = _length(rest, place)
        header = rest[place + 2 : place + length]
        end = stop = _next(rest, place + length)
        work = _SCAN_COST + _blocks(frame, header)
        while rest[stop + 1 : stop + 2] not in (b"\xda", b"\xd9", b""):
            stop = _next(rest, stop + 2 + _length(rest, stop + 2))
            others += 1
        scans.append(JpegScan(header, rest[place:end], work, rest[end:stop]))
        is_over = rest[stop + 1 : stop + 2] != b"\xda"
        place = stop + 2
        if len(scans) > MIN_WORK // _SCAN_COST or others > 20 * MAX_SEGMENTS:
            raise _too_many(frame)
    return scans


def _next(rest: bytes, place: int) -> int:
    found = _MARKER.search(rest, place)
    return found.start() if found else len(rest)


def _length(rest: bytes, place: int) -> int:
    return max(2, int.from_bytes(rest[place : place + 2], "big"))


def _blocks(frame: Frame, header: bytes) -> int:
    """Return the work of a scan in blocks; a scan that refines walks through all coefficients of its band."""
    n_parts = header[0] if header else 0
    blocks = sum(frame.blocks.get(part, 0) for part in header[1 : 1 + 2 * n_parts : 2])
    band = header[1 + 2 * n_parts : 4 + 2 * n_parts]
    is_long = len(band) == 3 and band[2] >> 4 and band[0] and frame.marker in _PROGRESSIVE
    return blocks * (1 + max(0, band[1] - band[0] + 1) // 8 if is_long else 1)


def _leaner(frame: Frame, scans: list[JpegScan], stream: BinaryIO, start: int) -> BinaryIO:
    """Return the file without scans that only write again what stands there: equal to one before, not a refinement.

    Raises:
        ImageError: too much work is left.
    """
    kept: list[JpegScan] = []
    known: list[JpegScan] = []
    for scan in scans:
        is_first = not scan.band[3]
        if is_first and not scan.after and any(scan.data == one.data for one in known):
            continue
        kept.append(scan)
        known = [] if scan.after else [one for one in known if not one.touches(scan)][-_KNOWN:]
        if is_first and not scan.after:
            known.append(scan)
    if sum(scan.work for scan in kept) > _allowed(frame):
        raise _too_many(frame)
    stream.seek(0)
    body = b"\xff\xda".join(scan.data + scan.after for scan in kept)
    return io.BytesIO(stream.read(start) + body + b"\xff\xd9")


def _too_many(frame: Frame) -> ImageError:
    return ImageError(
        f"a JPEG of {frame.width} x {frame.height} pixels with more scans than any encoder makes: refused"
    )
