"""A model on attacked queries: figures beside the clean ones, in Python and on the command line."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model_makers import random_model
from nearbit import robustness
from nearbit.codes import binarize
from nearbit.datasets import Dataset
from nearbit.errors import DataError, InputError
from nearbit.evaluation import evaluate
from nearbit.metrics import tie_aware_average_precision
from nearbit.robustness import AttackOptions, attack
from tiny_data import FailingImages, dataset_of, tiny_dataset, tiny_labels, tiny_pixels, tiny_split

SHORT = AttackOptions(steps=5, step_size=2.0)


@pytest.fixture(scope="module")
def model():
    return random_model()


def found(model, data=None, **given):
    return attack(model, data or tiny_dataset(), options=replace(SHORT, **given), device="cpu")


def test_the_clean_figure_is_that_of_evaluate_and_the_attack_lowers_it(model):
    figures = found(model, eps=30.0)
    assert figures.clean_map == evaluate(model, tiny_dataset(), device="cpu").report.tie_aware_map
    assert figures.adversarial_map < figures.clean_map
    assert figures.bits_changed > 0
    assert (figures.n_query, figures.n_database, figures.clean_t_map) == (6, 6, None)


def test_without_a_budget_nothing_changes(model):
    figures = found(model, eps=0.0)
    assert (figures.adversarial_map, figures.bits_changed) == (figures.clean_map, 0.0)


@pytest.mark.parametrize("regime", ["scratch", "frozen"])
@pytest.mark.parametrize("kind", ["pgd", "hag"])
def test_networks_of_every_regime_are_attacked_to_the_pixels(regime, kind):
    asked = {"kind": kind, "eps": 40.0, "steps": 20, "step_size": None}
    assert found(random_model(regime=regime), **asked).bits_changed > 0.2


def test_a_seed_decides_everything(model):
    assert found(model, seed=3).to_dict() == found(model, seed=3).to_dict()


def test_t_map_is_map_with_the_labels_of_the_targets(model, monkeypatch):
    given = []
    draw = robustness._targets
    monkeypatch.setattr(robustness, "_targets", lambda *own: given.append(draw(*own)) or given[-1])
    figures, data = found(model, targeted=True, eps=30.0), tiny_dataset()
    labels = data.labels.copy()
    labels[model.split.query] = given[0]
    assert not (given[0] & data.labels[model.split.query]).any()
    codes = {
        part: binarize(model.encode_dataset(data, rows, device="cpu").outputs)
        for part, rows in (("query", model.split.query), ("database", model.split.database))
    }
    swapped = tie_aware_average_precision(
        codes["query"], labels[model.split.query], codes["database"], labels[model.split.database], 12
    )
    assert figures.clean_t_map == pytest.approx(swapped.mean(), abs=1e-12)
    assert figures.adversarial_t_map > figures.clean_t_map
    assert figures.clean_map == evaluate(model, data, device="cpu").report.tie_aware_map


def test_as_many_queries_as_asked_for_are_drawn_of_those_with_labels(model):
    assert found(model, queries=4).n_query == 4
    labels = tiny_labels()
    labels[model.split.query[:2]] = False
    assert found(*relabelled(model, labels)).n_query == 4
    with pytest.raises(DataError, match="query and database images with labels"):
        found(*relabelled(model, np.zeros_like(labels)))


def relabelled(model, labels):
    """Return a model and its data with other labels, which its split was made for."""
    data = dataset_of(tiny_pixels(tiny_labels()), labels, ("a", "b", "c"))
    return replace(model, split=replace(model.split, fingerprint=data.fingerprint)), data


def test_images_that_cannot_be_read_are_listed(model):
    data: Dataset = tiny_dataset()
    rows = (int(model.split.query[0]), int(model.split.database[0]))
    figures = found(model, replace(data, source=FailingImages(rows)))
    assert (figures.n_query, figures.n_database, len(figures.problems)) == (5, 5, 2)
    assert figures.to_dict()["unread_images"] == 2


def test_a_query_that_shares_a_label_with_everything_has_no_target():
    labels = tiny_labels()
    labels[:, 0] = True
    data = dataset_of(tiny_pixels(tiny_labels()), labels, ("a", "b", "c"))
    model = replace(random_model(), split=tiny_split(data))
    with pytest.raises(DataError, match="nothing is left as their target"):
        found(model, data, targeted=True)
    assert found(model, data).n_query > 0


def test_a_model_of_features_has_no_pixels(model):
    other = random_model()
    other.network.backbone.preprocessing = object()
    with pytest.raises(InputError, match="changes pixels, and this model takes features"):
        found(other)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "fgsm"}, "kind must be one of pgd, hag, not 'fgsm'"),
        ({"relevance": "dice"}, "relevance must be one of shared, jaccard, cosine"),
        ({"eps": -1.0}, "eps must be a number of at least 0"),
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"queries": 0}, "queries must be a whole number of at least 1"),
        ({"step_size": float("nan")}, "step_size must be a number of at least 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"kind": "hag", "targeted": True}, "has no target"),
        ({"kind": "hag", "relevance": "cosine"}, "uses no center code"),
    ],
)
def test_wrong_options_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        AttackOptions(**given)


def test_the_network_is_left_as_it_was(model):
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    found(model)
    after = model.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not model.network.training
