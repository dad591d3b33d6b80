"""A model whose method has no centers, through every command: nothing fake is saved, certified, drawn or offered."""

import json

import numpy as np
import pytest

from nearbit.cli.main import run
from nearbit.model.bundle import load_model
from nearbit.model.load import centers_in, load_any_model
from nearbit.service.info import centers_of as served_centers
from tiny_data import TINY, write_folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of images, a model of triplets, and an index of them."""
    folder = tmp_path_factory.mktemp("triplets")
    photos = write_folder(folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEARBIT_CACHE", str(folder / "cache"))
        model = str(folder / "a.model")
        assert run(["train", str(photos), "--method", "dtsh", *TINY, "-o", model]) == 0
        assert run(["index", "add", str(folder / "a.index"), str(photos), "--model", model]) == 0
    return folder


def test_inspect_says_nothing_of_centers(as_json, nearbit, refused, trained, tmp_path):
    about = as_json("inspect", trained / "a.model")
    assert about["n_classes"] == 3
    for name in ("center_distance_min", "center_distance_mean", "center_distance_bound", "center_history"):
        assert about[name] is None
    assert "center" not in nearbit("inspect", trained / "a.model")[1]
    err = refused("inspect", trained / "a.model", "--plot", tmp_path / "centers.png")
    assert "the model has no centers, so there is no history of them to draw: leave --plot out" in err
    health = as_json("inspect", trained / "a.index")["health"]
    assert (health["center_margin"], health["center_spread"]) == (None, None)
    assert not [line for line in health["advice"] if "nearest center" in line]


def test_no_class_is_added_to_a_model_without_centers(refused, trained, tmp_path):
    photos = trained / "photos"
    err = refused("add-class", trained / "a.model", photos / "a", "--name", "d", "-o", tmp_path / "b.model")
    assert "the model has no centers to add one to (dtsh makes none" in err
    assert "take a method with centers" in err
    assert not (tmp_path / "b.model").exists()


def test_centers_alone_are_refused_for_a_method_without(refused, trained, tmp_path):
    options = ("train", trained / "photos", "--method", "dtsh", *TINY)
    err = refused(*options, "--only", "centers", "-o", tmp_path / "c.npy")
    assert "dtsh has no centers: leave --only out, or take a method with centers" in err
    np.save(tmp_path / "given.npy", np.ones((3, 12), np.int8))
    err = refused(*options, "--centers", tmp_path / "given.npy", "-o", tmp_path / "c.model")
    assert "dtsh has no centers and takes none" in err


def test_evaluation_card_and_shortened_model_have_none(as_json, nearbit, trained, tmp_path):
    figures = as_json("evaluate", trained / "a.model", trained / "photos")
    assert figures["health"]["center_spread"] is None
    status, out, err = nearbit("export", trained / "a.model", "--model-card", "-o", tmp_path / "card.md")
    assert status == 0, out + err
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "triplets of a batch" in card
    assert "## Hash centers" not in card
    as_json("shorten", trained / "a.model", "--bits", "6", "-o", tmp_path / "s.model")
    short = load_model(tmp_path / "s.model")
    assert short.centers.centers.shape == (0, 6)
    assert short.record["certificate"] is None


def test_the_exported_network_and_the_page_have_none(as_json, trained, tmp_path):
    pytest.importorskip("onnx")
    as_json("export", trained / "a.model", "--onnx", "-o", tmp_path / "o.model")
    opened = load_any_model(tmp_path / "o.model")
    assert centers_in(tmp_path / "o.model").shape == (0, opened.n_bits)
    assert served_centers(trained / "a.model") is None
    assert served_centers(tmp_path / "o.model") is None


def test_a_comparison_draws_the_centers_of_the_others_alone(as_json, trained, tmp_path):
    trained_as = ["--image-size", "8", "--epochs", "2", "--batch-size", "8", "--device", "cpu", "--jobs", "1"]
    parts = ["--query", "2", "--validation", "2", "--database", "2", "--train", "2"]
    asked = ["--methods", "csq", "dtsh", "dpsh", "--bits", "8", "--seeds", "1"]
    about = as_json("compare", trained / "photos", "-o", tmp_path / "out", *trained_as, *parts, *asked)
    assert about["failed"] == []
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "distances between the centers of csq" in page
    assert "distances between the centers of d" not in page
    rows = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    text = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert "dtsh" in text
    assert "NaN" not in json.dumps(rows)
