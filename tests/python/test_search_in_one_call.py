"""`nb.search`: one call from an image to results, equal to encoding and searching by hand."""

import gc

import numpy as np
import pytest
from PIL import Image

import nearbit as nb
from model_makers import random_model
from nearbit.errors import IndexFileError, InputError


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Six photographs, a model and an index of them that names it."""
    monkeypatch.chdir(tmp_path)
    model = random_model()
    model.save(tmp_path / "birds.model")
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    with nb.create_index("birds.index", 12, model_id=model.model_id) as index:
        index.set_notes({"model_path": "birds.model"})
        files = [tmp_path / f"{number}.png" for number in range(6)]
        about = [{"path": file.name, "labels": ["car" if number > 2 else "bird"]} for number, file in enumerate(files)]
        index.add(model.encode(files), metadata=about)
    return tmp_path


def test_an_image_finds_what_encoding_and_searching_finds(place):
    model = nb.load_model("birds.model")
    with nb.open_index("birds.index", read_only=True) as index:
        expected = index.search(model.encode([place / "2.png"]), k=4)
        for given in ("2.png", place / "2.png", Image.open("2.png"), np.asarray(Image.open("2.png"))):
            assert nb.search("birds.index", given, k=4).ids.tolist() == expected.ids.tolist()
        assert nb.search(index, "2.png", k=4, model=model).ids.tolist() == expected.ids.tolist()
        weighted = nb.search(index, ["2.png", "3.png"], k=4, asymmetric=True, model="birds.model")
        by_hand = index.search(model.encode(["2.png", "3.png"]), k=4, weights=model.outputs(["2.png", "3.png"]))
        assert weighted.ids.tolist() == by_hand.ids.tolist()
        assert weighted.weighted.tolist() == by_hand.weighted.tolist()
    only = nb.search("birds.index", "2.png", where={"labels": "car"})
    assert sorted(number for number, _ in only.pairs(0)) == [4, 5, 6]
    assert nb.search("birds.index", "2.png", k=None, radius=0).ids[0, 0] == 3


def test_results_know_paths_as_long_as_they_are_there(place):
    found = nb.search("birds.index", "2.png", k=2)
    assert "2.png" in found._repr_html_()
    index = found.index
    del found
    gc.collect()
    with pytest.raises(IndexFileError, match=r"birds\.index is closed"):
        index.items([1])


def test_mistakes_are_said(place):
    with pytest.raises(InputError, match=r"expected at least one image, came an empty list"):
        nb.search("birds.index", [])
    with pytest.raises(InputError, match=r"holds codes of another model than the one given"):
        nb.search("birds.index", "2.png", model=random_model(seed=1))
    with (
        nb.create_index("no.index", 12) as index,
        pytest.raises(InputError, match=r"no\.index names no model"),
    ):
        nb.search(index, "2.png")
    with (
        nb.open_index("birds.index") as index,
        pytest.raises(InputError, match=r"must be packed uint8, not texts or other objects; .* nb\.search"),
    ):
        index.search(["2.png"])
