"""Images as people have them, made small: each is a file's bytes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

COLORS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return an image as the bytes of a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def quadrants(height: int = 24, width: int = 32) -> Image.Image:
    """Return red, green / blue, yellow quadrants."""
    rows = np.arange(height) * 2 // height
    columns = np.arange(width) * 2 // width
    return Image.fromarray(COLORS[rows[:, None], columns[None, :]])


def noisy(seed: int, side: int = 16) -> Image.Image:
    """Return noise that no other seed makes."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def rotated_jpeg(orientation: int) -> bytes:
    """Return a JPEG whose EXIF asks for a turn."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(quadrants(64, 96), "JPEG", quality=95, exif=exif.tobytes())


def png_of_size(width: int, height: int) -> bytes:
    """Return a PNG that says it has this size and holds one compressed row of zeros: small, whatever it claims."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    header = struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min(height * (width + 1), 1_000_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def good_images() -> dict[str, bytes]:
    """Return one file of each kind that must be read."""
    base = quadrants()
    rgba = base.convert("RGBA")
    rgba.putalpha(128)
    palette = base.convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    deep = Image.fromarray(np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8))
    frames = [base, Image.new("RGB", base.size, "white"), Image.new("RGB", base.size, "black")]
    return {
        "plain.jpg": encoded(base, "JPEG"),
        "turned.jpg": rotated_jpeg(6),
        "grey.jpg": encoded(base.convert("L"), "JPEG"),
        "cmyk.jpg": encoded(base.convert("CMYK"), "JPEG"),
        "grey_alpha.png": encoded(base.convert("LA")),
        "alpha.png": encoded(rgba),
        "deep.png": encoded(deep),
        "deep.tif": encoded(deep, "TIFF"),
        "one_bit.png": encoded(base.convert("1")),
        "palette.png": encoded(palette, transparency=0),
        "palette_bytes.png": encoded(palette, transparency=bytes([0, 128, 255, 255])),
        "moving.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "moving.webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
        "plain.bmp": encoded(base, "BMP"),
        "plain.ppm": encoded(base, "PPM"),
        "plain.tiff": encoded(base, "TIFF"),
        "one.png": encoded(Image.new("RGB", (1, 1), "red")),
        "thin.png": encoded(Image.new("L", (1, 3000), 7)),
        "no_suffix": encoded(base),
        "wrong_suffix.jpg": encoded(base, "PNG"),
    }


def bad_images() -> dict[str, tuple[bytes, str]]:
    """Return one file of each kind that cannot be read, with a part of the reason."""
    jpeg = encoded(noisy(1, 64), "JPEG")
    png = encoded(noisy(2, 64))
    return {
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated or damaged"),
        "cut.png": (png[: len(png) // 2], "truncated or damaged"),
        "head.jpg": (jpeg[:10], "truncated or damaged|not an image"),
        "empty.jpg": (b"", "empty"),
        "page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        "bomb.png": (png_of_size(30_000, 30_000), "30000 x 30000 is more than 64,000,000 pixels"),
        "big.png": (png_of_size(10_000, 9_500), "more than 64,000,000 pixels"),
        "zero.ppm": (b"P6 0 0 255\n", "truncated or damaged|0 x 0|not an image"),
    }
