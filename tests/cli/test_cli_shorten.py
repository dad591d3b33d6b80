"""`nearbit shorten`: a model folder of the first bits, for an index and for ONNX Runtime as any other."""

import numpy as np
import pytest

from model_makers import random_model
from nearbit.cli.main import run
from tiny_data import write_folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))
    random_model().save("a.model")
    return tmp_path


def test_the_short_model_encodes_as_the_whole_one_begins(here, as_json):
    write_folder(here / "photos", n_classes=3, per_class=4)
    about = as_json("shorten", "a.model", "--bits", "8", "-o", "b.model")
    assert (about["n_bits"], about["from_n_bits"], about["nested"]) == (8, 12, False)
    for name in "ab":
        as_json("encode", f"{name}.model", "photos", "-o", f"{name}.npz")
    whole, short = (np.load(f"{name}.npz")["codes"] for name in "ab")
    assert np.array_equal(short, whole[:, :1])
    assert as_json("index", "add", "b.index", "photos", "--model", "b.model")["n_bits"] == 8


def test_it_says_whether_the_length_was_trained_for(here, nearbit):
    assert "not trained for this length" in nearbit("shorten", "a.model", "--bits", "8", "-o", "b.model")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.model", "--bits", "12", "-o", "b.model"], "12 bits are not the first of 12: take 1 to 11"),
        (["a.model", "--bits", "8", "-o", "a.model"], "pass --overwrite to replace it"),
        (["none.model", "--bits", "8", "-o", "b.model"], "there is no model at none.model"),
    ],
)
def test_mistakes_are_one_line(here, capsys, arguments, message):
    assert run(["shorten", *arguments]) == 2
    assert message in capsys.readouterr().err
