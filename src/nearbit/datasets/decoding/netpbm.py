"""PBM, PGM, PPM and grey PFM files, read with NumPy: every maximum has its scale, and comments cost what they hold."""

import re
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.errors import ImageError

MAX_HEADER = 65_536
"""Bytes in which the header, comments included, must end."""

_BLOCK = 1 << 20
_DIGITS = 10
"""Digits of a number at most, as in Pillow."""

_SPACE = rb"(?:[ \t\n\v\f\r]|#[^\r\n]*[\r\n])"
_FIELD = _SPACE + rb"+([^\s#]{1,32})"
_HEADERS = {
    b"P1": re.compile(rb"P1" + _FIELD * 2),
    b"P4": re.compile(rb"P4" + _FIELD * 2 + rb"\s"),
    b"P2": re.compile(rb"P2" + _FIELD * 3),
    b"P3": re.compile(rb"P3" + _FIELD * 3),
    b"P5": re.compile(rb"P5" + _FIELD * 3 + rb"\s"),
    b"P6": re.compile(rb"P6" + _FIELD * 3 + rb"\s"),
    b"Pf": re.compile(rb"Pf" + _FIELD * 3 + rb"\s"),
}

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class NetpbmHeader:
    """What the head of a file says: magic, size, the greatest value (of Pf the scale), where the pixels begin."""

    magic: bytes
    width: int
    height: int
    most: float
    start: int

    @property
    def n_values(self) -> int:
        """The number of values in the image."""
        return self.width * self.height * (3 if self.magic in (b"P3", b"P6") else 1)


def read_header(stream: BinaryIO) -> NetpbmHeader:
    """Read the header of a Netpbm file.

    Raises:
        ImageError: cut off, of a wrong form, or longer than `MAX_HEADER`.
    """
    stream.seek(0)
    head = stream.read(MAX_HEADER)
    pattern = _HEADERS.get(head[:2])
    found = pattern.match(head) if pattern is not None else None
    if found is None:
        if len(head) == MAX_HEADER:
            raise ImageError(f"a Netpbm file whose header is longer than {MAX_HEADER:,} bytes: refused")
        raise ImageError("truncated or damaged: the header of a Netpbm file is cut off or of a wrong form")
    fields = found.groups()
    width, height = _whole(fields[0]), _whole(fields[1])
    if head[:2] == b"Pf":
        return NetpbmHeader(head[:2], width, height, _scale(fields[2]), found.end())
    most = _whole(fields[2]) if len(fields) > 2 else 1
    if not 1 <= most <= 65_535:
        raise ImageError(f"truncated or damaged: the greatest value of a Netpbm file is 1 to 65,535, not {most}")
    return NetpbmHeader(head[:2], width, height, most, found.end())


def read_pixels(stream: BinaryIO, header: NetpbmHeader) -> Image.Image:
    """Return the image in mode "L" or "RGB", values scaled by 255 over the greatest one, rounded; of Pf 0 to 1 by 255.

    Raises:
        ImageError: cut off, a number above the greatest value, floats outside 0 to 1.
    """
    stream.seek(header.start)
    if header.magic == b"Pf":
        return _floats(stream, header)
    if header.magic in (b"P1", b"P2", b"P3"):
        scaled = _plain(stream, header)
    elif header.magic == b"P4":
        row = (header.width + 7) // 8
        packed = _exactly(stream, row * header.height).reshape(header.height, row)
        scaled = (np.uint8(1) - np.unpackbits(packed, axis=1, count=header.width)) * np.uint8(255)
    else:
        scaled = _binary(stream, header)
    shape = (header.height, header.width, 3) if header.magic in (b"P3", b"P6") else (header.height, header.width)
    return Image.fromarray(scaled.reshape(shape))


def _whole(field: bytes) -> int:
    if not field.isdigit() or len(field) > _DIGITS:
        raise ImageError("truncated or damaged: the header of a Netpbm file holds something else than a number")
    return int(field)


def _scale(field: bytes) -> float:
    try:
        scale = float(field)
    except ValueError:
        scale = 0.0
    if not np.isfinite(scale) or not scale:
        raise ImageError("truncated or damaged: the scale of a PFM file must be a number other than 0")
    return scale


def _exactly(stream: BinaryIO, n_bytes: int) -> Bytes:
    data = stream.read(n_bytes)
    if len(data) < n_bytes:
        raise ImageError(f"truncated or damaged: {n_bytes - len(data):,} bytes of pixels are missing")
    return np.frombuffer(data, np.uint8)


def _scaled(values: npt.NDArray[np.integer], most: int) -> Bytes:
    table = ((np.arange(most + 1, dtype=np.uint32) * 255 + most // 2) // most).astype(np.uint8)
    if int(values.max(initial=0)) > most:
        raise ImageError(f"truncated or damaged: a value of {int(values.max()):,} is above the greatest, {most:,}")
    scaled: Bytes = table[values]
    return scaled


def _binary(stream: BinaryIO, header: NetpbmHeader) -> Bytes:
    most = int(header.most)
    if most < 256:
        values = _exactly(stream, header.n_values)
        return values.copy() if most == 255 else _scaled(values, most)
    return _scaled(_exactly(stream, 2 * header.n_values).view(">u2"), most)


def _floats(stream: BinaryIO, header: NetpbmHeader) -> Image.Image:
    order = "<f4" if header.most < 0 else ">f4"
    values = _exactly(stream, 4 * header.n_values).view(order).reshape(header.height, header.width)
    return Image.fromarray(values[::-1].astype(np.float32))


def _plain(stream: BinaryIO, header: NetpbmHeader) -> Bytes:
    """Read numbers in decimal digits, a block at a time; of P1 each digit is a number."""
    out = np.empty(header.n_values, np.uint8)
    done, half, in_comment = 0, b"", False
    while done < len(out):
        block = stream.read(_BLOCK)
        text, in_comment = _without_comments(block, in_comment)
        numbers, half = _numbers(half + text, whole=not block, single=header.magic == b"P1")
        scaled = _scaled(numbers[: len(out) - done], int(header.most))
        if header.magic == b"P1":
            scaled ^= 255
        out[done : done + len(scaled)] = scaled
        done += len(scaled)
        if not block and done < len(out):
            raise ImageError(f"truncated or damaged: {len(out) - done:,} numbers are missing")
    return out


def _without_comments(block: bytes, in_comment: bool) -> tuple[bytes, bool]:
    """Return a block without its comments, each from "#" to the end of the line, and whether the last one goes on."""
    if b"#" not in block and not in_comment:
        return block, False
    letters = np.frombuffer(block, np.uint8)
    places = np.arange(1, len(letters) + 1, dtype=np.int32)
    ends = np.maximum.accumulate(np.where((letters == 10) | (letters == 13), places, 0))
    starts = np.maximum.accumulate(np.where(letters == 35, places, 0))
    inside = (starts > ends) | ((ends == 0) if in_comment else False)
    return letters[~inside].tobytes(), bool(inside[-1]) if len(inside) else in_comment


def _numbers(text: bytes, *, whole: bool, single: bool) -> tuple[npt.NDArray[np.integer], bytes]:
    """Return the numbers in a text, and the digits at its end that may go on in the next block."""
    kept = len(text) if whole or single else len(text) - _digits_at_end(text)
    letters = np.frombuffer(text, np.uint8)[:kept]
    digits = letters - np.uint8(48)
    is_digit = digits < 10
    if not (is_digit | (letters == 32) | ((letters >= 9) & (letters <= 13))).all():
        raise ImageError("truncated or damaged: the pixels of a plain Netpbm file hold something else than numbers")
    if single:
        return digits[is_digit].astype(np.int64), b""
    edges = np.diff(is_digit.astype(np.int8), prepend=np.int8(0), append=np.int8(0))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    lengths = ends - starts
    if int(lengths.max(initial=0)) > _DIGITS:
        raise ImageError(f"truncated or damaged: a number of more than {_DIGITS} digits")
    values = np.zeros(len(starts), np.int64)
    for digit in range(int(lengths.max(initial=0))):
        reach = lengths > digit
        values[reach] += digits[ends[reach] - 1 - digit].astype(np.int64) * 10**digit
    return values, text[kept:]


def _digits_at_end(text: bytes) -> int:
    count = len(text) - len(text.rstrip(b"0123456789"))
    if count > _DIGITS:
        raise ImageError(f"truncated or damaged: a number of more than {_DIGITS} digits")
    return count
