"""`nearbit bits`: a table over lengths, the files it writes, and one recommendation."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from nearbit.bits import LengthCurve, LengthFigure, length_curve
from nearbit.cli.main import run
from nearbit.errors import InputError
from nearbit.training import TrainOptions
from tiny_data import tiny_dataset, tiny_split, write_folder

TINY = ["--image-size", "8", "--epochs", "2", "--device", "cpu", "--batch-size", "8"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))
    write_folder(tmp_path / "photos", n_classes=3, per_class=10)
    return tmp_path


def curve_of(*values):
    figures = tuple(LengthFigure(16 * 2**at, 0, value, None) for at, value in enumerate(values))
    return LengthCurve(method="ech", searched="train", float_map=None, figures=figures, refused={})


@pytest.mark.parametrize(
    ("values", "n_bits", "why"),
    [
        ((0.5, 0.6, 0.61, 0.612), 32, "shortest within 2% of the best (128 bits, 0.6120)"),
        ((0.6, 0.5, 0.4), 16, "no other is better"),
        ((0.3, 0.4, 0.5), 64, "a longer one may be better still"),
    ],
)
def test_the_shortest_length_near_the_best_is_recommended(values, n_bits, why):
    curve = curve_of(*values)
    assert curve.recommended().n_bits == n_bits
    assert why in curve.reason()


def test_it_prints_each_length_and_writes_a_chart(here, as_json, nearbit):
    about = as_json("bits", "photos", "--bits", "8,4", "--method", "crh", *TINY, "-o", "out")
    assert [row["n_bits"] for row in about["lengths"]] == [4, 8]
    assert [row["bytes_per_million"] for row in about["lengths"]] == [1_000_000, 1_000_000]
    assert about["recommended_bits"] in (4, 8)
    assert json.loads((here / "out" / "bits.json").read_text()) == about
    assert ElementTree.parse(here / "out" / "bits.svg").getroot().tag.endswith("svg")


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_read(here, refused, monkeypatch):
    (here / "file").touch()
    monkeypatch.setattr("nearbit.cli.commands.bits.read_dataset", lambda *_: pytest.fail("it was read"))
    said = refused("bits", "photos", "--bits", "8", "-o", "file/out")
    assert "the folder file/out (-o) cannot be made: Not a directory; name another one" in said


def test_figures_are_printed_though_they_cannot_be_written(here, nearbit):
    (here / "out" / "bits.svg").mkdir(parents=True)
    status, out, err = nearbit("bits", "photos", "--bits", "8", "--method", "csq", *TINY, "-o", "out")
    assert (status, "take 8 bits" in out) == (2, True)
    assert "bits.svg is a folder" in err


@pytest.mark.parametrize("text", ["", "16,", "0,8", "eight", "-4", "8.5"])
def test_lengths_that_are_none_are_refused(here, capsys, text):
    assert run(["bits", "photos", "--bits", text]) == 2
    assert "must be whole numbers from 1 with commas between" in capsys.readouterr().err


def test_a_split_without_validation_images_is_refused():
    split = tiny_split(tiny_dataset())
    bare = replace(split, validation=split.validation[:0])
    with pytest.raises(InputError, match="the split has none"):
        length_curve(tiny_dataset(), bare, [4], method="crh", options=TrainOptions(image_size=8, select="last"))
