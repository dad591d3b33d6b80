"""Small files of every format that is read, changed at random from fixed seeds: an image or an `ImageError`."""

import warnings
import zlib

import numpy as np
import pytest
from awkward_images import encoded, good_images, noisy, quadrants, rotated_jpeg
from hostile_images import chunk, grey_tiff, hostile, png, progressive
from PIL import Image

from nearbit.datasets import open_image
from nearbit.errors import ImageError

ROUNDS = 40
MAX_PIXELS = 4_000_000

SEEDS = {name: content for name, content in good_images().items() if name != "thin.png"} | {
    "progressive.jpg": encoded(noisy(1, 40), "JPEG", progressive=True),
    "empty_scans.jpg": progressive(64, 9, refine=True),
    "turned.jpg": rotated_jpeg(5),
    "plain.avif": encoded(quadrants(), "AVIF"),
    "plain.jp2": encoded(noisy(2, 40), "JPEG2000"),
    "plain.j2k": encoded(noisy(2, 40), "JPEG2000", no_jp2=True),
    "lossless.webp": encoded(noisy(3), "WEBP", lossless=True),
    "lzw.tif": encoded(noisy(3), "TIFF", compression="tiff_lzw"),
    "jpeg.tif": encoded(noisy(3, 32), "TIFF", compression="jpeg"),
    "big.tif": encoded(noisy(3), "TIFF", big_tiff=True),
    "twelve.tif": grey_tiff(12, bytes(range(12))),
    "floats.tif": encoded(Image.fromarray(np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)), "TIFF"),
    "lab.tif": encoded(Image.new("LAB", (4, 4)), "TIFF"),
    "moving.png": encoded(noisy(1), "PNG", save_all=True, append_images=[noisy(2)]),
    "clear.png": png((2, 1, 16, 2), chunk(b"tRNS", bytes(6)), chunk(b"IDAT", zlib.compress(bytes(13)))),
    "text.png": png(
        (8, 8, 8, 0), chunk(b"zTXt", b"a\0\0" + zlib.compress(b"b")), chunk(b"IDAT", zlib.compress(bytes(72)))
    ),
    "plain.pbm": b"P1 4 2\n1 0 1 1 0 0 1 1",
    "plain.pgm": b"P2 4 1 15\n1 #x\n 4 9 15",
    "deep.pgm": b"P5 2 2 4095\n" + bytes(8),
    "floats.pfm": b"Pf 2 1 -1\n" + bytes(8),
    "runs.bmp": hostile(400)["bmp runs"].replace(b"\x40\x1f\0\0", b"\x08\0\0\0"),
}  # fmt: skip


def changed(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes with some overwritten, left out, doubled or cut off; mostly near the beginning."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        span = len(data) if rng.random() < 0.4 else min(len(data), 200)
        place = int(rng.integers(0, max(1, span)))
        kind = rng.integers(0, 5)
        if kind == 0:
            data[place : place + 4] = rng.choice(np.array([0, 1, 127, 128, 255], np.uint8), 4).tobytes()
        elif kind == 1:
            del data[place : place + int(rng.integers(1, 20))]
        elif kind == 2:
            data[place:place] = data[place : place + int(rng.integers(1, 60))] * int(rng.integers(1, 4))
        elif kind == 3 and rng.random() < 0.3:
            del data[place:]
        else:
            data[place : place + 1] = bytes([int(rng.integers(0, 256))])
    return bytes(data)


def outcome(content: bytes) -> Image.Image | str:
    """Return the image, or the reason why there is none; anything else that is raised is a fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return open_image(content, max_pixels=MAX_PIXELS)
        except ImageError as error:
            return str(error)


@pytest.mark.parametrize("name", SEEDS)
def test_changed_files_give_an_image_or_an_image_error(name: str) -> None:
    rng = np.random.default_rng(list(name.encode()))
    outcomes = [outcome(changed(SEEDS[name], rng)) for _ in range(ROUNDS)]
    reasons = [one for one in outcomes if isinstance(one, str)]
    images = [one for one in outcomes if isinstance(one, Image.Image)]
    assert reasons
    assert all(0 < len(reason.encode()) < 300 and "\n" not in reason for reason in reasons)
    assert all(image.mode == "RGB" and image.width * image.height <= MAX_PIXELS for image in images)


def test_the_seeds_themselves_are_read() -> None:
    for name, content in SEEDS.items():
        if name != "runs.bmp":
            assert open_image(content).mode == "RGB", name
