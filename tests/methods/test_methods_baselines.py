"""Baselines: projections and the label code against what the equations say, and what needs no labels."""

from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import oracles
from nearbit.errors import InputError
from nearbit.methods import BASELINES, ITQ, LABEL, PCA, RANDOM, RIDGE, Baseline, find_method
from nearbit.methods.closed_form.projections import iterative_quantization, principal_directions, projection_towards
from nearbit.methods.closed_form.ridge import _leverage
from nearbit.methods.method import options_text
from nearbit.networks import Head


class Images:
    """Features of three kinds of images, and a classifier that knows them by their first three features."""

    def __init__(self, n=60, width=10, *, labels=True):
        rng = np.random.default_rng(1)
        self.numbers = np.arange(n) % 3
        self._features = rng.normal(0, 1, (n, width)).astype(np.float32) * np.linspace(3, 1, width, dtype=np.float32)
        self._features[np.arange(n), self.numbers] += 20
        self.labels = self.numbers[:, None] == np.arange(3) if labels else np.zeros((n, 0), np.bool_)

    def features(self):
        return self._features

    def classifier(self, epochs):
        head = Head(self._features.shape[1], 3, "linear")
        head.feature_mean[0], head.feature_std[1] = 100, 0.01  # so that weights and bias alone say something else
        weights = torch.eye(3, self._features.shape[1])
        weights[1, 1] = 0.01
        head.layers[0].load_state_dict({"weight": weights, "bias": torch.tensor([100.0, 0, 0])})
        return head


def outputs_of(baseline, images, n_bits, seed=0, **options):
    fitted = baseline.fit(images, n_bits, baseline.with_options(options), np.random.default_rng(seed))
    with torch.no_grad():
        return fitted.head.eval()(torch.from_numpy(images.features())).numpy()


@pytest.mark.parametrize("name", BASELINES)
def test_what_a_baseline_says_of_itself(name):
    baseline = find_method(name)
    assert isinstance(baseline, Baseline)
    assert baseline.name == name == name.lower()
    assert any(character.isdigit() for character in baseline.citation)
    assert baseline.with_options(None) == baseline.options
    with pytest.raises(InputError, match=f"{name} has no option 'margin'"):
        baseline.with_options({"margin": 1})
    for option in fields(baseline.options):
        whole = isinstance(option.default, int)
        bad = 0 if whole and option.default else -1
        least = f"{'whole ' if whole else ''}number (of at least {bad + 1}|above 0), not {bad}"
        with pytest.raises(InputError, match=f"{option.name} must be a {least}"):
            baseline.with_options({option.name: bad})


@pytest.mark.parametrize("name", [name for name, baseline in BASELINES.items() if not baseline.needs_labels])
def test_projections_need_no_labels_and_a_seed_decides_them(name):
    outputs = outputs_of(BASELINES[name], Images(labels=False), 6)
    assert outputs.shape == (60, 6)
    assert np.isfinite(outputs).all()
    assert np.abs(outputs.mean(axis=0)).max() < 1e-4  # the mean image lies in the middle
    assert np.array_equal(outputs, outputs_of(BASELINES[name], Images(labels=True), 6))
    other = outputs_of(BASELINES[name], Images(labels=False), 6, seed=1)
    assert np.array_equal(outputs, other) == (name == "pca")


def test_pca_finds_uncorrelated_directions_of_falling_variance():
    outputs = outputs_of(PCA, Images(), 10).astype(float)
    covariance = np.cov(outputs.T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3 * covariance.max()
    values, _ = np.linalg.eig(np.cov(Images().features().astype(float).T))
    assert np.allclose(np.diag(covariance), sorted(values.real, reverse=True), rtol=1e-4)


def test_directions_are_unique_up_to_nothing():
    centered = Images().features().astype(float)
    centered -= centered.mean(axis=0)
    found = principal_directions(centered, 4)
    assert (found[np.abs(found).argmax(axis=0), np.arange(4)] > 0).all()
    assert np.allclose(found, principal_directions(centered[::-1], 4))


@pytest.mark.parametrize(("n", "width", "n_bits", "rank"), [(60, 10, 11, 10), (5, 10, 5, 4), (4, 3, 64, 3)])
def test_more_bits_than_directions_are_refused_with_a_way_out(n, width, n_bits, rank):
    with pytest.raises(InputError, match=f"vary in {rank} directions, and {n_bits} bits .*take fewer bits, or"):
        outputs_of(ITQ, Images(n, width), n_bits)
    assert outputs_of(RANDOM, Images(n, width), n_bits).shape == (n, n_bits)


def test_itq_by_a_plain_alternation():
    projected = np.random.default_rng(0).normal(0, 1, (40, 4)) * [3, 2, 1, 0.5]
    first, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))
    losses = []
    for rounds in range(6):
        rotation = iterative_quantization(projected, first, rounds)
        assert np.allclose(rotation @ rotation.T, np.eye(4))
        turned = (projected @ rotation).tolist()
        losses.append(sum((abs(value) - 1) ** 2 for row in turned for value in row))  # |B - V R|² at B = sign(V R)
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(losses))
    assert losses[5] < 0.95 * losses[0]
    # the step is the best rotation for its signs: no small turn of it comes nearer to them
    signs = np.where(projected @ first >= 0, 1.0, -1.0)
    best = iterative_quantization(projected, first, 1)
    least = np.square(signs - projected @ best).sum()
    for a in range(4):
        for b in range(a + 1, 4):
            for angle in (-0.05, 0.05):
                turn = np.eye(4)
                turn[[a, b], [a, b]] = np.cos(angle)
                turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
                assert np.square(signs - projected @ best @ turn).sum() > least


def test_a_frame_keeps_distances_with_more_bits_than_directions_and_comes_nearest_to_its_signs():
    images = Images(9, 20)
    with pytest.raises(InputError, match="vary in 8 directions, and 24 bits need at least 9: take fewer bits"):
        outputs_of(ITQ, images, 24, frame_from=9)
    frame, pca = outputs_of(ITQ, images, 24, frame_from=8).astype(float), outputs_of(PCA, images, 8).astype(float)
    assert np.allclose(frame @ frame.T, pca @ pca.T, rtol=1e-4, atol=1e-3 * np.abs(pca).max() ** 2)
    assert np.array_equal(outputs_of(ITQ, images, 8, frame_from=3), outputs_of(ITQ, images, 8)), "a rotation"
    values = np.random.default_rng(0).normal(0, 1, (40, 4))
    first = np.linalg.qr(np.random.default_rng(1).normal(size=(10, 10)))[0][:4]
    losses = []
    for rounds in range(5):
        found = iterative_quantization(values, first, rounds)
        assert np.allclose(found @ found.T, np.eye(4))
        losses.append(sum((abs(value) - 1) ** 2 for row in (values @ found).tolist() for value in row))
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(losses))


def test_itq_keeps_the_distances_of_pca():
    pca, itq = outputs_of(PCA, Images(), 5).astype(float), outputs_of(ITQ, Images(), 5).astype(float)
    assert np.allclose(np.linalg.norm(pca[0] - pca, axis=1), np.linalg.norm(itq[0] - itq, axis=1), rtol=1e-4, atol=1e-3)


def few_images(n=40, width=30, n_classes=8, *, seed=0):
    """Return images of classes that lie in few of many directions, and as many that nothing is fitted to."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(0, 1, (n_classes, width))
    numbers = np.arange(2 * n) % n_classes
    features = (middles[numbers] + rng.normal(0, 0.9, (2 * n, width))).astype(np.float32)
    fitted, unseen = Images(n, width), Images(n, width)
    for images, rows in ((fitted, slice(n)), (unseen, slice(n, None))):
        images.numbers, images._features = numbers[rows], features[rows]
        images.labels = images.numbers[:, None] == np.arange(n_classes)
    return fitted, unseen


def test_the_closed_form_is_a_rotation_beside_the_expected_center_of_a_ridge_regression():
    images, _ = few_images()
    fitted = RIDGE.fit(images, 12, RIDGE.with_options({"rotation_weight": 0.5}), np.random.default_rng(0))
    features = images.features().astype(float)
    centered = features - features.mean(axis=0)
    unit = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    unit -= unit.mean(axis=0)
    targets = images.labels - images.labels.mean(axis=0)
    penalty = (unit**2).sum() / len(unit)
    answers = unit @ np.linalg.inv(unit.T @ unit + penalty * np.eye(30)) @ unit.T @ targets
    posteriors = np.exp(40 * answers)
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    with torch.no_grad():
        own = fitted.head.own_outputs(torch.from_numpy(images.features())).numpy()
        found = fitted.head.eval()(torch.from_numpy(images.features())).numpy()
    np.testing.assert_allclose(found, np.tanh(own) + posteriors @ fitted.centers, atol=1e-3)
    for number, word in enumerate(fitted.centers):
        mean = own[images.numbers == number].mean(axis=0)
        assert (np.where(mean >= 0, 1, -1) == word)[np.abs(mean) > 1e-4].all()


def test_a_projection_is_a_turn_of_principal_components_towards_given_signs():
    images, unseen = few_images(n=200, width=12, n_classes=8)
    wanted = np.where(np.random.default_rng(5).normal(size=(12, 4)).T @ images.features().T >= 0, 1, -1).T
    head = projection_towards(images.features(), wanted.astype(np.int8))
    with torch.no_grad():
        outputs = head(torch.from_numpy(images.features())).numpy().astype(float)
        others = head(torch.from_numpy(unseen.features())).numpy()
    assert np.abs(outputs).mean() == pytest.approx(1, abs=1e-5)
    assert (np.sign(outputs) == wanted).mean() > 0.6
    weights = head.layers[0].weight.detach().numpy().astype(float)
    assert np.allclose(weights @ weights.T, weights[0] @ weights[0] * np.eye(4), atol=1e-4 * (weights**2).sum())
    features = images.features().astype(float)
    unit = unseen.features() - features.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    assert np.allclose(others[0] - others[1], (unit[0] - unit[1]) @ weights.T, atol=1e-4)


def test_there_is_no_projection_to_more_bits_than_directions():
    images, _ = few_images(n=200, width=12)
    for n_bits, found in ((4, True), (12, False), (40, False)):
        signs = np.ones((200, n_bits), np.int8)
        assert (projection_towards(images.features(), signs) is not None) == found
    flat = np.repeat(images.features()[:3], 60, axis=0)
    assert projection_towards(flat, np.ones((180, 4), np.int8)) is None


def test_an_image_left_out_is_answered_as_by_a_regression_without_it():
    rng = np.random.default_rng(0)
    for n, width in ((12, 5), (6, 20)):
        rows, targets = rng.normal(size=(n, width)), rng.normal(size=(n, 2))
        rows -= rows.mean(axis=0)
        penalty = (rows**2).sum() / n
        own = _leverage(rows, 1.0)
        for left in range(n):
            rest = np.arange(n) != left
            # a regression with a mean of its own: X of the others less their mean, and the same penalty
            near, wanted = rows[rest] - rows[rest].mean(axis=0), targets[rest] - targets[rest].mean(axis=0)
            weights = np.linalg.solve(near.T @ near + penalty * np.eye(width), near.T @ wanted)
            without = (rows[left] - rows[rest].mean(axis=0)) @ weights + targets[rest].mean(axis=0)
            centered = targets - targets.mean(axis=0)
            answer = rows @ np.linalg.solve(rows.T @ rows + penalty * np.eye(width), rows.T @ centered)
            found = (answer[left] - own[left] * centered[left]) / (1 - own[left]) + targets.mean(axis=0)
            np.testing.assert_allclose(found, without, atol=1e-8)


def test_few_images_are_found_better_by_the_closed_form_than_by_itq():
    images, unseen = few_images(n=32, width=60, n_classes=16)
    found = {}
    for baseline in (RIDGE, ITQ):
        fitted = baseline.fit(images, 12, baseline.options, np.random.default_rng(0))
        with torch.no_grad():
            signs = np.sign(fitted.head.eval()(torch.from_numpy(unseen.features())).numpy())
        products = signs @ signs.T
        same = unseen.numbers[:, None] == unseen.numbers
        beside = ~np.eye(len(signs), dtype=bool)
        found[baseline.name] = products[same & beside].mean() - products[~same].mean()
    assert found["ridge"] > 1.2 * found["itq"]


def test_the_closed_form_works_with_several_labels():
    images, _ = few_images()
    images.labels = images.labels | (np.arange(40)[:, None] % 3 == np.arange(8))
    outputs = outputs_of(RIDGE, images, 12)
    assert np.isfinite(outputs).all()


def test_the_label_code_is_the_word_of_the_class_that_the_classifier_says():
    images = Images()
    fitted = LABEL.fit(images, 12, LABEL.options, np.random.default_rng(0))
    outputs = outputs_of(LABEL, images, 12)
    assert np.array_equal(outputs, fitted.centers[images.numbers])
    assert min(oracles.all_sign_distances(fitted.centers.tolist())) >= 8  # three words of 12 bits, as far as can be


def test_the_label_code_needs_a_word_for_each_class():
    with pytest.raises(InputError, match="3 classes need 3 distinct words, but 1 bits have only 2"):
        outputs_of(LABEL, Images(), 1)


def test_every_baseline_stands_on_the_page_of_baselines():
    page = (Path(__file__).parents[2] / "docs" / "methods" / "baselines.md").read_text(encoding="utf-8")
    for name, baseline in BASELINES.items():
        assert f"`{name}`" in page
        assert [option.name for option in fields(baseline.options) if f"`{option.name}`" not in page] == []


def test_a_later_option_at_its_default_leaves_the_names_of_runs_as_they_were():
    assert options_text(ITQ.options) == "ITQOptions(iterations=50)"
    assert options_text(replace(ITQ.options, frame_from=16)) == "ITQOptions(iterations=50, frame_from=16)"
    assert options_text(RANDOM.options) == repr(RANDOM.options)
