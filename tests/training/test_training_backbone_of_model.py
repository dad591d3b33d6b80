"""A run that begins with the backbone of a trained model: what it takes over, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import nearbit as nb
from nearbit.cli.train_outcome import about_choice
from nearbit.datasets.splits.split import fingerprint_of
from nearbit.errors import BundleError, InputError
from nearbit.training import TrainOptions
from tiny_data import few_split, tiny_dataset, tiny_split


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


def usual(folder):
    """Return options with nothing that closed forms have no use for."""
    return TrainOptions(backbone=f"model:{folder}", device="cpu")


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
    with pytest.raises(
        InputError, match=rf"was trained on \d+ of the \d+ {part} images, the first 'tiny/\d+': .*the same split"
    ):
        nb.train(dataset, turned, method="csq", n_bits=8, options=options(folder))


@pytest.fixture(scope="module")
def second(folder):
    """A model on that backbone, whose split has what the first one saw only in its database."""
    dataset = tiny_dataset()
    first = tiny_split(dataset)
    seen = np.sort(np.concatenate([first.train, first.validation]))
    split = replace(first, train=first.database, validation=first.query, query=[], database=seen)
    model = nb.train(dataset, split, method="csq", n_bits=8, options=options(folder))
    model.save(folder.parent / "second.model")
    return folder.parent / "second.model"


def asking(part):
    """Return a split whose queries are a part of the first model's."""
    first = tiny_split(tiny_dataset())
    return replace(first, train=first.database, validation=first.query, query=first.rows(part), database=[])


@pytest.mark.parametrize(
    ("part", "how"), [("train", "trained on 12 of the 12"), ("validation", "chosen by 6 of the 6")]
)
def test_what_a_model_before_the_model_saw_is_refused_too(folder, second, part, how):
    for place, through in ((folder, ""), (second, ", in a model that it comes from,")):
        said = rf"the backbone of .*{place.name} was{through} {how} query images, the first 'tiny/\d+'"
        with pytest.raises(InputError, match=said):
            nb.train(tiny_dataset(), asking(part), method="csq", n_bits=8, options=options(place))


def test_an_evaluation_counts_what_a_model_before_saw(second):
    dataset, first = tiny_dataset(), tiny_split(tiny_dataset())
    for part, n_seen in (("train", 12), ("validation", 6)):
        split = replace(asking(part), train=[], validation=[], database=first.database)
        assert nb.evaluate(nb.load_model(second), dataset, split).queries_seen_in_training == n_seen


def test_images_may_choose_again_that_chose_in_a_model_before(second):
    dataset, first = tiny_dataset(), tiny_split(tiny_dataset())
    split = replace(first, train=first.database, query=[], database=first.train)
    again = nb.train(dataset, split, method="csq", n_bits=8, options=options(second))
    assert again.seen_before.trained == {first.digests[row] for row in first.train}
    assert again.seen_before.validated == {first.digests[row] for row in first.query}


def test_a_model_on_the_same_split_has_nothing_more_to_say(folder):
    dataset = tiny_dataset()
    assert not nb.train(dataset, tiny_split(dataset), method="itq", n_bits=4, options=usual(folder)).seen_before


def test_the_second_of_two_steps_knows_it_too(folder):
    dataset, first = tiny_dataset(), tiny_split(tiny_dataset())
    split = replace(first, train=first.database, validation=first.query, query=[], database=first.train)
    model = nb.train(dataset, split, method="csq", n_bits=8, options=options(folder, regime="two-step"))
    assert model.seen_before.trained == {first.digests[row] for row in first.train}


@pytest.mark.parametrize("n_bits", [4, 16])
def test_auto_does_not_rehearse_on_images_that_the_backbone_has_seen(n_bits, tmp_path):
    dataset = tiny_dataset()
    split, given = few_split(dataset), TrainOptions(image_size=8, epochs=1, batch_size=8, device="cpu")
    nb.train(dataset, split, method="csq", n_bits=8, options=given).save(tmp_path / "few.model")
    model = nb.train(dataset, split, n_bits=n_bits, options=usual(tmp_path / "few.model"))
    assert model.record["auto"]["knows_all"]
    assert not model.record["auto"]["rehearsed"]
    assert list(model.record["auto"]["scores"]) == [model.method] == ["ridge" if n_bits == 4 else "ech"]
    assert f"auto: {model.method}, by the number of training images a class" in about_choice(model.record, n_bits)[0]


def test_auto_rehearses_on_the_backbone_of_a_model_that_saw_other_images(folder):
    dataset = tiny_dataset()
    first = tiny_split(dataset)
    rows = [row for label in range(3) for row in np.flatnonzero(dataset.labels[:, label]) if row in first.database]
    validation = [row for label in range(3) for row in np.flatnonzero(dataset.labels[:, label]) if row in first.query]
    split = replace(first, train=np.sort(rows), validation=np.sort(validation[::2]), query=[], database=first.train)
    assert nb.training.plan(dataset, split, n_bits=4, options=usual(folder)).is_rehearsed


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
