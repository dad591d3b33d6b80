"""The EXIF orientation of an image, read straight from its bytes: quick, and silent on a damaged EXIF block."""

import struct

from PIL import Image

_ORIENTATION = 0x0112
_SHORT = 3
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(pixels: Image.Image, image: Image.Image) -> Image.Image:
    """Return `pixels` turned by the EXIF orientation that `image` carries (TIFF is turned by Pillow as it decodes)."""
    exif = image.info.get("exif")
    if image.format == "TIFF" or not isinstance(exif, bytes):
        return pixels
    turn = _TURNS.get(orientation_of(exif))
    return pixels if turn is None else pixels.transpose(turn)


def orientation_of(exif: bytes) -> int:
    """Return the orientation, 1 to 8, of an EXIF block; 1 (upright) where it names none or is damaged."""
    block = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "L", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHLH", block, entry)
            if tag == _ORIENTATION and kind == _SHORT:
                return int(value) if value in _TURNS else 1
    except struct.error:
        return 1
    return 1
