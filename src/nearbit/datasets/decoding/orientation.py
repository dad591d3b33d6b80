"""The orientation of an image by EXIF or XMP, read straight from its bytes: quick, and silent on a damaged block."""

import re
import struct

from PIL import Image

_ORIENTATION = 0x0112
_CODES = {1: "B", 3: "H", 4: "L"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_IN_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)\s*([1-8])(?![0-9])")
_TEXTS = ("XML:com.adobe.xmp", "xmp")


def upright(pixels: Image.Image, image: Image.Image) -> Image.Image:
    """Return `pixels` turned by the orientation that `image` carries.

    EXIF goes before XMP, as in Pillow. TIFF is turned by Pillow as it decodes, HEIF by pillow-heif.
    """
    if image.format in ("TIFF", "HEIF"):
        return pixels
    turn = _TURNS.get(_asked(image))
    return pixels if turn is None else pixels.transpose(turn)


def _asked(image: Image.Image) -> int:
    """Return the orientation that the metadata ask for, 1 to 8; 1 where they name none."""
    exif = image.info.get("exif")
    if exif is None and isinstance(image.info.get("Raw profile type exif"), str):
        exif = _from_text(image.info["Raw profile type exif"])
    found = _in_exif(exif) if isinstance(exif, bytes) else None
    if found is not None:
        return found
    for name in _TEXTS:
        xmp = image.info.get(name)
        if xmp:
            data = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else bytes(xmp)
            match = _IN_XMP.search(data)
            return int(match[1]) if match else 1
    return 1


def _from_text(profile: str) -> bytes | None:
    """Return the EXIF block that ImageMagick writes into a PNG as hexadecimal digits, after three lines."""
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:]))
    except ValueError:
        return None


def orientation_of(exif: bytes) -> int:
    """Return the orientation, 1 to 8, of an EXIF block; 1 (upright) where it names none or is damaged."""
    return _in_exif(exif) or 1


def _in_exif(exif: bytes) -> int | None:
    """Return the orientation that an EXIF block names (an unknown number as 1), or None where it names none."""
    block = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "L", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHL", block, entry)
            if tag == _ORIENTATION and kind in _CODES and number:
                (value,) = struct.unpack_from(order + _CODES[kind], block, entry + 8)
                return int(value) if value in _TURNS else 1
    except struct.error:
        return None
    return None
