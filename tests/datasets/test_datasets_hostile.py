"""Files that ask for far more work than they show are refused by what is counted, before a decoder sees them."""

import io
import struct
import zlib

import numpy as np
import pytest
from awkward_images import encoded, noisy, quadrants
from hostile_images import chunk, hostile, png, progressive, segment, tiff
from PIL import Image

from nearbit.datasets import open_image
from nearbit.datasets.decoding import opening
from nearbit.datasets.decoding.work_jpeg import check_jpeg
from nearbit.errors import ImageError

SIZE = 400_000
HOSTILE = hostile(SIZE)
REASONS = {
    "ppm comments": "192 numbers are missing",
    "ppm comment in the header": "header is longer than 65,536 bytes",
    "ppm spaces": "header is longer than 65,536 bytes",
    "pbm of digits": "15,600,000 numbers are missing",
    "ppm of numbers": "2,800,000 numbers are missing",
    "pgm of 12 bits": "7,600,000 bytes of pixels are missing",
    "jpeg scans refined": "more scans than any encoder makes",
    "jpeg scans and comments": "more scans than any encoder makes",
    "jpeg of small scans": "more scans than any encoder makes",
    "jpeg comments": "more than 1,024 segments",
    "jpeg exif in pieces": "more than 256 segments of EXIF or XMP",
    "jpeg rubbish": "more than 65,536 bytes of rubbish",
    "jpeg tables": "more than 1,024 segments",
    "png chunks": "more than 1,8.. chunks",
    "png empty data": "more than 1,8.. chunks",
    "png texts": "more than 64 compressed texts",
    "png profiles": "more than 64 compressed texts",
    "png texts at the end": "more than 1,8.. chunks",
    "gif comments": "more than 65,536 blocks before its first frame",
    "gif rubbish": "more than 65,536 blocks before its first frame",
    "bmp runs": "a run-length BMP of more than 2,000,000",
    "bmp ends of lines": "a run-length BMP of more than 2,000,000",
    "webp chunks": "more than 1,8.. chunks",
    "tiff strips": "more than 32,768 strips",
    "tiff strips over each other": "strips or tiles lie over each other",
    "tiff entries over each other": "entries lie over each other",
    "tiff of many entries": "more than 4,096 entries",
}


def refuse_to_decode(*_: object) -> None:
    """Stand for a decoder that must not be reached."""
    raise AssertionError("a decoder was reached")


@pytest.mark.parametrize("name", REASONS)
def test_hostile_files_are_refused_before_pillow_sees_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_reader", refuse_to_decode)
    with pytest.raises(ImageError, match=REASONS[name]) as caught:
        open_image(HOSTILE[name])
    assert len(str(caught.value)) < 250


def test_every_hostile_file_has_its_reason() -> None:
    assert set(HOSTILE) == set(REASONS)


@pytest.mark.parametrize("scans", [2, 30, 3000])
def test_scans_that_say_the_same_again_are_left_out_and_change_nothing(scans: int) -> None:
    few = np.asarray(open_image(progressive(1024, 2)))
    stream = io.BytesIO(progressive(1024, scans))
    size, leaner = check_jpeg(stream)
    assert size == (1024, 1024)
    assert (leaner is stream) == (scans < 3000)
    np.testing.assert_array_equal(np.asarray(open_image(progressive(1024, scans))), few)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_honest_progressive_images_are_far_below_the_limit(mode: str, subsampling: int) -> None:
    options = {} if mode == "L" else {"subsampling": subsampling}
    image = noisy(1, 64).resize((2000, 1000)).convert(mode)
    content = encoded(image, "JPEG", progressive=True, quality=95, **options)
    stream = io.BytesIO(content)
    assert check_jpeg(stream) == ((2000, 1000), stream)
    assert open_image(content).size == (2000, 1000)


def test_the_scans_of_a_thumbnail_and_of_a_second_image_are_not_counted() -> None:
    small, other = progressive(8, 12_000), encoded(noisy(2, 64), "JPEG", progressive=True)
    assert open_image(other[:2] + segment(0xE1, small[:60_000]) + other[2:]).size == (64, 64)
    assert open_image(other + small).size == (64, 64)


@pytest.mark.parametrize("marker", [0xC9, 0xCA])
def test_arithmetic_coding_is_named(marker: int) -> None:
    content = bytearray(encoded(noisy(3, 16), "JPEG"))
    content[content.index(b"\xff\xc0") + 1] = marker
    with pytest.raises(ImageError, match="an arithmetic-coded JPEG, which is not read"):
        open_image(bytes(content))


def test_a_jpeg_of_twelve_bits_is_named() -> None:
    content = bytearray(encoded(noisy(3, 16), "JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(ImageError, match="a JPEG of 12 bits a sample, which is not read"):
        open_image(bytes(content))


@pytest.mark.parametrize(
    ("layers", "precincts", "tile", "planes", "reason"),
    [
        (65535, b"", 256, 10, "more layers and precincts"),
        (1, b"\x00" * 6, 4096, 10, "more layers and precincts"),
        (1, b"", 1, 10, "in 16,777,216 tiles"),
        (1, b"", 4096, 37, "37 bit planes"),
    ],
)
def test_jpeg_2000_of_many_parts_is_refused(layers: int, precincts: bytes, tile: int, planes: int, reason: str) -> None:
    side = struct.pack(">8L", 4096, 4096, 0, 0, tile, tile, 0, 0)
    content = b"\xff\x4f" + segment(0x51, b"\0\0" + side + b"\0\3" + b"\7\1\1" * 3)
    style = bytes([1 if precincts else 0, 0]) + struct.pack(">HB", layers, 0) + bytes([5, 4, 4, 0, 1]) + precincts
    guard = 7 if planes > 30 else 2
    content += segment(0x52, style) + segment(0x5C, bytes([guard << 5]) + bytes([(planes + 1 - guard) << 3]) * 16)
    with pytest.raises(ImageError, match=reason):
        open_image(content + b"\xff\x90\0\0")


def av1(frames: int) -> bytes:
    """Return an AVIF with an item of so many frames (that hold nothing)."""
    data = b"\x12\x00" + b"\x32\x01\x00" * frames

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", 8 + len(body)) + kind + body

    head = box(b"ftyp", b"avif\0\0\0\0avifmif1")
    place = len(head) + 12 + 8 + 4 + 2 + 2 + 14 + 8
    located = struct.pack(">LBBH", 0, 0x44, 0, 1) + struct.pack(">HHHLL", 1, 0, 1, place, len(data))
    return head + box(b"meta", b"\0\0\0\0" + box(b"iloc", located)) + box(b"mdat", data)


def test_an_avif_of_many_hidden_frames_is_refused() -> None:
    with pytest.raises(ImageError, match="many frames in one image"):
        open_image(av1(1000))
    with pytest.raises(ImageError, match="truncated or damaged"):
        open_image(av1(2))


def test_items_that_lie_over_each_other_are_not_read_again_and_again() -> None:
    content = av1(2)
    place = content.index(b"iloc")
    count = 50
    row = struct.pack(">HHHLL", 1, 0, 1, 0, len(content))
    located = struct.pack(">L4sLBBH", 16 + 14 * count, b"iloc", 0, 0x44, 0, count) + row * count
    meta = struct.pack(">L4sL", 12 + len(located), b"meta", 0) + located
    with pytest.raises(ImageError, match="items lie over each other"):
        open_image(content[: place - 16] + meta)


def test_strips_that_lie_over_each_other_are_not_inflated_again_and_again() -> None:
    empty = b"\0\0\0\xff\xff" * 20_000
    data = b"\x78\x01" + empty
    offsets, lengths = struct.pack("<L", 8) * 500, struct.pack("<L", len(data)) * 500
    entries = [(256, 3, 1, 1), (257, 3, 1, 500), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    entries += [(273, 4, 500, 8 + len(data)), (278, 3, 1, 1), (279, 4, 500, 8 + len(data) + len(offsets))]
    with pytest.raises(ImageError, match="lie over each other"):
        open_image(tiff(*entries, data=data + offsets + lengths))


def test_a_directory_that_names_itself_next_ends() -> None:
    content = bytearray(encoded(quadrants(), "TIFF"))
    (start,) = struct.unpack_from("<L", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    struct.pack_into("<L", content, start + 2 + 12 * count, start)
    np.testing.assert_array_equal(np.asarray(open_image(bytes(content))), np.asarray(quadrants()))


def test_texts_of_a_usual_number_are_no_matter() -> None:
    texts = [chunk(b"zTXt", b"a%d\0\0" % n + zlib.compress(b"text")) for n in range(60)]
    assert open_image(png((8, 8, 8, 0), *texts, chunk(b"IDAT", zlib.compress(b"\0" * 72)))).size == (8, 8)


def test_fewer_pixels_of_jpeg_2000_are_decoded() -> None:
    content = encoded(Image.new("L", (4001, 4001)), "JPEG2000")
    with pytest.raises(ImageError, match="4001 x 4001 is more than 16,000,000 pixels"):
        open_image(content)
