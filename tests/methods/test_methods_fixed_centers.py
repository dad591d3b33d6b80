"""OrthoHash and MDS: losses and centers against oracles written from the equations, published constants, options."""

import math

import numpy as np
import pytest
import torch

import oracles
from nearbit.centers import gilbert_varshamov_distance
from nearbit.errors import InputError
from nearbit.methods import MDS, ORTHOHASH, MDSOptions, OrthoHashOptions, Targets, Task
from nearbit.methods.hash_centers.hclm import HCLMOptions
from nearbit.methods.hash_centers.ics import ICSOptions
from nearbit.methods.hash_centers.mlh import MLHOptions
from nearbit.methods.hash_centers.shc import SHCMethodOptions


def case(multi_label, n_classes=5, n_bits=16):
    """Return a task, outputs, labels, and centers as targets, all drawn."""
    rng = np.random.default_rng(3)
    labels = np.eye(n_classes)[np.arange(6) % n_classes]
    if multi_label:
        labels[:, 1] = 1
    centers = rng.choice([-1.0, 1.0], (n_classes, n_bits))
    targets = Targets(torch.tensor(centers), torch.ones(n_bits, dtype=torch.float64))
    return (
        Task(n_classes=n_classes, n_bits=n_bits, multi_label=multi_label),
        rng.normal(0, 1, (6, n_bits)),
        labels,
        targets,
    )


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(("options", "scale", "margin"), [
    (OrthoHashOptions(), 4.0, 0.2), (OrthoHashOptions(scale=8.0, margin=0.0), 8.0, 0.0),
])  # fmt: skip
def test_orthohash_is_the_margin_cosine_at_the_root_of_the_bits(multi_label, options, scale, margin):
    task, outputs, labels, targets = case(multi_label)
    found = ORTHOHASH.loss(torch.tensor(outputs), torch.tensor(labels), targets, task, options).item()
    expected = oracles.margin_cosine(outputs.tolist(), labels.tolist(), targets.centers.tolist(), scale, margin)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(("options", "scale", "weight"), [
    (MDSOptions(), 4.0, 1e-4), (MDSOptions(scale=2.0, quantization_weight=0.5), 2.0, 0.5),
])  # fmt: skip
def test_mds_is_the_center_softmax_plus_weighted_quantization(multi_label, options, scale, weight):
    task, outputs, labels, targets = case(multi_label)
    found = MDS.loss(torch.tensor(outputs), torch.tensor(labels), targets, task, options).item()
    expected = oracles.center_softmax(outputs.tolist(), labels.tolist(), targets.centers.tolist(), scale)
    assert found == pytest.approx(expected + weight * oracles.quantization(outputs.tolist()), rel=1e-12)


def test_the_published_constants():
    assert (ORTHOHASH.options.margin, ORTHOHASH.options.scale, ORTHOHASH.options.targets) == (0.2, None, "bernoulli")
    assert (MDS.options.quantization_weight, MDS.options.scale) == (1e-4, None)
    assert MDS.memory(MDS.options) is None
    pairs = MDS.memory(MDSOptions(pair_weight=1.0))
    assert (pairs.weight, pairs.after, pairs.momentum) == (1.0, 9, 0.9)
    fine_tuned = ORTHOHASH.schedules["fine-tuned"]
    assert (fine_tuned.epochs, fine_tuned.batch_size, fine_tuned.learning_rate) == (100, 256, 1e-4)
    assert (fine_tuned.backbone_factor, fine_tuned.weight_decay) == (0.1, 5e-4)
    assert ORTHOHASH.normalized
    assert MDS.normalized


def test_the_pairwise_term_of_mds_is_left_out_by_its_weight():
    assert MDS.memory(MDSOptions(pair_weight=0.0)) is None
    assert MDS.memory(MDSOptions(pair_weight=0.5, pair_after=3)).after == 3


def test_targets_of_orthohash_are_bits_drawn_on_their_own():
    task = Task(n_classes=400, n_bits=100, multi_label=False)
    centers = ORTHOHASH.make_centers(task, ORTHOHASH.options, np.random.default_rng(0)).centers
    assert abs(centers.mean()) < 4 / math.sqrt(centers.size)
    sums = centers.sum(axis=1)  # balanced words, such as CSQ's, would have sums of 0
    assert 8 < sums.std() < 12


@pytest.mark.parametrize("kind", ["maxhd", "csq"])
def test_other_targets_of_orthohash_are_far_apart(kind):
    task = Task(n_classes=16, n_bits=32, multi_label=False)
    centers = ORTHOHASH.make_centers(task, OrthoHashOptions(targets=kind), np.random.default_rng(0)).centers
    least = min(oracles.all_sign_distances(centers.tolist()))
    assert least >= (16 if kind == "csq" else math.ceil(0.2 * 32))


@pytest.mark.parametrize(("n_classes", "n_bits"), [(10, 12), (20, 16), (100, 16), (30, 48)])
def test_centers_of_mds_keep_the_published_distance(n_classes, n_bits):
    task = Task(n_classes=n_classes, n_bits=n_bits, multi_label=False)
    centers = MDS.make_centers(task, MDS.options, np.random.default_rng(0)).centers
    assert min(oracles.all_sign_distances(centers.tolist())) >= oracles.gilbert_varshamov(n_classes, n_bits)


@pytest.mark.parametrize(("n_classes", "distances"), [
    (100, (4, 10, 24)), (196, (4, 10, 23)), (200, (4, 10, 23)), (555, (3, 9, 21)),
])  # fmt: skip
def test_distances_of_table_3_of_shc(n_classes, distances):
    for n_bits, expected in zip((16, 32, 64), distances, strict=True):
        assert oracles.gilbert_varshamov(n_classes, n_bits) == expected
        assert gilbert_varshamov_distance(n_classes, n_bits) == expected


@pytest.mark.parametrize(("make", "match"), [
    (lambda: OrthoHashOptions(scale=0), "scale must be a number above 0, not 0: a scale of 0 would make"),
    (lambda: OrthoHashOptions(targets="hadamard"), "targets must be one of bernoulli, maxhd, csq, not 'hadamard'"),
    (lambda: MDSOptions(scale=0.0), r"scale must be a number above 0, not 0\.0: a scale of 0 would make"),
    (lambda: MDSOptions(pair_after=2), "pair_weight is 0, so pair_after would do nothing: leave it out"),
    (lambda: SHCMethodOptions(centers="distance", effort=2), "centers 'distance' are not searched, so effort would"),
    (lambda: SHCMethodOptions(centers="paper", effort=0.5), "centers 'paper' are not searched, so effort would"),
    (lambda: SHCMethodOptions(centers="distance", similarity="prototypes"), "follow no similarity, so similarity"),
    (lambda: SHCMethodOptions(similarity="prototypes", order="released"), "need no classifier, so order would do"),
    (lambda: HCLMOptions(assignment="random", similarity="features"), "assigned at random, so similarity would do"),
    (lambda: HCLMOptions(triplet_margin=9), "triplet_weight is 0, so triplet_margin would do nothing"),
    (lambda: MLHOptions(active=1), "there are no experts, so active would do nothing"),
    (lambda: ICSOptions(weights="equal", entropy_weight=2), "all labels count alike, so entropy_weight would do"),
    (lambda: MDSOptions(pair_after=1.5), r"pair_after must be a whole number of at least 0, not 1\.5"),
])  # fmt: skip
def test_options_that_make_no_sense_are_refused(make, match):
    with pytest.raises(InputError, match=match):
        make()


def test_more_classes_than_words():
    task = Task(n_classes=9, n_bits=3, multi_label=False)
    with pytest.raises(InputError, match="9 classes need 9 distinct words, but 3 bits have only 8"):
        MDS.make_centers(task, MDS.options, np.random.default_rng(0))
    assert ORTHOHASH.make_centers(task, ORTHOHASH.options, np.random.default_rng(0)).centers.shape == (9, 3)
