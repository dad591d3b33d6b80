"""What a file is, by its first bytes: a format that is read, or one that is named and refused with what to do."""

from typing import BinaryIO

from nearbit.errors import ImageError

PREFIX_BYTES = 2048
"""How much of a file is looked at."""

_CONVERT = "save it as JPEG or PNG"
_RAW = "develop it and save it as JPEG, PNG or TIFF"
_FRAME = "save the frame that you want as JPEG or PNG"
_PAGE = "draw it at the size that you want and save it as PNG"
_AGAIN = "fetch the image itself again"

_READ: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
)
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_HEIF = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_AVIF = frozenset((b"avif", b"avis"))
_CONTAINERS = frozenset((b"mif1", b"mif2", b"msf1", b"miaf", b"1pic"))

_REFUSED: tuple[tuple[bytes, str, str], ...] = (
    (b"FUJIFILMCCD-RAW", "a camera raw file (RAF)", _RAW),
    (b"IIRO", "a camera raw file (ORF)", _RAW),
    (b"IIRS", "a camera raw file (ORF)", _RAW),
    (b"MMOR", "a camera raw file (ORF)", _RAW),
    (b"IIU\x00", "a camera raw file (RW2)", _RAW),
    (b"FOVb", "a camera raw file (X3F)", _RAW),
    (b"\x00MRM", "a camera raw file (MRW)", _RAW),
    (b"II\xbc\x01", "a JPEG XR image", _CONVERT),
    (b"\xff\x0a", "a JPEG XL image", _CONVERT),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image", _CONVERT),
    (b"8BPS", "a Photoshop document", _CONVERT),
    (b"gimp xcf", "a GIMP document", _CONVERT),
    (b"%PDF", "a PDF document", _PAGE),
    (b"%!PS", "a PostScript document", _PAGE),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document", _PAGE),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile", _PAGE),
    (b"\x76\x2f\x31\x01", "an OpenEXR image", _CONVERT),
    (b"#?RADIANCE", "a Radiance HDR image", _CONVERT),
    (b"#?RGBE", "a Radiance HDR image", _CONVERT),
    (b"DDS ", "a DirectDraw surface", _CONVERT),
    (b"\x00\x00\x01\x00", "a Windows icon", _CONVERT),
    (b"\x00\x00\x02\x00", "a Windows cursor", _CONVERT),
    (b"icns", "a macOS icon", _CONVERT),
    (b"qoif", "a QOI image", _CONVERT),
    (b"BPG\xfb", "a BPG image", _CONVERT),
    (b"farbfeld", "a farbfeld image", _CONVERT),
    (b"P7\n", "a PAM image", _CONVERT),
    (b"PF\n", "a color PFM image", _CONVERT),
    (b"\x01\xda", "an SGI image", _CONVERT),
    (b"/* XPM */", "an XPM image", _CONVERT),
    (b"#define ", "an XBM image or a C source", _CONVERT),
    (b"SIMPLE  =", "a FITS file", _CONVERT),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)", _FRAME),
    (b"\x00\x00\x01\xba", "a video (MPEG)", _FRAME),
    (b"\x00\x00\x01\xb3", "a video (MPEG)", _FRAME),
    (b"FLV\x01", "a video (FLV)", _FRAME),
    (b"0&\xb2u\x8ef\xcf\x11", "a video (Windows Media)", _FRAME),
    (b"PK\x03\x04", "a ZIP archive", "unpack it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"version https://git-lfs", "a pointer of Git LFS in place of the file", "fetch the files with `git lfs pull`"),
    (b"\x00\x05\x16\x07", "macOS notes on another file", "leave it out"),
)
_TEXTS: tuple[tuple[bytes, str, str], ...] = (
    (b"<!doctype html", "a web page (HTML)", _AGAIN),
    (b"<html", "a web page (HTML)", _AGAIN),
    (b"<head", "a web page (HTML)", _AGAIN),
    (b"<body", "a web page (HTML)", _AGAIN),
    (b"<svg", "an SVG drawing", _PAGE),
    (b"<?xml", "an XML document", _AGAIN),
)


def kind_of(stream: BinaryIO) -> str:
    """Return the format of a file by its first bytes, one of those that are read (see
    `nearbit.datasets.decoding.decode`).

    Raises:
        ImageError: it is empty, of a format that is not read (which is named, with what to do), or of none known.
    """
    stream.seek(0)
    prefix = stream.read(PREFIX_BYTES)
    if not prefix:
        raise ImageError("the file is empty")
    if prefix[4:8] == b"ftyp":
        return _of_brands(prefix)
    if prefix[:4] == b"RIFF" and len(prefix) >= 12:
        return _of_riff(prefix[8:12])
    if prefix[:1] == b"P" and prefix[1:2] in b"123456f" and prefix[2:3] in b"\t\n\v\f\r #":
        return "PPM"
    if prefix[:4] in _TIFF:
        return _of_tiff(prefix)
    for magic, name in _READ:
        if prefix.startswith(magic):
            return name
    _refuse_if_known(prefix)
    raise ImageError("not an image of a known format")


def refusal(what: str, advice: str) -> ImageError:
    """Return the error for a whole file of a kind that is not read."""
    return ImageError(f"{what}, which is not read: {advice}")


def _of_tiff(prefix: bytes) -> str:
    if prefix[8:10] == b"CR":
        raise refusal("a camera raw file (CR2)", _RAW)
    return "TIFF"


def _of_riff(form: bytes) -> str:
    if form == b"WEBP":
        return "WEBP"
    if form == b"AVI ":
        raise refusal("a video (AVI)", _FRAME)
    raise refusal("a RIFF file that is no WebP image", _CONVERT)


def _of_brands(prefix: bytes) -> str:
    """Tell the kinds of ISO media files: the major brand decides, or where it is a container the others do."""
    end = min(int.from_bytes(prefix[:4], "big"), len(prefix))
    major, others = prefix[8:12], {prefix[place : place + 4] for place in range(16, end - 3, 4)}
    if major in _AVIF:
        return "AVIF"
    if major in _HEIF:
        return "HEIF"
    if major == b"crx ":
        raise refusal("a camera raw file (CR3)", _RAW)
    if major == b"jxl ":
        raise refusal("a JPEG XL image", _CONVERT)
    if major in _CONTAINERS:
        return "AVIF" if others & _AVIF and not others & _HEIF else "HEIF"
    raise refusal("a video (MP4, QuickTime or the like)", _FRAME)


def _refuse_if_known(prefix: bytes) -> None:
    for magic, what, advice in _REFUSED:
        if prefix.startswith(magic):
            raise refusal(what, advice)
    if prefix[:1] == b"\x0a" and prefix[1:2] in b"\x00\x02\x03\x04\x05" and prefix[2:3] == b"\x01":
        raise refusal("a PCX image", _CONVERT)
    if prefix[128:132] == b"DICM":
        raise refusal("a DICOM file", _CONVERT)
    text = prefix.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<"):
        for mark, what, advice in _TEXTS:
            if mark in text:
                raise refusal(what, advice)
