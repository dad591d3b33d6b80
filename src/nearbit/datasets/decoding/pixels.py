"""Pixels of every mode that Pillow reads, brought to 8-bit RGB: depth, sign, transparency and what 0 means decide."""

from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from nearbit.errors import ImageError

_SIXTEEN_BITS = 65535
_KEYS = {"L;2": 85, "L;4": 17}
"""By what Pillow multiplies shallow grey values as it unpacks them; the transparent value it leaves as it stands."""

_PHOTOMETRIC, _BITS, _FORMAT = 262, 258, 339

Mask = npt.NDArray[np.bool_]


def decoded_rgb(image: Image.Image, stream: BinaryIO | None) -> Image.Image:
    """Decode an opened image and return it in mode "RGB" (see `to_rgb`).

    Args:
        image: opened, and not decoded yet where the transparent color of a PNG of 2, 4 or 48 bits is to be right.
        stream: the file that it was opened from, None where that is not known; of a PNG of 16-bit color with a
            transparent color the lower bytes are read from it.

    Raises:
        ImageError: see `to_rgb`; or such a PNG without its stream.
    """
    layout = _png_layout(image)
    image.load()
    key = image.info.get("transparency")
    if layout in _KEYS and isinstance(key, int):
        image = image.copy()
        image.info["transparency"] = key * _KEYS[layout]
    if layout != "RGB;16B" or not isinstance(key, tuple):
        return to_rgb(image)
    if stream is None:
        raise ImageError("a PNG of 16-bit color with a transparent color: give its path, not a Pillow image")
    rgb = image.convert("RGB")
    rgb.paste((255, 255, 255), mask=Image.fromarray(_clear_pixels(image, stream, key)))
    return rgb


def _png_layout(image: Image.Image) -> str:
    """Return how the pixels of a PNG lie in the file, by Pillow's name; "" for others and where it is decoded."""
    return str(image.tile[0].args) if isinstance(image, PngImagePlugin.PngImageFile) and image.tile else ""


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a decoded image in mode "RGB": deep greyscale scaled to 8 bits, transparency laid on white.

    Args:
        image: decoded (its first frame loaded), of any mode. Where it comes from a TIFF, the tags say how deep it is
            and whether 0 is white.

    Raises:
        ImageError: whole numbers outside 0 to 65,535 or of 32 bits, or floating-point values outside 0 to 1: of no
            known scale.
    """
    if image.mode.startswith("I"):
        return _from_integers(image).convert("RGB")
    if image.mode == "F":
        return _from_floats(image).convert("RGB")
    if image.mode == "LAB":
        return _from_lab(image)
    if image.has_transparency_data:
        return _on_white(image)
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("La", "PA"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    layered = image.convert("RGBA")
    white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layered).convert("RGB")


def _clear_pixels(upper: Image.Image, stream: BinaryIO, key: tuple[int, ...]) -> Mask:
    """Return where a PNG of 16-bit color has its transparent color: both bytes of each value are compared.

    Args:
        upper: the image as it was decoded, which is the upper bytes.
        stream: its file, of which the lower bytes are decoded only where the upper ones agree anywhere.
        key: the color, of 16 bits a value.
    """
    clear = _equal(upper, [value >> 8 for value in key])
    if clear.any():
        stream.seek(0)
        lower = PngImagePlugin.PngImageFile(stream, "")
        lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]
        lower.load()
        clear &= _equal(lower, [value & 255 for value in key])
    return clear


def _equal(image: Image.Image, color: list[int]) -> Mask:
    pixels = np.asarray(image)
    equal: Mask = pixels[..., 0] == color[0]
    for channel in (1, 2):
        equal &= pixels[..., channel] == color[channel]
    return equal


def _tags(image: Image.Image) -> Any:
    """Return the tags of a TIFF, or an empty mapping."""
    return getattr(image, "tag_v2", {})


def _from_integers(image: Image.Image) -> Image.Image:
    """Scale deep greyscale by 255 over its greatest value, rounded: 65,535, or 4,095 for a TIFF of 12 bits."""
    tags = _tags(image)
    bits = int((tags.get(_BITS) or (16,))[0])
    if bits == 32 or int((tags.get(_FORMAT) or (1,))[0]) == 2:
        raise ImageError(f"whole-number pixels of {bits} bits, of no known scale: save it with 8 or 16 bits, unsigned")
    most = (1 << bits) - 1
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > most:
        raise ImageError(f"whole-number pixels from {low} to {high}: only 0 to {most:,} has a known scale")
    scaled = values.astype(np.uint32)
    scaled *= 255  # in place: an image may have 64 million pixels
    scaled += most // 2
    scaled //= most
    grey = scaled.astype(np.uint8)
    if _zero_is_white(tags):
        grey ^= 255
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey[values == key] = 255
    return Image.fromarray(grey)


def _zero_is_white(tags: Any) -> bool:
    return bool(tags) and tags.get(_PHOTOMETRIC, 1) == 0


def _from_floats(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise ImageError(f"floating-point pixels from {low:g} to {high:g}: only 0 to 1 has a known scale")
    grey = (values * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return Image.fromarray(grey ^ np.uint8(255) if _zero_is_white(_tags(image)) else grey)


def _from_lab(image: Image.Image) -> Image.Image:
    """Bring CIE L*a*b* (D50) to sRGB by the color management of Pillow."""
    try:
        from PIL import ImageCms

        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(*profiles, "LAB", "RGB")
        converted = ImageCms.applyTransform(image, transform)
    except ImportError as error:
        raise ImageError("an image in L*a*b*, which this build of Pillow cannot convert: save it in RGB") from error
    if converted is None:
        raise ImageError("an image in L*a*b*, which cannot be converted: save it in RGB")
    return converted
