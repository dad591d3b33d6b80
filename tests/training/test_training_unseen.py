"""Training with unseen classes: the model knows the seen ones only, whatever the protocol asks for afterwards."""

from dataclasses import replace

import numpy as np
import pytest

from nearbit.datasets import make_split, other_protocol
from nearbit.errors import DataError, InputError
from nearbit.evaluation import evaluate
from nearbit.training import TrainOptions, plan
from tiny_data import tiny_dataset


@pytest.fixture(scope="module")
def four():
    return tiny_dataset(n_classes=4)


def split_of(dataset, protocol, **given):
    return make_split(dataset, protocol=protocol, unseen=["b"], **given)


@pytest.mark.parametrize("method", ["crh", "shc", "csq", "mds", "orthohash"])
def test_the_model_knows_the_seen_classes_and_is_asked_for_all(run, four, method):
    model = run(method, data=four, split=split_of(four, "seen@seen"))
    assert model.classes == ("a", "c", "d")
    assert model.centers.centers.shape == (3, 12)
    assert model.record["dataset_fingerprint"] == four.fingerprint
    reports = {
        name: evaluate(model, four, other_protocol(four, model.split, name), device="cpu")
        for name in ("seen@seen", "seen@all", "unseen@unseen", "unseen@all")
    }
    sizes = {name: (found.report.n_query, found.report.n_database) for name, found in reports.items()}
    assert sizes == {"seen@seen": (3, 6), "seen@all": (3, 8), "unseen@unseen": (1, 2), "unseen@all": (1, 8)}
    assert all(found.queries_seen_in_training == 0 for found in reports.values())
    assert reports["unseen@unseen"].report.tie_aware_map == 1


def test_the_weights_are_those_of_a_data_set_without_the_unseen_images(run, four):
    """Not a bit of the weights changes when every unseen image is black and every protocol gives the same model."""
    model = run("csq", data=four, split=split_of(four, "seen@seen"))
    assert run("csq", data=four, split=split_of(four, "unseen@all")).model_id == model.model_id
    source = replace(four.source, pixels=np.where(four.labels[:, 1, None, None, None], 0, four.source.pixels))
    black = replace(four, source=source)
    assert run("csq", data=black, split=split_of(black, "seen@seen")).model_id == model.model_id
    assert run("csq", data=four, split=make_split(four)).model_id != model.model_id


@pytest.mark.parametrize("method", ["label", "itq"])
def test_baselines_know_the_seen_classes_only(run, four, method):
    model = run(method, "frozen", data=four, split=split_of(four, "seen@all"), n_bits=8, **FREE)
    assert model.classes == ("a", "c", "d")
    assert model.centers.centers.shape == (3, 8)


FREE = {
    name: getattr(TrainOptions(), name)
    for name in ("epochs", "learning_rate", "batch_size", "hidden", "validate_every")
}


def test_centers_that_are_given_are_those_of_the_seen_classes(four):
    split = split_of(four, "seen@seen")
    words = np.array([[1, 1, 1, 1], [-1, -1, 1, 1], [1, -1, -1, 1]])
    assert plan(four, split, method="csq", n_bits=4, centers=words).task.n_classes == 3
    with pytest.raises(InputError, match=r"shape \(3, 4\), not \(4, 4\)"):
        plan(four, split, method="csq", n_bits=4, centers=np.concatenate([words, -words[:1]]))


@pytest.mark.parametrize("method", ["mds", "lbhc", "shc"])
def test_equal_centers_are_refused_where_each_class_needs_its_own(four, method):
    split = split_of(four, "seen@seen")
    with pytest.raises(InputError, match=f"{method} tells classes apart by their centers, and some of these are equal"):
        plan(four, split, method=method, n_bits=4, centers=np.ones((3, 4)))
    assert plan(four, split, method="csq", n_bits=4, centers=np.ones((3, 4))).task.n_bits == 4


def test_options_are_checked_with_given_centers_too(four):
    words = np.array([[1, 1, 1, 1], [-1, -1, 1, 1], [1, -1, -1, 1]])
    with pytest.raises(InputError, match="flips must be at most the 4 bits of a code, not 100"):
        plan(four, split_of(four, "seen@seen"), method="lbhc", n_bits=4, centers=words, method_options={"flips": 100})


WORDS = np.array([[1, 1, 1, 1], [-1, -1, 1, 1], [1, -1, -1, 1]])
ALIKE = np.array([[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("method", "given", "options", "match"),
    [
        ("shc", {"centers": WORDS}, {"min_distance": 2}, "the centers are given, so min_distance would do nothing"),
        ("shc", {"centers": WORDS}, {"centers": "distance"}, "the centers are given, so centers would do nothing"),
        ("shc", {"centers": WORDS}, {"order": "released"}, "the centers are given, so order would do nothing"),
        ("shc", {"similarity": ALIKE}, {"classifier_epochs": 9}, "similarity .* is given, so classifier_epochs would"),
        ("shc", {"similarity": ALIKE}, {"centers": "distance"}, "shc follow no similarity by these options"),
        ("hclm", {"similarity": ALIKE}, {"assignment": "random"}, "hclm follow no similarity by these options"),
        ("hclm", {"centers": WORDS}, {"proxies": "separated"}, "the centers are given, so proxies would do nothing"),
        ("orthohash", {"centers": WORDS}, {"targets": "csq"}, "the centers are given, so targets would do nothing"),
        ("lbhc", {"centers": WORDS}, {"centers": "csq"}, "the centers are given, so centers would do nothing"),
        ("dpn", {"centers": WORDS}, {"update_every": 1}, "dpn changes its centers while it trains and takes none"),
        ("hashnet", {}, {"grades": "jaccard"}, "every image has one label, so grades would do nothing"),
        ("ics", {}, {"weights": "equal"}, "every image has one label, so weights would do nothing"),
    ],
)
def test_options_that_would_do_nothing_beside_what_is_given_are_refused(four, method, given, options, match):
    split = split_of(four, "seen@seen")
    with pytest.raises(InputError, match=match):
        plan(four, split, method=method, n_bits=4, **given, method_options=options)
    if given:
        assert plan(four, split, method=method, n_bits=4, **given).task.n_classes == 3


def test_given_centers_go_with_a_recipe_that_says_how_others_would_be_made(four):
    options = TrainOptions(preset="shc-paper", backbone="small", image_size=32)
    preset = {"centers": "paper", "order": "paper"}
    given = {"method": "shc", "n_bits": 4, "centers": WORDS, "options": options}
    split = split_of(four, "seen@seen")
    assert plan(four, split, **given, method_options=preset).task.n_bits == 4
    with pytest.raises(InputError, match="the centers are given, so effort would do nothing"):
        plan(four, split, **given, method_options={"effort": 2.0})


def test_a_method_that_is_none_is_refused_with_a_preset_too(four):
    options = TrainOptions(preset="crh-paper")
    with pytest.raises(InputError, match="method must be a name, a Method or a Baseline, not int"):
        plan(four, split_of(four, "seen@seen"), method=3, options=options)


def test_a_recipe_that_calls_trained_classes_unseen_is_refused(four):
    split = split_of(four, "seen@seen")
    wrong = replace(split, recipe=split.recipe | {"unseen": ["a"]})
    with pytest.raises(DataError, match="train holds images of 'a'"):
        plan(four, wrong, method="csq", n_bits=4)
