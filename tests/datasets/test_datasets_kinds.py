"""Whole files of kinds that are not read are named for what they are, with what to do; never called damaged."""

import importlib.util
import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from awkward_images import encoded, noisy, quadrants
from hostile_images import tiff
from PIL import Image, features

from nearbit.datasets import image_format, open_image
from nearbit.datasets.decoding import opening
from nearbit.datasets.decoding.decode import one_reason
from nearbit.errors import ImageError, InputError


def ftyp(major: bytes, *others: bytes) -> bytes:
    """Return the beginning of an ISO media file."""
    return struct.pack(">L", 16 + 4 * len(others)) + b"ftyp" + major + bytes(4) + b"".join(others) + bytes(64)


PREVIEW = [(254, 4, 1, 1), (256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
PREVIEW += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 2), (330, 4, 1, 8)]
NAMED = {
    "CR2": (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "a camera raw file .CR2."),
    "CR3": (ftyp(b"crx ", b"crx ", b"isom"), "a camera raw file .CR3."),
    "NEF": (tiff(*PREVIEW, (271, 2, 6, 8), data=b"NIKON\0"), "a camera raw file .NEF, ARW or the like."),
    "ARW": (tiff(*PREVIEW, (271, 2, 5, 8), data=b"SONY\0"), "a camera raw file .NEF, ARW or the like."),
    "DNG": (tiff(*PREVIEW, (50706, 1, 4, 0x401), data=b"ab"), "a camera raw file .DNG."),
    "RAF": (b"FUJIFILMCCD-RAW 0201" + bytes(40), "a camera raw file .RAF."),
    "ORF": (b"IIRO\x08\0\0\0" + bytes(40), "a camera raw file .ORF."),
    "RW2": (b"IIU\0\x18\0\0\0" + bytes(40), "a camera raw file .RW2."),
    "JPEG XL, bare": (b"\xff\x0a" + bytes(40), "a JPEG XL image"),
    "JPEG XL": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "a JPEG XL image"),
    "JPEG XR": (b"II\xbc\x01" + bytes(40), "a JPEG XR image"),
    "PSD": (b"8BPS\0\1" + bytes(40), "a Photoshop document"),
    "PDF": (b"%PDF-1.7\n" + bytes(40), "a PDF document"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    "SVG after a declaration": (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- x --><svg/>', "an SVG drawing"),
    "SVG after a long comment": (b"<?xml version='1.0'?><!--" + b"x" * 1500 + b"--><SVG/>", "an SVG drawing"),
    "HTML with a drawing": (b"<html><body><svg/></body></html>", "a web page .HTML."),
    "HTML": (b"\n<!DOCTYPE html><html><body>404</body></html>", "a web page .HTML."),
    "XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
    "MP4": (ftyp(b"isom", b"mp42"), "a video .MP4, QuickTime or the like."),
    "MOV": (ftyp(b"qt  "), "a video .MP4, QuickTime or the like."),
    "WebM": (b"\x1aE\xdf\xa3" + bytes(40), "a video .Matroska or WebM."),
    "AVI": (b"RIFF\0\0\0\0AVI LIST" + bytes(40), "a video .AVI."),
    "WAV": (b"RIFF\0\0\0\0WAVEfmt " + bytes(40), "a RIFF file that is no WebP"),
    "EXR": (b"\x76\x2f\x31\x01" + bytes(40), "an OpenEXR image"),
    "ICO": (b"\0\0\1\0\1\0" + bytes(40), "a Windows icon"),
    "PCX": (b"\x0a\5\1\x08" + bytes(140), "a PCX image"),
    "SGI": (b"\x01\xda\1\1" + bytes(40), "an SGI image"),
    "DDS": (b"DDS |" + bytes(140), "a DirectDraw surface"),
    "DICOM": (bytes(128) + b"DICM", "a DICOM file"),
    "XBM": (b"#define im_width 8\n", "an XBM image"),
    "ZIP": (b"PK\3\4" + bytes(40), "a ZIP archive"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
}


@pytest.mark.parametrize("name", NAMED)
def test_whole_files_of_other_kinds_are_named(name: str) -> None:
    content, reason = NAMED[name]
    with pytest.raises(ImageError, match=f"^{reason}.*, which is not read: ") as caught:
        open_image(content)
    assert "damaged" not in str(caught.value)
    with pytest.raises(ImageError, match=reason):
        image_format(content)


HEIC = {
    "heic": ftyp(b"heic", b"mif1", b"heic"),
    "heix": ftyp(b"heix", b"mif1"),
    "mif1": ftyp(b"mif1", b"mif1", b"heic"),
    "msf1": ftyp(b"msf1", b"hevc", b"msf1"),
    "mif1 of no codec": ftyp(b"mif1", b"mif1"),
}


@pytest.mark.parametrize("name", HEIC)
def test_heic_of_every_brand_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    hint = r"a HEIC image needs the package pillow-heif, which is not installed: pip install .*(\[heic\]|pillow-heif)"
    with pytest.raises(ImageError, match=hint):
        open_image(HEIC[name])


def test_avif_is_told_from_heic_by_all_brands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: False)
    for content in (ftyp(b"avif"), ftyp(b"avis", b"msf1"), ftyp(b"mif1", b"avif", b"miaf")):
        with pytest.raises(ImageError, match="an AVIF image, which this build of Pillow cannot read"):
            open_image(content)


heif = pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="pillow-heif is not installed")


@heif
def test_heic_is_read_upright_where_the_extra_is_installed(tmp_path: Path) -> None:
    import pillow_heif

    exif = Image.Exif()
    exif[0x0112] = 6
    for turn, size in ((None, (96, 64)), (exif.tobytes(), (64, 96))):
        stream = io.BytesIO()
        options = {} if turn is None else {"exif": turn}
        pillow_heif.from_pillow(quadrants(64, 96)).save(stream, quality=95, **options)
        read = open_image(stream.getvalue())
        assert (read.mode, read.size) == ("RGB", size)
        (tmp_path / "a.heic").write_bytes(stream.getvalue())
        np.testing.assert_array_equal(np.asarray(open_image(tmp_path / "a.heic")), np.asarray(read))
        assert image_format(stream.getvalue()) == "HEIF"
        corner = np.asarray(read)[2, 2].astype(int)
        assert np.abs(corner - ([255, 0, 0] if turn is None else [0, 0, 255])).max() < 40
    assert "HEIF" not in Image.OPEN
    with pytest.raises(ImageError, match="is more than 100 pixels"):
        open_image(stream.getvalue(), max_pixels=100)
    with pytest.raises(ImageError, match="truncated or damaged"):
        open_image(stream.getvalue()[:200])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "not enough memory to decode it"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (struct.error("unpack requires 4 bytes"), "truncated or damaged: unpack requires"),
        (OverflowError("too large"), "truncated or damaged: too large"),
        (SystemError("tile cannot extend outside image"), "truncated or damaged: tile"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad \udcff"), "truncated or damaged: 'utf-8'"),
        (OSError("decoder jpeg2k not available"), "of a kind that is not read: decoder jpeg2k"),
        (Image.DecompressionBombError("too many"), "more pixels than Pillow decodes"),
        (KeyError(5), "truncated or damaged: 5"),
        (AssertionError(), "truncated or damaged: AssertionError"),
    ],
)
def test_whatever_a_decoder_raises_becomes_one_reason(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(opening, "_reader", lambda name: fail)
    with pytest.raises(ImageError, match=reason) as caught:
        open_image(encoded(noisy(1)))
    str(caught.value).encode()


def test_errors_of_ours_pass_through() -> None:
    with pytest.raises(InputError, match="at_least"), one_reason():
        raise InputError("at_least")


def test_the_reader_of_each_format_is_the_one_that_is_named() -> None:
    contents = {name: encoded(quadrants(), name) for name in ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF")}
    contents |= {name: encoded(quadrants(), name) for name in ("AVIF", "JPEG2000")}
    assert {name: image_format(content) for name, content in contents.items()} == {name: name for name in contents}
    assert image_format(encoded(quadrants(), "MPO", save_all=True, append_images=[noisy(1)])) == "JPEG"
