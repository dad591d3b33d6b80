"""SHC: similarity, centers and loss against oracles written from the equations; ablations; options."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import oracles
from nearbit.centers import semantic_loss, similarity_correlation
from nearbit.errors import InputError
from nearbit.methods import SHC, SHCMethodOptions, Targets, Task

TASK = Task(n_classes=12, n_bits=16, multi_label=False)


class Images:
    """Training images of 12 classes in a ring, each like its neighbors; what is asked for is noted."""

    def __init__(self, n_classes=12, per_class=4):
        rng = np.random.default_rng(5)
        self.numbers = np.repeat(np.arange(n_classes), per_class)
        self.labels = self.numbers[:, None] == np.arange(n_classes)
        around = np.abs(self.numbers[:, None] - np.arange(n_classes))
        apart = np.minimum(around, n_classes - around)
        self._logits = (6.0 - 2 * apart + rng.normal(0, 0.5, apart.shape)).astype(np.float32)
        angles = 2 * np.pi * self.numbers / n_classes
        self._features = np.stack([np.cos(angles), np.sin(angles), np.ones(len(angles))], axis=1).astype(np.float32)
        self.asked = []

    def logits(self, epochs):
        self.asked.append(("logits", epochs))
        return self._logits

    def features(self):
        self.asked.append("features")
        return self._features


def similarity_of(images, **given):
    return SHC.similarity(images, TASK, SHCMethodOptions(**given))


def centers_of(similarity, **given):
    task = replace(TASK, similarity=similarity)
    return SHC.make_centers(task, SHCMethodOptions(**given), np.random.default_rng(0)).centers


def test_similarity_is_that_of_the_papers_equations():
    images = Images()
    expected = oracles.shc_similarity(images._logits.astype(float).tolist(), images.numbers.tolist(), 12)
    assert np.allclose(similarity_of(images), expected, atol=1e-12)
    assert images.asked == [("logits", None)]
    assert similarity_of(images, classifier_epochs=7) is not None
    assert images.asked[-1] == ("logits", 7)


def test_the_released_order_is_another_similarity_and_prototypes_ask_for_features():
    images = Images()
    paper, released = similarity_of(images), similarity_of(images, order="released")
    assert not np.allclose(paper, released)
    images.asked.clear()
    prototypes = similarity_of(images, similarity="prototypes")
    assert images.asked == ["features"]
    assert prototypes[0, 1] > prototypes[0, 6]


def test_the_ablation_without_semantics_asks_for_nothing_and_two_classes_have_nothing_to_tell():
    images = Images()
    assert similarity_of(images, centers="distance") is None
    two = SHC.similarity(images, Task(n_classes=2, n_bits=8, multi_label=False), SHC.options)
    assert two.tolist() == [[1, -1], [-1, 1]]
    assert images.asked == []


def test_centers_follow_the_similarity_and_keep_the_published_distance():
    similarity = similarity_of(Images())
    found = centers_of(similarity)
    assert min(oracles.all_sign_distances(found.tolist())) >= oracles.gilbert_varshamov(12, 16)
    mds = centers_of(None, centers="distance")
    assert semantic_loss(found, similarity) < 0.6 * semantic_loss(mds, similarity)
    assert similarity_correlation(found, similarity) > 0.75  # .85 to .89 by seed, beside .47 times the loss
    assert min(oracles.all_sign_distances(mds.tolist())) >= oracles.gilbert_varshamov(12, 16)


def test_without_the_distance_the_semantic_loss_is_smaller():
    similarity = similarity_of(Images())
    both, semantics = centers_of(similarity), centers_of(similarity, centers="semantics")
    assert semantic_loss(semantics, similarity) < semantic_loss(both, similarity)
    assert min(oracles.all_sign_distances(semantics.tolist())) >= 1
    far = centers_of(similarity, min_distance=6)
    assert min(oracles.all_sign_distances(far.tolist())) >= 6


def test_the_published_procedures_as_printed_and_as_released():
    similarity = similarity_of(Images())
    mds = centers_of(similarity, centers="distance")
    released = centers_of(similarity, centers="released")
    assert semantic_loss(released, similarity) < semantic_loss(mds, similarity)
    assert min(oracles.all_sign_distances(released.tolist())) >= oracles.gilbert_varshamov(12, 16)
    assert centers_of(similarity, centers="paper").shape == (12, 16)


@pytest.mark.parametrize("multi_label", [False, True])
def test_loss_is_central_similarity_plus_weighted_quantization(multi_label):
    task = replace(TASK, multi_label=multi_label)
    rng = np.random.default_rng(3)
    centers, tie = rng.choice([-1, 1], (12, 16)), rng.choice([-1, 1], 16)
    labels = np.eye(12)[:6]
    if multi_label:
        labels[:, 11] = 1
    outputs = rng.normal(0, 1, (6, 16))
    targets = Targets(torch.tensor(centers).double(), torch.tensor(tie).double())
    found = SHC.loss(torch.tensor(outputs), torch.tensor(labels), targets, task, SHC.options).item()
    centroids = [oracles.centroid(row, centers.tolist(), tie.tolist()) for row in labels.tolist()]
    expected = oracles.central_similarity(outputs, centroids) + 1e-4 * oracles.quantization(outputs)
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_papers_defaults():
    options, schedule = SHC.options, SHC.schedules["fine-tuned"]
    assert (options.quantization_weight, options.similarity, options.order) == (1e-4, "classifier", "paper")
    assert (options.centers, options.min_distance) == ("search", None)
    assert (schedule.epochs, schedule.batch_size, schedule.learning_rate) == (300, 64, 1e-4)


@pytest.mark.parametrize(("given", "match"), [
    ({"similarity": "names"}, "similarity must be one of classifier, prototypes, not 'names'"),
    ({"order": "mine"}, "order must be one of paper, released, not 'mine'"),
    ({"centers": "mds"}, "centers must be one of search, paper, released, distance, semantics, not 'mds'"),
    ({"effort": 0}, "effort must be a number above 0, not 0: it multiplies"),
    ({"min_distance": 0}, "min_distance must be a whole number of at least 1, not 0"),
    ({"classifier_epochs": 1.5}, r"classifier_epochs must be a whole number of at least 1, not 1\.5"),
    ({"centers": "semantics", "min_distance": 3}, "centers 'semantics' take no min_distance"),
])  # fmt: skip
def test_options_that_make_no_sense_are_refused(given, match):
    with pytest.raises(InputError, match=match):
        SHC.with_options(given)


def test_without_a_similarity_there_are_no_centers():
    with pytest.raises(InputError, match="follow a similarity of classes: give one"):
        centers_of(None)


def test_a_distance_that_no_centers_have_is_refused():
    with pytest.raises(InputError, match="cannot have a minimum distance of 15"):
        centers_of(similarity_of(Images()), min_distance=15)


@pytest.mark.parametrize("centers", ["paper", "released"])
def test_the_published_procedure_starts_no_nearer_than_asked(centers):
    options = replace(SHC.options, centers=centers, min_distance=15)
    task = replace(TASK, similarity=similarity_of(Images()))
    with pytest.raises(InputError, match="proven"):
        SHC.make_centers(task, options, np.random.default_rng(0))
