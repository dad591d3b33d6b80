"""The decoder: every kind of image comes out as upright 8-bit RGB, and every other file as one reason."""

import contextlib
import io
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from awkward_images import bad_images, encoded, good_images, noisy, png_of_size, quadrants, rotated_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from nearbit.datasets import MAX_PIXELS, ArrayImages, FileImages, content_digest, open_image
from nearbit.datasets.decoding.orientation import orientation_of
from nearbit.errors import ImageError, InputError

GOOD = good_images()
BAD = bad_images()


@pytest.mark.parametrize("name", GOOD)
def test_every_kind_of_image_is_read_as_rgb(name: str) -> None:
    image = open_image(GOOD[name])
    assert image.mode == "RGB"
    assert min(image.size) >= 1


@pytest.mark.parametrize("name", BAD)
def test_every_bad_file_gives_a_short_reason(name: str) -> None:
    content, reason = BAD[name]
    with pytest.raises(ImageError, match=reason) as caught:
        open_image(content)
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_as_pillow_does(orientation: int) -> None:
    content = rotated_jpeg(orientation)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(np.asarray(open_image(content)), np.asarray(expected))
    assert open_image(content).size == ((96, 64) if orientation < 5 else (64, 96))


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_orientation_of_other_formats_and_byte_orders(order: str, kind: str) -> None:
    exif = Image.Exif()
    exif.endian = "<" if order == "II" else ">"
    exif[0x0112] = 8
    content = encoded(quadrants(), kind, exif=exif)
    assert open_image(content).size == (24, 32)


@pytest.mark.parametrize(
    "block", [b"", b"Exif\0\0", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"rubbish"]
)
def test_a_damaged_exif_block_means_upright(block: bytes) -> None:
    assert orientation_of(block) == 1


def test_a_damaged_exif_block_does_not_spoil_an_image() -> None:
    content = encoded(quadrants(), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert open_image(content).size == (32, 24)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    values = np.array([[0, 128, 129, 257], [32768, 65278, 65406, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        read = np.asarray(open_image(encoded(Image.fromarray(values), kind)))[..., 0]
        np.testing.assert_array_equal(read, np.round(values / 257).astype(np.uint8))


def test_other_depths_have_a_known_scale_or_a_reason() -> None:
    floats = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert np.asarray(open_image(encoded(floats, "TIFF")))[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(ImageError, match="only 0 to 1 has a known scale"):
        open_image(encoded(Image.fromarray(np.array([[0.0, 300.0]], np.float32)), "TIFF"))
    with pytest.raises(ImageError, match="signed whole numbers with 32 bits a sample, whose scale is not known"):
        open_image(encoded(Image.fromarray(np.array([[0, 200]], np.int32)), "TIFF"))


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    assert np.asarray(open_image(encoded(clear))).tolist() == [[[255] * 3] * 2] * 2
    assert np.asarray(open_image(encoded(half)))[0, 0].tolist() == [127, 127, 127]
    assert np.asarray(open_image(GOOD["palette.png"])).reshape(-1, 3).tolist().count([255, 255, 255]) > 0


def test_the_first_frame_of_an_animation_is_taken() -> None:
    still = np.asarray(quadrants())
    np.testing.assert_array_equal(np.asarray(open_image(GOOD["moving.webp"])), still)
    np.testing.assert_array_equal(np.asarray(open_image(GOOD["moving.gif"])), still)


def test_greyscale_and_one_bit_have_equal_channels() -> None:
    for name in ("grey.jpg", "grey_alpha.png", "one_bit.png", "deep.png"):
        pixels = np.asarray(open_image(GOOD[name]))
        assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("at_least", [1, 16, 31, 32, 33, 100, 1000])
def test_a_reduced_size_stays_large_enough(at_least: int) -> None:
    content = encoded(noisy(3, 200).resize((400, 250)), "JPEG")
    image = open_image(content, at_least)
    assert min(image.size) >= min(at_least, 250)
    assert abs(image.width / image.height - 1.6) < 0.05
    np.testing.assert_array_equal(np.asarray(image), np.asarray(open_image(content, at_least)))


def test_a_small_request_makes_a_jpeg_smaller_and_leaves_a_png() -> None:
    picture = noisy(3, 200)
    assert open_image(encoded(picture, "JPEG"), 25).size == (25, 25)
    assert open_image(encoded(picture), 25).size == (200, 200)
    with pytest.raises(InputError, match="at_least must be a whole number of at least 1"):
        open_image(encoded(picture), 0)


def test_the_pixel_cap_is_checked_from_the_header_and_exact() -> None:
    assert MAX_PIXELS == 64_000_000
    with pytest.raises(ImageError, match="8001 x 8000 is more than"):
        open_image(png_of_size(8001, 8000))
    with pytest.raises(ImageError, match="truncated or damaged"):  # under the cap, so decoding begins
        open_image(png_of_size(8000, 8000))


def test_the_cap_warns_nobody() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(ImageError, match="more than"):
            open_image(png_of_size(10_000, 9_500))
    assert not seen


def test_sources_of_all_kinds_give_the_same(tmp_path: Path) -> None:
    content = encoded(noisy(4))
    file = tmp_path / "a.png"
    file.write_bytes(content)
    expected = np.asarray(open_image(content))
    with open(file, "rb") as handle:
        for source in (file, str(file), io.BytesIO(content), handle):
            np.testing.assert_array_equal(np.asarray(open_image(source)), expected)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipes_folders_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", tmp_path, Path("/dev/zero")):
        with pytest.raises(ImageError, match="not a regular file"):
            open_image(path)


def test_files_that_are_not_there_say_so(tmp_path: Path) -> None:
    (tmp_path / "broken.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name, reason in (
        ("none.png", "no such file"),
        ("broken.png", "broken symbolic link"),
        ("loop.png", "ymbolic link"),
    ):
        with pytest.raises(ImageError, match=reason):
            open_image(tmp_path / name)
    with pytest.raises(ImageError, match="null"):
        open_image("a\0b.png")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noisy(1)))
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(ImageError, match="no permission"):
        open_image(tmp_path / "a.png")


def test_nothing_global_changes_and_threads_agree() -> None:
    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
    contents = list(GOOD.values()) * 4
    expected = [np.asarray(open_image(content)).tobytes() for content in contents]
    with ThreadPoolExecutor(4) as pool:
        came = [np.asarray(image).tobytes() for image in pool.map(open_image, contents)]
    assert came == expected
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_give_an_image_or_an_image_error(data: st.DataObject) -> None:
    small = {name: content for name, content in GOOD.items() if name != "thin.png"}
    content = bytearray(small[data.draw(st.sampled_from(sorted(small)))])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(ImageError):
            assert open_image(bytes(content)).mode == "RGB"


def test_array_images_read_grey_and_color() -> None:
    color = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    np.testing.assert_array_equal(np.asarray(ArrayImages(color).read(1, at_least=1)), color[1])
    grey = ArrayImages(color[..., 0])
    assert len(grey) == 2
    np.testing.assert_array_equal(np.asarray(grey.read(0))[..., 2], color[0, ..., 0])


@pytest.mark.parametrize(
    ("pixels", "match"),
    [
        (np.zeros((2, 3, 4), np.float32), "must be uint8"),
        (np.zeros((2, 3), np.uint8), "must have the shape"),
        (np.zeros((2, 3, 4, 4), np.uint8), "must have the shape"),
        (np.zeros((2, 0, 4), np.uint8), "must have the shape"),
    ],
)
def test_array_images_of_another_form_are_refused(pixels: np.ndarray, match: str) -> None:
    with pytest.raises(InputError, match=match):
        ArrayImages(pixels)


@pytest.mark.parametrize("path", ["/etc/passwd", "../a.png", "a/../../b.png", ""])
def test_file_images_stay_below_their_root(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match="below the root"):
        FileImages(tmp_path, (path,))


def test_content_digests(tmp_path: Path) -> None:
    content = encoded(noisy(1))
    (tmp_path / "a.png").write_bytes(content)
    assert content_digest(tmp_path / "a.png") == content_digest(content) == content_digest(str(tmp_path / "a.png"))
    pixels = np.zeros((4, 6), np.uint8)
    assert content_digest(pixels) != content_digest(pixels.reshape(6, 4))
    assert content_digest(pixels) == content_digest(pixels.copy())
    changed = pixels.copy()
    changed[3, 5] = 1
    assert content_digest(changed) != content_digest(pixels)
