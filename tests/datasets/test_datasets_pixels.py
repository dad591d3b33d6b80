"""Depth, sign, transparency, the meaning of 0 and the orientation decide what a pixel becomes, not Pillow's mode."""

import io
import struct
import zlib

import numpy as np
import pytest
from awkward_images import encoded, quadrants
from hostile_images import chunk, grey_tiff, png, tiff
from PIL import Image, ImageOps, PngImagePlugin

from nearbit.datasets import open_image
from nearbit.encoding.inputs import GivenImages
from nearbit.errors import ImageError

WHITE = [255, 255, 255]


def png_row(depth: int, color: int, row: bytes, width: int, *others: bytes) -> bytes:
    """Return a PNG of one row of packed samples."""
    return png((width, 1, depth, color), *others, chunk(b"IDAT", zlib.compress(b"\0" + row)))


def first_and_last(content: bytes) -> list[list[int]]:
    """Return the outer pixels of the first row."""
    row = np.asarray(open_image(content))[0]
    return [row[0].tolist(), row[-1].tolist()]


@pytest.mark.parametrize(
    ("depth", "row", "key", "other"),
    [
        (1, b"\x40", 0, 255),
        (1, b"\x80", 1, 0),
        (2, b"\x60", 1, 170),
        (4, b"\x15", 1, 85),
        (4, b"\xf5", 15, 85),
        (8, bytes([7, 90]), 7, 90),
        (16, struct.pack(">2H", 0, 30000), 0, 117),
        (16, struct.pack(">2H", 300, 301), 300, 1),
        (16, struct.pack(">2H", 65535, 0), 65535, 0),
    ],
)
def test_the_transparent_grey_of_every_depth_is_laid_on_white(depth: int, row: bytes, key: int, other: int) -> None:
    content = png_row(depth, 0, row, 2, chunk(b"tRNS", struct.pack(">H", key)))
    assert first_and_last(content) == [WHITE, [other] * 3]
    if depth != 1 or key == 0:
        read = GivenImages.of([Image.open(io.BytesIO(content))]).read(0)
        assert np.asarray(read)[0, 1].tolist() == [other] * 3
        assert np.asarray(read)[0, 0].tolist() == WHITE


def test_a_grey_that_the_depth_cannot_hold_is_transparent_nowhere() -> None:
    content = png_row(2, 0, b"\x60", 2, chunk(b"tRNS", struct.pack(">H", 9)))
    assert first_and_last(content) == [[85] * 3, [170] * 3]


@pytest.mark.parametrize("lower", [0, 0x34, 0xFF])
def test_the_transparent_color_of_sixteen_bits_is_compared_in_both_bytes(lower: int) -> None:
    key = (0x1200 + lower, 0x1200, 0xFF00 + lower)
    near = (0x1200 + lower, 0x1200, 0xFF00 + (lower ^ 1))
    content = png_row(16, 2, struct.pack(">6H", *key, *near), 2, chunk(b"tRNS", struct.pack(">3H", *key)))
    assert first_and_last(content) == [WHITE, [0x12, 0x12, 0xFF]]
    with pytest.raises(ImageError, match="give its path, not a Pillow image"):
        GivenImages.of([Image.open(io.BytesIO(content))]).read(0)


def test_the_transparent_color_of_eight_bits() -> None:
    content = png_row(8, 2, bytes([1, 2, 3, 1, 2, 4]), 2, chunk(b"tRNS", struct.pack(">3H", 1, 2, 3)))
    assert first_and_last(content) == [WHITE, [1, 2, 4]]


@pytest.mark.parametrize(("depth", "row"), [(1, b"\x40"), (2, b"\x10"), (4, b"\x01"), (8, b"\0\1")])
def test_transparent_entries_of_a_palette_of_every_depth(depth: int, row: bytes) -> None:
    others = chunk(b"PLTE", bytes([9, 9, 9, 50, 60, 70])), chunk(b"tRNS", b"\0")
    assert first_and_last(png_row(depth, 3, row, 2, *others)) == [WHITE, [50, 60, 70]]


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("color", [4, 6])
def test_an_alpha_channel_of_every_depth(depth: int, color: int) -> None:
    high = 255 if depth == 8 else 65535
    values = [0, 0, high, high] if color == 4 else [0, 0, 0, 0, high, 0, 0, high]
    row = struct.pack(f">{len(values)}{'B' if depth == 8 else 'H'}", *values)
    assert first_and_last(png_row(depth, color, row, 2)) == [WHITE, WHITE if color == 4 else [255, 0, 0]]


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize(
    ("bits", "pixels", "sample_format"),
    [
        (1, b"\x7f", 1),
        (2, b"\x1f", 1),
        (4, b"\x0f", 1),
        (8, b"\0\xff", 1),
        (16, struct.pack("<2H", 0, 65535), 1),
        (32, struct.pack("<2f", 0, 1), 3),
    ],
)
def test_a_tiff_says_whether_zero_is_white(photometric: int, bits: int, pixels: bytes, sample_format: int) -> None:
    expected = [[0] * 3, WHITE] if photometric else [WHITE, [0] * 3]
    assert first_and_last(grey_tiff(bits, pixels, sample_format, photometric)) == expected


def test_twelve_bits_are_scaled_by_4095() -> None:
    pixels = bytes([0x00, 0x08, 0x00, 0xFF, 0xFF, 0xFF])  # 0, 2048, 4095, 4095
    assert np.asarray(open_image(grey_tiff(12, pixels)))[0, :, 0].tolist() == [0, 128, 255, 255]


@pytest.mark.parametrize(
    ("bits", "pixels", "sample_format", "reason"),
    [
        (8, b"\0\xff", 2, "signed whole numbers with 8 bits"),
        (16, struct.pack("<2h", 0, 100), 2, "signed whole numbers with 16 bits"),
        (32, struct.pack("<2l", 0, 100), 2, "signed whole numbers with 32 bits"),
        (32, struct.pack("<2L", 0, 100), 1, "whole numbers with 32 bits a sample, which is not read"),
        (64, struct.pack("<2Q", 0, 100), 1, "whole numbers with 64 bits"),
        (16, struct.pack("<2e", 0, 1), 3, "floating point with 16 bits"),
        (64, struct.pack("<2d", 0, 1), 3, "floating point with 64 bits"),
        (32, struct.pack("<2f", 0, 2), 3, "only 0 to 1 has a known scale"),
        (32, struct.pack("<2f", -1, 0), 3, "only 0 to 1 has a known scale"),
        (32, struct.pack("<2f", 0, float("nan")), 3, "only 0 to 1 has a known scale"),
        (8, b"\0\xff", 4, "undefined values with 8 bits"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_values_of_no_known_scale_are_refused(
    bits: int, pixels: bytes, sample_format: int, reason: str, order: str
) -> None:
    if order == ">" and bits > 8:
        pixels = b"".join(pixels[i : i + bits // 8][::-1] for i in range(0, len(pixels), bits // 8))
    with pytest.raises(ImageError, match=reason) as caught:
        open_image(grey_tiff(bits, pixels, sample_format, order=order))
    assert "damaged" not in str(caught.value)


def test_layouts_that_pillow_does_not_know_are_not_called_damaged() -> None:
    with pytest.raises(ImageError, match="of a kind that is not read: unknown pixel mode"):
        open_image(grey_tiff(16, struct.pack(">2H", 0, 65535), photometric=0, order=">"))
    entries = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 34712), (262, 3, 1, 1), (273, 4, 1, 8)]
    with pytest.raises(ImageError, match="a TIFF of compression 34712, which is not read"):
        open_image(tiff(*entries, data=b"\0\0"))


@pytest.mark.parametrize("value", [(255, 0, 0), (0, 0, 0), (136, 80, 67)])
def test_lab_is_brought_to_rgb(value: tuple[int, int, int]) -> None:
    lab = Image.frombytes("LAB", (2, 2), bytes(value) * 4)
    expected = {255: WHITE, 0: [0, 0, 0], 136: [255, 0, 0]}[value[0]]
    read = np.asarray(open_image(encoded(lab, "TIFF")))[0, 0].astype(int)
    assert np.abs(read - expected).max() <= 16


def test_premultiplied_alpha_is_divided_out() -> None:
    half = Image.frombytes("RGBa", (1, 1), bytes([64, 0, 0, 128]))
    assert np.abs(np.asarray(GivenImages.of([half]).read(0))[0, 0].astype(int) - [191, 127, 127]).max() <= 1
    grey = Image.frombytes("La", (1, 1), bytes([64, 128]))
    assert np.abs(np.asarray(GivenImages.of([grey]).read(0))[0, 0].astype(int) - [191] * 3).max() <= 1


def test_uncompressed_ycbcr_with_subsampling_is_refused() -> None:
    plain = encoded(quadrants().convert("YCbCr"), "TIFF")
    assert np.abs(np.asarray(open_image(plain)).astype(int) - np.asarray(quadrants()).astype(int)).max() <= 3
    entries = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 6), (273, 4, 1, 8)]
    entries += [(277, 3, 1, 3), (278, 3, 1, 2), (279, 4, 1, 6)]
    with pytest.raises(ImageError, match="an uncompressed TIFF of YCbCr with subsampling"):
        open_image(tiff(*entries, data=bytes(6)))


@pytest.mark.parametrize("most", [1, 7, 100, 255, 256, 4095, 65535])
@pytest.mark.parametrize("magic", ["P2", "P3", "P5", "P6"])
def test_netpbm_values_are_scaled_by_the_greatest(magic: str, most: int) -> None:
    values = np.array([0, 1, most // 2, most, most, 0], np.int64)
    width = 6 if magic in ("P2", "P5") else 2
    head = f"{magic} # a comment\n{width} #\n1\n{most}\n".encode()
    if magic in ("P2", "P3"):
        body = " # and one\n".join(str(value) for value in values).encode()
    else:
        body = values.astype(np.uint8 if most < 256 else ">u2").tobytes()
    read = np.asarray(open_image(head + body))[0]
    read = read[:, 0] if width == 6 else read.reshape(-1)
    np.testing.assert_array_equal(read, np.floor(values * 255 / most + 0.5).astype(int))


def test_bitmaps_are_black_where_the_bit_is_set() -> None:
    assert np.asarray(open_image(b"P1 3 1 0#x\n1 0"))[0, :, 0].tolist() == [255, 0, 255]
    assert np.asarray(open_image(b"P4 3 1 \x40"))[0, :, 0].tolist() == [255, 0, 255]


def test_plain_numbers_go_on_over_the_edge_of_a_block() -> None:
    numbers = np.random.default_rng(0).integers(0, 256, 400_000)
    text = b"P2 1000 400 255\n" + b"\n#c 7\n".join(
        b" ".join(b"%d" % n for n in row) for row in numbers.reshape(-1, 100)
    )
    np.testing.assert_array_equal(np.asarray(open_image(text))[..., 0].reshape(-1), numbers)


def test_grey_pfm_stands_on_its_head() -> None:
    for scale, order in ((-1, "<"), (1, ">")):
        content = b"Pf\n1 2\n%d\n" % scale + struct.pack(order + "2f", 0.0, 1.0)
        assert np.asarray(open_image(content))[:, 0, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"P2 2 1 255\n1 256", "a value of 256 is above the greatest, 255"),
        (b"P2 2 1 255\n1 -1", "something else than numbers"),
        (b"P2 2 1 255\n1 12345678901", "more than 10 digits"),
        (b"P2 2 1 0\n1 1", "1 to 65,535, not 0"),
        (b"P5 2 1 99999\n11", "1 to 65,535, not 99999"),
        (b"P5 2 a 255\n11", "something else than a number"),
        (b"P5 2 2 255\n11", "2 bytes of pixels are missing"),
        (b"P5 0 2 255\n11", "0 x 2 pixels"),
        (b"P5 2", "cut off"),
        (b"Pf 1 1 0 \0\0\0\0", "scale of a PFM"),
        (b"Pf 1 1 1 " + struct.pack(">f", 3.0), "from 3 to 3: only 0 to 1"),
    ],
)
def test_netpbm_files_of_a_wrong_form(content: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        open_image(content)


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {}/></x:xmpmeta>'


def with_orientation(kind: str, orientation: int, by: str) -> bytes:
    """Return an image that asks for a turn in its EXIF block, in its XMP, or in text as ImageMagick writes it."""
    image = quadrants(64, 96)
    if by == "exif":
        exif = Image.Exif()
        exif[0x0112] = orientation
        return encoded(image, kind, exif=exif.tobytes())
    xmp = XMP.format(f'tiff:Orientation="{orientation}"').encode()
    if kind != "PNG":
        return encoded(image, kind, xmp=xmp)
    info = PngImagePlugin.PngInfo()
    if by == "xmp":
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        block = exif.tobytes()
        info.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    return encoded(image, kind, pnginfo=info)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "by"),
    [
        ("JPEG", "exif"), ("JPEG", "xmp"), ("PNG", "exif"), ("PNG", "xmp"), ("PNG", "text"), ("WEBP", "exif"),
        ("WEBP", "xmp"), ("TIFF", "exif"), ("AVIF", "exif"),
    ],
)  # fmt: skip
def test_every_orientation_that_pillow_knows(kind: str, by: str, orientation: int) -> None:
    content = with_orientation(kind, orientation, by)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    np.testing.assert_array_equal(np.asarray(open_image(content)), np.asarray(expected))
    assert open_image(content).size == ((96, 64) if orientation < 5 else (64, 96))


def test_exif_goes_before_xmp() -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    content = encoded(quadrants(64, 96), "JPEG", exif=exif.tobytes(), xmp=XMP.format('tiff:Orientation="6"').encode())
    assert open_image(content).size == (96, 64)


@pytest.mark.parametrize(("kind", "form"), [(1, "<B3x"), (3, "<H2x"), (4, "<L")])
def test_the_orientation_may_be_a_number_of_any_width(kind: int, form: str) -> None:
    block = b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHL", 0x0112, kind, 1) + struct.pack(form, 6) + bytes(4)
    content = encoded(quadrants(64, 96), "JPEG", exif=block)
    assert open_image(content).size == (64, 96)
