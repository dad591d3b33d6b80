"""`nearbit export`: what is asked for is written, compared and searchable; what makes no sense is refused."""

import json

import numpy as np
import pytest

from onnx_makers import hand_made

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --onnx or --model-card"),
        (["--onnx", "--model-card"], "give either --onnx or --model-card"),
        (["--model-card", "--int8"], "--int8 goes with --onnx, not with --model-card"),
        (["--model-card", "--check", "photos"], "--check goes with --onnx, not with --model-card"),
        (["--onnx", "--int8"], "--int8 needs images like those that will be encoded: give them (--check DATA)"),
        (["--onnx", "--label-level", "fine"], "--label-level goes with --check DATA"),
        (["--onnx", "--cache", "c"], "--cache goes with --check DATA"),
    ],
)
def test_an_export_that_makes_no_sense_is_refused_and_writes_nothing(refused, place, arguments, message):
    before = sorted(place.rglob("*"))
    assert message in refused("export", "a.model", "-o", "out", *arguments)
    assert sorted(place.rglob("*")) == before


def test_an_export_replaces_nothing_but_its_like(refused, place):
    for name in ("photos", "a.model", "a.index"):
        message = refused("export", "a.model", "--onnx", "-o", name)
        assert "stands and is not an exported network: choose another name" in message
    (place / "CARD.md").write_text("my words")
    assert "is there already, and may hold someone's own words" in refused(
        "export", "a.model", "--model-card", "-o", "CARD.md"
    )
    assert (place / "CARD.md").read_text() == "my words"


def test_an_export_that_differs_leaves_nothing(refused, place, monkeypatch):
    from onnx_makers import network

    monkeypatch.setattr("nearbit.onnx_export.export.network_bytes", lambda model: network(12, 8))
    assert "the exported network is not the model: an output differs by" in refused(
        "export", "a.model", "--onnx", "-o", "a.onnx"
    )
    assert not list(place.glob("*a.onnx*"))


def test_an_exported_network_that_someone_else_made_is_not_searched_with(refused, as_json, place):
    hand_made().save(place / "other.onnx")
    message = refused("search", "a.index", "photos/a/000.png", "--model", "other.onnx")
    assert "holds codes of another model than other.onnx" in message
    message = refused("index", "a.index", "photos", "--model", "other.onnx")
    assert "codes of different models cannot be compared" in message
    assert "name the model folder that it was exported from" in refused("evaluate", "other.onnx", "photos")
    message = refused("index", "new.index", "photos", "--model", "other.onnx", "--part", "query")
    assert "the model records no split" in message
    message = refused("encode", "other.onnx", "photos", "-o", "x.npz", "--device", "cuda")
    assert "runs on the CPU, not on 'cuda'" in message


def test_an_int8_network_is_not_searched_with_in_an_index_of_its_source(refused, as_json, place):
    source = as_json("inspect", "a.model")["model_id"]
    hand_made(source=source, precision="int8").save(place / "a8.onnx")
    assert "holds codes of another model" in refused("search", "a.index", "photos/a/000.png", "--model", "a8.onnx")
    as_json("index", "a8.index", "photos", "--model", "a8.onnx")
    found = as_json("search", "a8.index", "photos/a/000.png", "-k", "1")
    assert found["results"][0]["neighbors"][0]["distance"] == 0


def test_inspect_says_what_an_exported_network_is(as_json, nearbit, place):
    hand_made().save(place / "other.onnx")
    about = as_json("inspect", "other.onnx")
    assert (about["kind"], about["precision"], about["n_bits"]) == ("exported network", "float32", 12)
    assert (about["model_id"], about["source_model_id"]) == ("5" * 64, "5" * 64)
    assert "precision: float32" in nearbit("inspect", "other.onnx")[1]


@pytest.mark.slow
def test_the_road_with_an_exported_network(as_json, nearbit, place):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    about = as_json("export", "a.model", "--onnx", "-o", "a.onnx", "--check", "photos")
    source = as_json("inspect", "a.model")["model_id"]
    assert (about["model_id"], about["precision"], about["retrieval"]) == (source, "float32", None)
    assert about["parity"]["largest_difference"] <= about["parity"]["tolerance"]
    assert as_json("inspect", "a.onnx")["parity"] == about["parity"]
    queries = ["photos/a/000.png", "photos/c/020.png"]
    for more in ([], ["--radius", "4"]):
        found = [as_json("search", "a.index", *queries, *more, "--model", name) for name in ("a.model", "a.onnx")]
        assert found[0] == found[1]
    as_json("encode", "a.model", "photos", "-o", "a.npz")
    as_json("encode", "a.onnx", "photos", "-o", "b.npz")
    with np.load("a.npz") as one, np.load("b.npz") as other:
        assert all(np.array_equal(one[name], other[name]) for name in one.files)
    assert as_json("index", "a.index", "photos", "--model", "a.onnx")["unchanged"] == 24
    status, out, _ = nearbit("export", "a.model", "--onnx", "--int8", "-o", "a8.onnx", "--check", "photos")
    assert status == 0
    assert "tie-aware mAP of" in out
    about = json.loads((place / "a8.onnx" / "bundle.json").read_text())
    assert about["model_id"] != about["source_model_id"] == source
    figures = as_json("evaluate", "a.model", "photos", "--device", "cpu")
    assert about["about"]["retrieval"]["before"] == pytest.approx(figures["tie_aware_map"])
    assert as_json("index", "b.index", "photos", "--model", "a8.onnx")["items"] == 24
