"""Which model made an index: the one given, else the one that the index names, and never one of other codes."""

import json

import pytest

from model_makers import random_model
from nearbit.errors import BundleError, IndexFileError, InputError
from nearbit.index import create_index
from nearbit.model.load import model_at_hand, model_of_index
from nearbit.model.manifest import read_manifest, with_digest


@pytest.fixture
def index(tmp_path):
    model = random_model()
    model.save(tmp_path / "a.model")
    with create_index(tmp_path / "in" / "a.index", 12, model_id=model.model_id) as opened:
        opened.set_notes({"model_path": "../a.model"})
        yield opened


def test_the_model_that_the_index_names_lies_as_seen_from_it(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_of_index(index) == model_at_hand(index) == (tmp_path / "a.model").resolve()


def test_the_model_that_is_given_comes_first(index, tmp_path):
    (tmp_path / "a.model").rename(tmp_path / "b.model")
    assert model_of_index(index, tmp_path / "b.model") == tmp_path / "b.model"
    assert model_at_hand(index, tmp_path / "b.model") == tmp_path / "b.model"


def test_an_index_without_a_model_at_hand_says_so(index, tmp_path):
    (tmp_path / "a.model").rename(tmp_path / "b.model")
    with pytest.raises(
        InputError, match=r"names the model \.\./a\.model beside it, which is not there: give it \(--model"
    ):
        model_of_index(index)
    assert model_at_hand(index) is None
    with create_index(tmp_path / "b.index", 12) as other:
        with pytest.raises(InputError, match=r"b\.index names no model: give it \(--model"):
            model_of_index(other)
        assert model_at_hand(other) is None


@pytest.mark.parametrize("change", [{"seed": 1}, {"n_bits": 16}])
def test_a_model_of_other_codes_is_refused(index, tmp_path, change):
    random_model(**change).save(tmp_path / "a.model")
    for given in (None, tmp_path / "a.model"):
        with pytest.raises(IndexFileError, match="holds codes of another model than"):
            model_of_index(index, given)
        assert model_at_hand(index, given) is None


def test_where_an_index_records_no_model_the_length_of_the_codes_decides(tmp_path):
    random_model().save(tmp_path / "a.model")
    for n_bits in (12, 16):
        with create_index(tmp_path / f"{n_bits}.index", n_bits) as index:
            found = model_at_hand(index, tmp_path / "a.model")
            assert found == (tmp_path / "a.model" if n_bits == 12 else None)


def test_a_manifest_that_was_altered_is_an_error_and_not_another_model(index, tmp_path):
    path = tmp_path / "a.model" / "bundle.json"
    path.write_text(path.read_text().replace('"n_bits": 12', '"n_bits": 13'))
    with pytest.raises(BundleError, match="was altered or damaged"):
        model_of_index(index)
    assert model_at_hand(index) == (tmp_path / "a.model").resolve(), "what is wrong is told by who reads it"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "other"}, "does not describe a nearbit model"),
        ({"kind": ["nearbit-model"]}, "does not describe a nearbit model"),
        ({"format_version": 9}, "has the model format 9; this nearbit reads up to 1: update nearbit"),
        ({"model_id": 7}, "it names no model_id, or one that cannot be"),
        ({"n_bits": "12"}, "it names no n_bits, or one that cannot be"),
        ({"classes": None}, "must name the classes in a list of texts"),
        ({"files": []}, "it names no files, or one that cannot be"),
    ],
)
def test_a_manifest_says_what_every_model_says(tmp_path, change, message):
    random_model().save(tmp_path / "a.model")
    path = tmp_path / "a.model" / "bundle.json"
    about = json.loads(path.read_text())
    del about["digest"]
    path.write_text(json.dumps(with_digest(about | change)))
    with pytest.raises(BundleError, match=message):
        read_manifest(tmp_path / "a.model")


def test_a_manifest_of_either_kind_is_read(tmp_path):
    model = random_model()
    model.save(tmp_path / "a.model")
    assert read_manifest(tmp_path / "a.model")["model_id"] == model.model_id
