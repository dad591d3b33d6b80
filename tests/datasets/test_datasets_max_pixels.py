"""The limit of pixels is chosen in Python, by the environment or on the command line; warnings name their file."""

import json
import struct
from pathlib import Path

import pytest
from awkward_images import encoded, noisy, quadrants
from PIL import Image

from nearbit.cli.main import run
from nearbit.datasets import load_dataset, load_images, open_image
from nearbit.datasets.decoding.pixel_limit import MAX_PIXELS, pixel_limit
from nearbit.errors import DataError, ImageError, InputError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of two classes, one image of 64 and two of 16 pixels a side."""
    for name, side in (("a/1.png", 64), ("a/2.png", 16), ("b/1.png", 16)):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(encoded(noisy(side + len(name) + ord(name[0]) + ord(name[2]), side)))
    return tmp_path / "photos"


def test_the_message_says_what_came_what_is_allowed_and_what_to_do() -> None:
    content = encoded(Image.new("L", (2000, 1500)))
    with pytest.raises(
        ImageError, match=r"2000 x 1500 is more than 2,000,000 pixels \(3.0 megapixels, the limit is 2.0\)"
    ):
        open_image(content, max_pixels=2_000_000)
    with pytest.raises(ImageError, match=r"make it smaller, or allow more \(--max-pixels, max_pixels\)"):
        open_image(content, max_pixels=2_999_999)
    assert open_image(content, max_pixels=3_000_000).size == (2000, 1500)


def test_more_than_the_usual_limit_is_decoded_without_a_warning() -> None:
    content = encoded(Image.new("1", (12_000, 8_000)))
    with pytest.raises(ImageError, match=r"96\.0 megapixels, the limit is 64\.0"):
        open_image(content)
    assert open_image(content, max_pixels=100_000_000).size == (12_000, 8_000)


@pytest.mark.parametrize("wrong", ["", "0", "-1", "1.5", "many", "9" * 30])
def test_the_environment_sets_the_limit(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("NEARBIT_MAX_PIXELS", "100")
    with pytest.raises(ImageError, match="is more than 100 pixels"):
        open_image(encoded(noisy(1)))
    assert pixel_limit(7) == 7
    monkeypatch.setenv("NEARBIT_MAX_PIXELS", wrong)
    if wrong:
        with pytest.raises(InputError, match="NEARBIT_MAX_PIXELS must be a whole number of at least 1"):
            open_image(encoded(noisy(1)))
    else:
        assert pixel_limit() == MAX_PIXELS


@pytest.mark.parametrize("wrong", [0, -5, 1.5, True, "many"])
def test_a_wrong_limit_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="max_pixels must be a whole number of at least 1"):
        open_image(encoded(noisy(1)), max_pixels=wrong)  # type: ignore[arg-type]


def test_a_data_set_keeps_its_limit_and_another_limit_checks_anew(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    small = load_dataset(photos, max_pixels=1000, cache=cache)
    assert [problem.path for problem in small.problems] == ["a/1.png"]
    assert len(load_dataset(photos, cache=cache)) == 3
    whole = load_dataset(photos, max_pixels=5000, cache=cache)
    assert len(whole) == 3
    assert whole.source.read(0).size == (64, 64)
    assert len(load_images(photos, max_pixels=1000, cache=cache)) == 2
    with pytest.raises(DataError, match="is more than 100 pixels"):
        load_images(photos, max_pixels=100, cache=cache)


def test_the_command_line_has_the_option(photos: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["data", str(photos), "--cache", str(tmp_path / "cache"), "--json"]
    assert run([*arguments, "--max-pixels", "1000"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 1
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 0
    assert run([*arguments, "--max-pixels", "0"]) == 2
    assert "--max-pixels" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "data",
        "split",
        "train",
        "encode",
        "index",
        "index add",
        "index sync",
        "search",
        "evaluate",
        "serve",
        "compare",
        "add-class",
        "export",
    ],
)
def test_every_command_that_reads_images_has_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command.split(), "--help"]) == 0
    assert "--max-pixels" in capsys.readouterr().out


def with_a_broken_tag(content: bytes) -> bytes:
    """Return a TIFF whose tag of software points beyond the end of the file."""
    (start,) = struct.unpack_from("<L", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    entries = [content[start + 2 + 12 * row : start + 14 + 12 * row] for row in range(count)]
    entries = sorted([*entries, struct.pack("<HHLL", 305, 2, 5000, len(content))])
    return content + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)


def test_a_warning_of_pillow_names_each_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = encoded(quadrants(), "TIFF")
    content = with_a_broken_tag(plain)
    content = content[:4] + struct.pack("<L", len(plain)) + content[8:]
    for name in ("a/one.tif", "b/two.tif"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(content)
    assert run(["data", str(tmp_path / "photos"), "--cache", str(tmp_path / "cache")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line and "tag" in line.lower()]
    assert sorted(Path(line.split(": ")[2]).name for line in told) == ["one.tif", "two.tif"]


def test_a_damaged_exif_block_of_a_jpeg_warns_nobody() -> None:
    block = b"Exif\0\0II*\0\x08\0\0\0\2\0" + struct.pack("<HHLL", 0x010F, 2, 50_000, 8) + bytes(20)
    content = encoded(quadrants(), "JPEG", exif=block)
    assert open_image(content).size == (32, 24)
