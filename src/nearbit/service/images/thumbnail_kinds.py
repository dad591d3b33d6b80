"""What the bytes of a thumbnail are: told by the bytes alone, whatever a file says of them."""

from typing import Any

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
JPEG = b"\xff\xd8\xff"
MOST_BYTES = 500_000
MOST_SIDE = 512
"""What we make is smaller: neither a thumbnail of other size nor one that is huge once decoded is shown."""

_FRAMES = frozenset({0xC0, 0xC1})
"""Markers of the frames of a JPEG that is decoded in one pass, as we write it."""


def image_type(data: Any) -> str | None:
    """Return the content type of a thumbnail as we make it; None where the bytes are anything else."""
    if not isinstance(data, bytes) or len(data) > MOST_BYTES:
        return None
    if data.startswith(PNG):
        size = (int.from_bytes(data[16:20]), int.from_bytes(data[20:24]))
        kind = "image/png"
    elif data.startswith(JPEG):
        size, kind = _jpeg_size(data), "image/jpeg"
    else:
        return None
    return kind if all(1 <= side <= MOST_SIDE for side in size) else None


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return height and width as the frame header names them; (0, 0) where there is none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
        if marker == 0xDA or (0xC2 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            break
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
    return 0, 0
