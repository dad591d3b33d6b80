"""Files that ask for far more work than their size shows: each by a function of its size in bytes."""

import struct
import zlib

from awkward_images import encoded
from PIL import Image


def segment(marker: int, body: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return bytes([255, marker]) + struct.pack(">H", len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def png(header: tuple[int, int, int, int], *chunks: bytes) -> bytes:
    """Return a PNG of width, height, depth and color type with these chunks."""
    width, height, depth, color = header
    head = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def tiff(*entries: tuple[int, int, int, int], data: bytes = b"", order: str = "<") -> bytes:
    """Return a TIFF: data from byte 8 on, then one directory of (tag, type, count, value)."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8 + len(data)) + data
    rows = b"".join(
        struct.pack(order + "HHHH", tag, kind, 0, 0)[:4]
        + struct.pack(order + "L", count)
        + (struct.pack(order + "HH", value, 0) if kind == 3 and count == 1 else struct.pack(order + "L", value))
        for tag, kind, count, value in sorted(entries)
    )
    return head + struct.pack(order + "H", len(entries)) + rows + struct.pack(order + "L", 0)


def grey_tiff(bits: int, pixels: bytes, sample_format: int = 1, photometric: int = 1, order: str = "<") -> bytes:
    """Return a TIFF of one row of grey pixels."""
    width = len(pixels) * 8 // bits
    entries = [(256, 3, 1, width), (257, 3, 1, 1), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, photometric)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, len(pixels)), (339, 3, 1, sample_format)]
    return tiff(*entries, data=pixels, order=order)


def progressive(side: int, scans: int, *, refine: bool = False, alternate: bool = False) -> bytes:
    """Return a progressive grey JPEG with many scans that hold nothing."""
    blocks = -((-side // 8) ** 2) if side % 8 else (side // 8) ** 2
    out = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    out += segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0]))
    out += segment(0xC4, bytes([0, 1] + [0] * 15 + [0])) + segment(0xC4, bytes([16, 1] + [0] * 15 + [0xE0]))
    out += segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + b"\0" * (-(-blocks // 8))
    bits = ("0" + "1" * 14) * -(-blocks // 32767)
    bits += "1" * (-len(bits) % 8)
    body = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    first = segment(0xDA, bytes([1, 1, 0, 1, 63, 0 if not refine else 1])) + body
    again = segment(0xDA, bytes([1, 1, 0, 1, 63, 0x10])) + body if refine else first
    tail = segment(0xFE, b"") if alternate else b""
    return out + first + (again + tail) * (scans - 1) + b"\xff\xd9"


def runs(side: int) -> bytes:
    """Return the head of a run-length BMP of 8 bits."""
    head = struct.pack("<LllHHLLllLL", 40, side, side, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<LLL", 1078, 0, 1078) + head + bytes(1024)


def hostile(size: int) -> dict[str, bytes]:
    """Return a file of each hostile kind of about so many bytes."""
    jpeg, gif = encoded(Image.new("L", (8, 8)), "JPEG"), encoded(Image.new("L", (8, 8)), "GIF")
    idat = chunk(b"IDAT", zlib.compress(b"\0" * 9 * 8))
    bomb = zlib.compress(b"\0" * 1_000_000)
    webp = encoded(Image.new("RGB", (8, 8)), "WEBP")
    screen = 13 + (3 << ((gif[10] & 7) + 1) if gif[10] & 0x80 else 0)
    n = size // 12
    return {
        "ppm comments": b"P3 8 8 255\n" + b"#\n" * (size // 2),
        "ppm comment in the header": b"P6 #" + b"a" * size + b"\n8 8 255\n" + b"\0" * 192,
        "ppm spaces": b"P2" + b" " * size + b"8 8 255\n" + b"0 " * 64,
        "ppm of numbers": b"P3 1000 1000 255\n" + b"7 " * (size // 2),
        "pbm of digits": b"P1 4000 4000\n" + b"1" * size,
        "pgm of 12 bits": b"P5 2000 2000 4095\n" + b"\1" * size,
        "jpeg scans refined": progressive(6320, max(2, size // 66), refine=True),
        "jpeg scans and comments": progressive(6320, max(2, size // 70), alternate=True),
        "jpeg of small scans": progressive(8, size // 14, refine=True),
        "jpeg comments": jpeg[:2] + segment(0xFE, b"") * (size // 4) + jpeg[2:],
        "jpeg exif in pieces": jpeg[:2] + segment(0xE1, b"Exif\0\0a") * (size // 11) + jpeg[2:],
        "jpeg rubbish": jpeg[:2] + segment(0xFE, b"") + b"\0" * size + jpeg[2:],
        "jpeg tables": jpeg[:2] + segment(0xDB, b"\0" + b"\1" * 64) * (size // 69) + jpeg[2:],
        "png chunks": png((8, 8, 8, 0), chunk(b"tEXt", b"a\0b") * (size // 15), idat),
        "png empty data": png((8, 8, 8, 0), chunk(b"IDAT", b"") * (size // 12), idat),
        "png texts": png((8, 8, 8, 0), chunk(b"zTXt", b"a\0\0" + bomb) * (size // len(bomb)), idat),
        "png profiles": png((8, 8, 8, 0), chunk(b"iCCP", b"a\0\0" + bomb) * (size // len(bomb)), idat),
        "png texts at the end": png((8, 8, 8, 0), idat, chunk(b"tEXt", b"a\0b") * (size // 15)),
        "gif comments": gif[:screen] + b"!\xfe" + b"\1a" * (size // 2) + b"\0" + gif[screen:],
        "gif rubbish": gif[:screen] + b"\1" * size + gif[screen:],
        "bmp runs": runs(8000) + b"\1\1" * (size // 2),
        "bmp ends of lines": runs(8000) + b"\1\1\0\0" * (size // 4),
        "webp chunks": webp + b"ABCD\0\0\0\0" * (size // 8),
        "tiff strips": tiff(
            (256, 3, 1, 1), (257, 4, 1, n), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, n, 8),
            (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, n, 8), data=bytes(4 * n),
        ),
        "tiff strips over each other": tiff(
            (256, 3, 1, 1), (257, 3, 1, 999), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (273, 4, 999, 8),
            (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 999, 8), data=struct.pack("<L", size) * max(999, size // 4),
        ),
        "tiff entries over each other": tiff(
            (256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
            *((40_000 + row, 7, size, 8) for row in range(2000)), data=bytes(size),
        ),
        "tiff of many entries": tiff(*((row, 3, 1, 1) for row in range(min(size // 12, 65_000)))),
    }  # fmt: skip
