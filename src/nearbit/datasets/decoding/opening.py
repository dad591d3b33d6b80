"""An image opened by the one reader of its format, after its work and its pixels were counted, and not decoded yet."""

from collections.abc import Callable
from importlib import import_module
from typing import BinaryIO, cast

from PIL import Image, JpegImagePlugin, features

from nearbit.datasets.decoding import netpbm
from nearbit.datasets.decoding.kinds import kind_of
from nearbit.datasets.decoding.work_boxes import check_heif, check_jpeg2000
from nearbit.datasets.decoding.work_chunks import check_bmp, check_gif, check_png, check_webp
from nearbit.datasets.decoding.work_jpeg import check_jpeg
from nearbit.datasets.decoding.work_tiff import check_tiff
from nearbit.errors import ImageError, MissingExtraError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000", "HEIF")
"""Formats that are read, and no other; JPEG covers MPO (several frames), PPM covers PGM, PBM and grey PFM."""

Size = tuple[int, int]

_SIZES: dict[str, Callable[[BinaryIO], Size]] = {
    "PNG": check_png,
    "GIF": check_gif,
    "BMP": check_bmp,
    "WEBP": check_webp,
    "TIFF": check_tiff,
    "JPEG2000": check_jpeg2000,
}


_READERS = {
    "PNG": ("PngImagePlugin", "PngImageFile"),
    "GIF": ("GifImagePlugin", "GifImageFile"),
    "BMP": ("BmpImagePlugin", "BmpImageFile"),
    "WEBP": ("WebPImagePlugin", "WebPImageFile"),
    "TIFF": ("TiffImagePlugin", "TiffImageFile"),
    "AVIF": ("AvifImagePlugin", "AvifImageFile"),
    "JPEG2000": ("Jpeg2KImagePlugin", "Jpeg2KImageFile"),
}


_COSTLY = {"JPEG2000": 4}
"""Formats that take so many times the time and the memory for a pixel: so many times fewer pixels are allowed."""


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG whose EXIF block is left to us: Pillow would read all of it for its resolution, and warn."""

    def _read_dpi_from_exif(self) -> None:
        """Do without the resolution."""


def header_format(stream: BinaryIO, max_pixels: int) -> str:
    """Return the format of an image, one of `FORMATS`, after its header was read as by `opened`; nothing is decoded."""
    name = kind_of(stream)
    if name == "PPM":
        _netpbm_header(stream, max_pixels)
    else:
        opened(stream, max_pixels)
    return name


def opened(stream: BinaryIO, max_pixels: int) -> Image.Image:
    """Return an image of which the header alone was read; of a Netpbm file the decoded one.

    Raises:
        ImageError: empty, of a format that is not read, of too much work, or of too many pixels.
        Exception: whatever a decoder raises on a damaged header.
    """
    name = kind_of(stream)
    if name == "PPM":
        image = netpbm.read_pixels(stream, _netpbm_header(stream, max_pixels))
        image.format = name
        return image
    if name == "JPEG":
        size, stream = check_jpeg(stream)
        check_pixels(size, max_pixels)
    elif name in _SIZES:
        check_pixels(_SIZES[name](stream), max_pixels, _COSTLY.get(name, 1))
    else:
        check_heif(stream)
    stream.seek(0)
    image = _reader(name)(stream, "")
    check_pixels(image.size, max_pixels)
    return image


def check_pixels(size: Size, max_pixels: int, times: int = 1) -> None:
    """Refuse a width and height that are impossible, or more than `max_pixels`; a pixel counts so many times.

    Raises:
        ImageError: for these.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"an image of {width} x {height} pixels")
    if width * height * times > max_pixels:
        counted = f", each counted {times} times in this format" if times > 1 else ""
        raise ImageError(
            f"{width} x {height} is more than {max_pixels // times:,} pixels ({width * height / 1e6:.1f} megapixels, "
            f"the limit is {max_pixels / 1e6:.1f}{counted}): make it smaller, or allow more (--max-pixels, max_pixels)"
        )


def _netpbm_header(stream: BinaryIO, max_pixels: int) -> netpbm.NetpbmHeader:
    header = netpbm.read_header(stream)
    check_pixels((header.width, header.height), max_pixels)
    return header


def _reader(name: str) -> Callable[[BinaryIO, str], Image.Image]:
    """Return Pillow's class for a format; each is imported when its first image comes."""
    if name == "JPEG":
        return _Jpeg
    if name == "HEIF":
        return _heif()
    if name == "AVIF":
        _need_avif()
    module, reader = _READERS[name]
    return cast(Callable[[BinaryIO, str], Image.Image], getattr(import_module(f"PIL.{module}"), reader))


def _need_avif() -> None:
    if not features.check("avif"):
        raise ImageError("an AVIF image, which this build of Pillow cannot read: pip install --upgrade pillow")


def _heif() -> Callable[[BinaryIO, str], Image.Image]:
    """Return the class of pillow-heif; it is not registered with Pillow, so that nothing else changes."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise ImageError(str(MissingExtraError("pillow-heif", "heic", "a HEIC image"))) from error
    return cast(Callable[[BinaryIO, str], Image.Image], HeifImageFile)
