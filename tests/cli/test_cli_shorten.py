"""`nearbit shorten`: a model folder of the first bits, for an index and for ONNX Runtime as any other."""

import numpy as np
import pytest

from model_makers import random_model
from nearbit.cli.main import run
from nearbit.model.bundle import load_model
from tiny_data import TINY, write_folder


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


def test_what_is_said_of_it_was_not_measured_on_the_longer_codes(here, as_json, nearbit, refused):
    write_folder(here / "photos", per_class=8)
    for name, more in (("t", ()), ("f", ("--final",))):
        as_json("train", "photos", "--method", "crh", *TINY, *more, "-o", f"{name}.model")
        as_json("shorten", f"{name}.model", "--bits", "8", "-o", f"{name}8.model")
    whole, short, final = (as_json("inspect", f"{name}.model") for name in ("t", "t8", "f8"))
    assert None not in (whole["center_condition"], whole["center_history"])
    assert (short["center_condition"], short["center_history"], short["validation_map"]) == (None, None, None)
    assert (whole["shortened_from"], short["shortened_from"]["model_id"]) == (None, whole["model_id"])
    assert final["final"]["n_images"] == 24
    lines = nearbit("inspect", "t8.model")[1].splitlines()
    assert sum("center_distance_min" in line or "least center distance" in line for line in lines) == 1
    older = load_model("t8.model")
    older.record.update({name: load_model("t.model").record[name] for name in ("center_condition", "history")})
    older.save("older.model")
    assert [as_json("inspect", "older.model")[name] for name in ("center_condition", "center_history")] == [None, None]
    lines = nearbit("inspect", "f8.model")[1].splitlines()
    assert "final: trained on all 24 images, of which none can measure this model" in lines
    for name in ("t8", "f8"):
        nearbit("export", f"{name}.model", "--model-card", "-o", "card.md")
        assert "had a tie-aware" not in (here / "card.md").read_text(encoding="utf-8")
    message = refused("inspect", "t8.model", "--plot", "centers.png")
    assert "the codes of t8.model were changed after its training, so that it has no history of its centers" in message


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
