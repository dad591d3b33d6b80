"""`nearbit data` and `split` say what was understood; texts that cannot be kept are refused on every command."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearbit.cli.main import run


def fill(root: Path, *names: str) -> Path:
    """Make small images that all differ."""
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(content, "PNG")
        (root / name).write_bytes(content.getvalue())
    return root


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))


def test_a_folder_without_labels_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "flat", "a.png", "b.png")
    assert run(["data", "flat"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "flat: 2 images without labels, 0 skipped"
    assert "nearbit train flat --method itq" in lines[1]
    assert run(["data", "flat", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["images"], about["classes"], about["read_as"]) == (2, 0, "images without labels")
    (tmp_path / "empty").mkdir()
    assert run(["data", "empty"]) == 2
    assert "no images in it" in capsys.readouterr().err


def test_one_is_one_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "pets", "cat/a.png")
    assert run(["data", "pets"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "pets: 1 image, 1 class, 0 skipped"


def test_what_was_understood_is_said_with_the_other_reading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{part}/{kind}/{n}.png" for part in ("train", "val", "test") for kind in ("cat", "dog") for n in range(3)]
    fill(tmp_path / "photos", *names, "cover.png")
    assert run(["data", "photos"]) == 0
    out = capsys.readouterr().out
    assert "read: test/, train/, val/ are the parts, and the folders in them are the classes (--class-level 2)" in out
    assert "other reading: --class-level first makes those the classes" in out
    assert run(["split", "photos", "-o", "s.json"]) == 0
    assert "other reading: --class-level first" in capsys.readouterr().err
    assert run(["split", "photos", "-o", "s.json", "--class-level", "first", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"]["class_level"] == "first"
    for wrong in ("0", "last", "-1"):
        assert run(["data", "photos", "--class-level", wrong]) == 2
        assert "expected first, leaf or the number of a folder" in capsys.readouterr().err


def test_columns_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, "a.png")
    (tmp_path / "x.csv").write_text("image;kind\na.png;cat\n")
    assert run(["data", "x.csv", "--path-column", "image", "--label-column", "kind"]) == 0
    assert "1 image, 1 class" in capsys.readouterr().out
    assert run(["data", "x.csv"]) == 2
    assert "the first line has: image, kind." in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["add-class", "m.model", "photos", "--name", "\udcff", "-o", "n.model"],
        ["split", "photos", "-o", "s.json", "--unseen", "caf\udce9"],
        ["train", "photos", "-o", "m.model", "--option", "x=\udcff"],
        ["data", "x.csv", "--label-column", "\udcff"],
    ],
)
def test_a_text_that_cannot_be_kept_is_refused_at_once(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert any(option.startswith("--") and f"'{option}'" in error for option in arguments)
    assert "expected UTF-8 text" in error


def test_a_folder_whose_name_is_not_utf8_is_read_and_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try:
        fill(root, *(f"{kind}/{n}.png" for kind in "ab" for n in range(5)))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert run(["data", str(root)]) == 0
    assert capsys.readouterr().out.startswith("caf\\xe9: 10 images, 2 classes")
    assert run(["split", str(root), "-o", "s.json"]) == 0


@pytest.mark.parametrize("value", ["[" * 200_000, "[NaN]", "1" * 5000])
def test_a_value_that_is_no_usable_json_is_refused(
    tmp_path: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = (f"{kind}/{n}.png" for kind in "ab" for n in range(6))
    fill(tmp_path / "photos", *names)
    assert run(["train", "photos", "-o", "m.model", "--option", f"x={value}"]) == 2
    assert "the value of --option x" in capsys.readouterr().err
