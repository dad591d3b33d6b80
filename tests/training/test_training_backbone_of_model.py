"""A run that begins with the backbone of a trained model: what it takes over, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import nearbit as nb
from nearbit.datasets.splits.split import fingerprint_of
from nearbit.errors import BundleError, InputError
from nearbit.training import TrainOptions
from tiny_data import tiny_dataset, tiny_split


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small network that was trained as a whole; the folder has a relative name where the tests stand."""
    dataset = tiny_dataset()
    options = TrainOptions(image_size=8, epochs=2, batch_size=8, learning_rate=0.005, device="cpu")
    model = nb.train(dataset, tiny_split(dataset), method="csq", n_bits=8, options=options)
    path = tmp_path_factory.mktemp("trained") / "first.model"
    model.save(path)
    return path


def options(folder, **given):
    return TrainOptions(backbone=f"model:{folder}", epochs=2, batch_size=8, hidden=16, device="cpu", **given)


def test_the_backbone_is_frozen_and_stays_what_it_was(folder):
    dataset = tiny_dataset()
    model = nb.train(dataset, tiny_split(dataset), method="ech", n_bits=12, options=options(folder))
    first = nb.load_model(folder)
    assert model.record["regime"] == "frozen"
    assert model.network.backbone.spec.source == "the model first.model (csq)"
    assert str(folder.parent) not in str(model.record)
    for name, value in first.network.backbone.state_dict().items():
        assert torch.equal(model.network.backbone.state_dict()[name], value), name
    assert model.preprocessing == first.preprocessing


def test_the_model_goes_without_the_one_it_began_with(folder, tmp_path):
    dataset = tiny_dataset()
    model = nb.train(dataset, tiny_split(dataset), method="csq", n_bits=12, options=options(folder))
    model.save(tmp_path / "second.model")
    opened = nb.load_model(tmp_path / "second.model")
    rows = np.arange(len(dataset))
    outputs = [one.encode_dataset(dataset, rows).outputs for one in (model, opened)]
    assert np.array_equal(*outputs)


def test_it_can_be_trained_on(folder):
    dataset = tiny_dataset()
    model = nb.train(dataset, tiny_split(dataset), method="csq", n_bits=8, options=options(folder, regime="fine-tuned"))
    first = nb.load_model(folder).network.backbone.state_dict()
    assert any(not torch.equal(value, first[name]) for name, value in model.network.backbone.state_dict().items())


def test_images_may_be_seen_at_another_size(folder):
    dataset = tiny_dataset()
    given = options(folder, image_size=16)
    assert nb.train(dataset, tiny_split(dataset), n_bits=8, method="csq", options=given).preprocessing.size == 16


@pytest.mark.parametrize("part", ["query", "validation"])
def test_a_backbone_that_saw_images_which_measure_is_refused(folder, part):
    dataset = tiny_dataset()
    split = tiny_split(dataset)
    parts = {"train": getattr(split, part), part: split.train}
    if part == "query":
        parts |= {"database": split.database[~np.isin(split.database, [*split.train, *split.query])]}
    turned = replace(split, **parts)
    with pytest.raises(InputError, match=rf"was trained on \d+ of the \d+ {part} images.*the same split"):
        nb.train(dataset, turned, method="csq", n_bits=8, options=options(folder))


def test_a_double_that_the_split_was_allowed_to_have_is_no_hindrance(tmp_path):
    dataset = tiny_dataset()
    split, digests = tiny_split(dataset), list(dataset.digests)
    digests[split.query[0]] = digests[split.train[0]]
    dataset = replace(dataset, digests=tuple(digests))
    fingerprint = fingerprint_of(dataset.keys, dataset.digests, dataset.labels, dataset.classes)
    recipe = {**split.recipe, "allow_overlap": True}
    split = replace(split, digests=dataset.digests, fingerprint=fingerprint, recipe=recipe)
    given = TrainOptions(image_size=8, epochs=1, batch_size=8, device="cpu")
    nb.train(dataset, split, method="csq", n_bits=8, options=given).save(tmp_path / "a.model")
    assert nb.train(dataset, split, method="csq", n_bits=8, options=options(tmp_path / "a.model")).n_bits == 8


def test_weights_beside_it_are_refused(folder, tmp_path):
    dataset = tiny_dataset()
    with pytest.raises(InputError, match="brings its own weights"):
        nb.train(dataset, tiny_split(dataset), n_bits=8, options=options(folder, weights=tmp_path / "w.safetensors"))


def test_a_folder_without_a_model_is_named(tmp_path):
    dataset = tiny_dataset()
    with pytest.raises(BundleError, match="nowhere"):
        nb.train(dataset, tiny_split(dataset), n_bits=8, options=options(tmp_path / "nowhere"))


def test_a_model_of_features_has_none(tmp_path):
    rng = np.random.default_rng(0)
    features = nb.from_features(rng.normal(size=(40, 6)).astype(np.float32), np.arange(40) % 4)
    nb.train(features, nb.make_split(features, seed=0), method="itq", n_bits=4).save(tmp_path / "f.model")
    dataset = tiny_dataset()
    with pytest.raises(InputError, match="takes features and has no backbone"):
        nb.train(dataset, tiny_split(dataset), n_bits=8, options=options(tmp_path / "f.model"))
