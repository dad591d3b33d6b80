"""The one decoder of images: safe on any file; whatever it holds, the result is 8-bit RGB or an `ImageError`.

What a file asks for (pixels, scans, chunks, strips) is counted before it is decoded: see `opening` and `work_…`.
"""

import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from nearbit.datasets.decoding.opening import header_format, opened
from nearbit.datasets.decoding.orientation import upright
from nearbit.datasets.decoding.pixel_limit import pixel_limit
from nearbit.datasets.decoding.pixels import decoded_rgb
from nearbit.errors import ImageError, InputError
from nearbit.given import check_number
from nearbit.progress import at_work_on

_REASON_LENGTH = 160
_NOT_READ = re.compile(
    r"not (yet )?supported|unsupported|not available|cannot handle|unknown (pixel |data |raw )", re.I
)


def open_image(
    source: Path | str | bytes | BinaryIO, at_least: int | None = None, *, max_pixels: int | None = None
) -> Image.Image:
    """Decode one image to mode "RGB", upright; deterministic and safe to call from several threads.

    The orientation of EXIF or XMP is applied; transparency is laid on white; greyscale, 1-bit, palette, CMYK and
    16-bit images (scaled by 255/65535) are converted; of an animation the first frame is taken. ICC profiles are not
    applied. Time and memory are bounded by what is counted in the file before it is decoded.

    Args:
        source: a path of a regular file, the bytes of a file, or an open binary file.
        at_least: pixels; a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size (faster) as long as both of its sides
            stay at least this long. None decodes at full size.
        max_pixels: width times height above which an image is refused before it is decoded; None takes
            `NEARBIT_MAX_PIXELS` of the environment, else 64,000,000. Of a JPEG 2000 a quarter of it is decoded.

    Raises:
        ImageError: no image can be made of it; the message is the reason alone, without the path: not a regular file,
            empty, of a format that is not read (which is named), more than `max_pixels` pixels, more scans, chunks or
            strips than honest files have, values of no known scale, truncated or damaged.
        InputError: `at_least` or `max_pixels` is below 1.
    """
    limit = pixel_limit(max_pixels)
    if at_least is not None:
        check_number("at_least", at_least, at_least=1, whole=True)
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), at_least, limit)
    if isinstance(source, str | Path):
        with open_regular(Path(source)) as handle:
            return _decode(handle, at_least, limit)
    return _decode(source if source.seekable() else io.BytesIO(source.read()), at_least, limit)


def image_format(source: Path | bytes) -> str:
    """Return the format that the header of an image shows: one of `opening.FORMATS`; nothing is decoded.

    Raises:
        ImageError: not a regular file, empty, of no format that is read, or of too many pixels.
    """
    if isinstance(source, bytes):
        return _format_of(io.BytesIO(source))
    with open_regular(source) as handle:
        return _format_of(handle)


def image_size(source: Path) -> tuple[int, int]:
    """Return the width and height that the header of an image shows, as it is stored; nothing but Netpbm is decoded.

    Raises:
        ImageError: not a regular file, empty, of no format that is read, or of too many pixels.
    """
    with open_regular(source) as handle, one_reason():
        width, height = opened(handle, pixel_limit()).size
        return width, height


def _format_of(stream: BinaryIO) -> str:
    with one_reason():
        return header_format(stream, pixel_limit())


@contextmanager
def open_regular(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file for reading; a pipe, a folder or a device is refused and never waited for.

    Raises:
        ImageError: it is not there, may not be read, or is not a regular file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageError("not a regular file")
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        handle = open(path, "rb", opener=lambda name, _: os.open(name, flags))  # noqa: SIM115  closed below
    except (OSError, ValueError) as error:
        raise ImageError(_why_not_opened(error, path)) from error
    with handle:
        if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
            raise ImageError("not a regular file")
        yield handle


def _why_not_opened(error: OSError | ValueError, path: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return "broken symbolic link" if path.is_symlink() else "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _decode(stream: BinaryIO, at_least: int | None, max_pixels: int) -> Image.Image:
    name = getattr(stream, "name", "")
    with at_work_on(_printable(name) if isinstance(name, str | Path) else ""), one_reason():
        image = opened(stream, max_pixels)
        if at_least is not None and image.format == "JPEG":
            image.draft(None, (at_least, at_least))
        return upright(decoded_rgb(image, stream), image)


@contextmanager
def one_reason() -> Iterator[None]:
    """Make one `ImageError` of whatever a decoder raises; damage is called so only where nothing else is known."""
    try:
        yield
    except (ImageError, InputError):
        raise
    except MemoryError as error:
        raise ImageError("not enough memory to decode it") from error
    except RecursionError as error:
        raise ImageError("not an image that can be read: its parts are nested too deeply") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"more pixels than Pillow decodes: {_short(error)}") from error
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        text = _short(error)
        known = _NOT_READ.search(text)
        raise ImageError(f"of a kind that is not read: {text}" if known else f"truncated or damaged: {text}") from error


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    text = _printable(text)
    return text if len(text) <= _REASON_LENGTH else text[: _REASON_LENGTH - 1] + "…"


def _printable(text: str | Path) -> str:
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")
