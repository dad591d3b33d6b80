"""How much work a TIFF asks for, and whether its pixels are of a kind that is read, by its first directory."""

import math
from typing import BinaryIO

from nearbit.datasets.decoding.kinds import refusal
from nearbit.datasets.decoding.tiff_head import Directory, directory_at, first_directory
from nearbit.errors import ImageError

MAX_PIECES = 32_768
"""Strips or tiles; more are laid together by hardly any program, and each costs time of its own."""

MAX_SCAN_WORK = 64_000_000
"""Scans times blocks of the JPEG images inside."""

_REDUCED, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _ROWS, _STRIP_COUNTS, _MAKE, _PLANAR = 273, 277, 278, 279, 271, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _SUB = 322, 323, 324, 325, 330
_FORMAT, _SUBSAMPLING, _DNG = 339, 530, 50706
_INNER = (34665, 34853, 40965)
_RAW_MAKERS = ("NIKON", "SONY", "PENTAX", "RICOH", "SAMSUNG", "EPSON", "CANON", "HASSELBLAD", "LEAF", "PHASE ONE")
_RAW_COMPRESSIONS = frozenset((32767, 32769, 34713, 34892, 65535))
_COLOR_FILTER, _LINEAR_RAW = 32803, 34892
_JPEGS = (6, 7)
_READ = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000, 50001))
_FORMATS = {1: "whole numbers", 2: "signed whole numbers", 3: "floating point", 4: "undefined values"}


def check_tiff(stream: BinaryIO) -> tuple[int, int]:
    """Refuse a TIFF of far too many or overlapping pieces, and pixels that are not read; return width and height.

    Raises:
        ImageError: for these, for camera raw files in the form of a TIFF, or where the directory is cut off.
    """
    directory = first_directory(stream)
    _refuse_raw(directory)
    width, height = directory.number(_WIDTH, 0), directory.number(_HEIGHT, 0)
    if not width or not height:
        raise ImageError("truncated or damaged: a TIFF without width or height")
    _refuse_pixels(directory)
    _refuse_metadata(directory)
    _refuse_pieces(directory, width, height)
    return width, height


def _refuse_raw(directory: Directory) -> None:
    """Camera raw files open as the small preview that stands first: that is not the image."""
    is_preview = directory.number(_REDUCED, 0) & 1 and _SUB in directory.entries
    maker = directory.text(_MAKE).upper()
    if (
        _DNG in directory.entries
        or directory.number(_COMPRESSION, 1) in _RAW_COMPRESSIONS
        or directory.number(_PHOTOMETRIC, 1) in (_COLOR_FILTER, _LINEAR_RAW)
        or (is_preview and maker.startswith(_RAW_MAKERS))
    ):
        name = "DNG" if _DNG in directory.entries else "NEF, ARW or the like"
        raise refusal(f"a camera raw file ({name})", "develop it and save it as JPEG, PNG or TIFF")


def _refuse_pixels(directory: Directory) -> None:
    compression = directory.number(_COMPRESSION, 1)
    if compression not in _READ:
        raise refusal(f"a TIFF of compression {compression}", "save it with LZW, Deflate or none")
    bits, sample_format = directory.number(_BITS, 1), directory.number(_FORMAT, 1)
    photometric = directory.number(_PHOTOMETRIC, 0)
    what = f"a TIFF of {_FORMATS.get(sample_format, 'unknown values')} with {bits} bits a sample"
    if sample_format == 2:
        raise refusal(what + ", whose scale is not known", "save it with 8 or 16 bits, unsigned")
    if (sample_format, bits) not in {(1, 1), (1, 2), (1, 4), (1, 8), (1, 12), (1, 16), (3, 32)}:
        raise refusal(what, "save it with 8 or 16 bits, unsigned, or with floats of 32 bits from 0 to 1")
    is_plain_color = photometric == 6 and compression == 1 and directory.number(_SAMPLES, 1) == 3
    if is_plain_color and directory.numbers(_SUBSAMPLING) != (1, 1):
        raise refusal("an uncompressed TIFF of YCbCr with subsampling", "save it in RGB")


def _refuse_metadata(directory: Directory) -> None:
    """Entries may not lie over each other so often that reading all of them reads the file many times."""
    found = [directory]
    for tag in _INNER:
        place = directory.number(tag, 0)
        if place >= 8 and place < directory.size:
            found.append(directory_at(directory.stream, place, directory.order, directory.is_big))
    total = sum(entry.n_bytes for one in found for entry in one.entries.values() if entry.n_bytes <= directory.size)
    if total > 2 * directory.size + 65_536:
        raise ImageError("a TIFF whose entries lie over each other: refused")


def _refuse_pieces(directory: Directory, width: int, height: int) -> None:
    is_tiled = _TILE_OFFSETS in directory.entries and _STRIP_OFFSETS not in directory.entries
    offsets = directory.entries.get(_TILE_OFFSETS if is_tiled else _STRIP_OFFSETS)
    planes = directory.number(_SAMPLES, 1) if directory.number(_PLANAR, 1) == 2 else 1
    across, down = width, max(1, min(directory.number(_ROWS, height), height))
    if is_tiled:
        across, down = max(1, directory.number(_TILE_WIDTH, 1)), max(1, directory.number(_TILE_HEIGHT, 1))
    needed = math.ceil(width / across) * math.ceil(height / down) * planes
    pieces = max(needed, offsets.count if offsets else 0)
    if pieces > MAX_PIECES:
        raise ImageError(f"a TIFF in more than {MAX_PIECES:,} strips or tiles: refused")
    compression = directory.number(_COMPRESSION, 1)
    if compression == 1:
        return
    lengths = directory.numbers(_TILE_COUNTS if is_tiled else _STRIP_COUNTS, MAX_PIECES)
    if pieces > 1 and len(lengths) < needed and compression != 6:
        raise ImageError("a compressed TIFF that does not say how long its strips are: refused")
    if sum(min(length, directory.size) for length in lengths) > 2 * directory.size + 65_536:
        raise ImageError("a TIFF whose strips or tiles lie over each other: refused")
    if is_tiled and across * down > 4 * max(width, 16) * max(height, 16) + 4_194_304:
        raise ImageError(f"a TIFF with tiles of {across} x {down} pixels, far larger than the image: refused")
    if compression in _JPEGS:
        _refuse_scans(directory, across * down * directory.number(_SAMPLES, 1) // planes // 64)


def _refuse_scans(directory: Directory, blocks: int) -> None:
    """Each scan in the file may cost all blocks of a strip or tile (see `nearbit.datasets.decoding.work_jpeg`)."""
    directory.stream.seek(0)
    scans, tail = 0, b""
    while data := directory.stream.read(1 << 20):
        scans += (tail + data).count(b"\xff\xda")
        tail = data[-1:]
    if scans * (blocks * 2 + 512) > MAX_SCAN_WORK:
        raise ImageError("a TIFF with more JPEG scans than any encoder makes: refused")
