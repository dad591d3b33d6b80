"""Pixels of every mode that Pillow reads, brought to 8-bit RGB without clipping a value."""

import numpy as np
from PIL import Image

from nearbit.errors import ImageError

_SIXTEEN_BITS = 65535


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a decoded image in mode "RGB": deep greyscale scaled to 8 bits, transparency laid on white.

    Args:
        image: decoded (its first frame loaded), of any mode.

    Raises:
        ImageError: whole numbers outside 0 to 65,535, or floating-point values outside 0 to 1: of no known scale.
    """
    if image.mode.startswith("I"):
        return _from_integers(image).convert("RGB")
    if image.mode == "F":
        return _from_floats(image).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image)
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("La", "PA"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    layered = image.convert("RGBA")
    white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layered).convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    """Scale 16-bit greyscale (modes "I;16…", and "I" where the values fit) by 255/65535, rounded."""
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > _SIXTEEN_BITS:
        raise ImageError(f"whole-number pixels from {low} to {high}: only 0 to {_SIXTEEN_BITS:,} has a known scale")
    scaled = values.astype(np.uint32)
    scaled *= 255  # in place: an image may have 64 million pixels
    scaled += _SIXTEEN_BITS // 2
    scaled //= _SIXTEEN_BITS
    return Image.fromarray(scaled.astype(np.uint8))


def _from_floats(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise ImageError(f"floating-point pixels from {low:g} to {high:g}: only 0 to 1 has a known scale")
    return Image.fromarray((values * np.float32(255) + np.float32(0.5)).astype(np.uint8))
