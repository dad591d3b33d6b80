"""RSLH and SSLH: each step by the objective it is of, products without the large matrix, codes that find classes."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from nearbit.centers import polar_factor
from nearbit.errors import InputError
from nearbit.methods import RSLH, SSLH, RSLHOptions, SSLHOptions
from nearbit.methods.closed_form.rslh import fused, label_words, similarity_product
from nearbit.methods.closed_form.sslh import label_codes, maps_of, swept_codes


def labels_of(n=30, n_classes=4, *, several=False):
    labels = np.eye(n_classes)[np.arange(n) % n_classes]
    if several:
        labels[::3, 1] = 1
    return labels


class Blobs:
    """Images of classes that lie apart, so that a linear map can tell them."""

    def __init__(self, n=120, n_classes=6, width=20, *, several=False, seed=0):
        rng = np.random.default_rng(seed)
        self.labels = labels_of(n, n_classes, several=several).astype(bool)
        middles = rng.normal(0, 2, (n_classes, width))
        self._features = (self.labels @ middles + rng.normal(0, 0.5, (n, width))).astype(np.float32)

    def features(self):
        return self._features


@pytest.mark.parametrize("several", [False, True])
def test_products_with_the_similarity_are_those_of_the_dense_matrix(several):
    labels = labels_of(several=several)
    codes = np.random.default_rng(0).normal(size=(30, 5))
    dense = [[1 if any(a and b for a, b in zip(x, y, strict=True)) else -1 for y in labels] for x in labels]
    np.testing.assert_allclose(similarity_product(codes, labels), np.array(dense) @ codes, atol=1e-10)


def rslh_objective(binary, real, words, labels, options):
    wish = labels @ words
    related = np.where(labels @ labels.T > 0, 1.0, -1.0)
    return (
        options.label_weight * np.square(binary - wish).sum()
        + np.square(real - wish).sum()
        + np.square(words).sum()
        - 2 * options.similarity_weight * np.trace(binary.T @ related @ real)
        + options.agreement_weight * np.square(binary - real).sum()
    )


def test_no_step_of_rslh_makes_its_objective_larger():
    labels, options = labels_of(40, 5), RSLHOptions(similarity_weight=0.02, agreement_weight=0.5)
    rng = np.random.default_rng(0)
    binary, words = rng.choice([-1.0, 1.0], (40, 6)), rng.normal(size=(5, 6))
    related = np.where(labels @ labels.T > 0, 1.0, -1.0)
    values = []
    for _ in range(5):
        real = polar_factor(labels @ words + (0.02 * related + 0.5 * np.eye(40)) @ binary)
        values.append(rslh_objective(binary, real, words, labels, options))
        wish = 7 * labels @ words + (0.02 * related + 0.5 * np.eye(40)) @ real
        binary = np.where(wish >= 0, 1.0, -1.0)
        values.append(rslh_objective(binary, real, words, labels, options))
        words = np.linalg.inv(8 * labels.T @ labels + np.eye(5)) @ labels.T @ (7 * binary + real)
        values.append(rslh_objective(binary, real, words, labels, options))
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(values))
    assert values[-1] < values[0]


def test_one_round_of_rslh_by_its_formulas():
    labels, options = labels_of(24, 3), RSLHOptions(similarity_weight=0.02, agreement_weight=0.5, iterations=1)
    rng = np.random.default_rng(4)
    binary, words = rng.choice([-1.0, 1.0], (24, 2)), rng.standard_normal((3, 2))
    related = np.where(labels @ labels.T > 0, 1.0, -1.0)
    left, _, right = np.linalg.svd(labels @ words + 0.02 * related @ binary + 0.5 * binary, full_matrices=False)
    real = left @ right
    expected = np.where(7 * labels @ words + 0.02 * related @ real + 0.5 * real >= 0, 1, -1)
    sizes = [int(number) for number in labels.sum(axis=0)]
    found = label_words(labels, 2, options, np.random.default_rng(4))
    assert np.array_equal(found[0], expected)
    for c, size in enumerate(sizes):
        total = sum(7 * expected[i] + real[i] for i in range(24) if labels[i, c])
        np.testing.assert_allclose(found[1][c], total / (8 * size + 1), rtol=1e-10)


@pytest.mark.parametrize("shape", [(30, 4), (4, 4)])
def test_real_codes_of_rslh_have_uncorrelated_bits(shape):
    found = polar_factor(np.random.default_rng(0).normal(size=shape))
    assert np.allclose(found.T @ found, np.eye(4))
    flat = polar_factor(np.outer(np.arange(1.0, 4), [3.0, 4.0]))
    assert np.allclose(flat, np.outer(np.arange(1, 4) / math.sqrt(14), [0.6, 0.8]))


@pytest.mark.parametrize("several", [False, True])
def test_codes_of_rslh_depend_on_labels_alone_and_part_the_classes(several):
    labels = labels_of(60, 6, several=several)
    codes, words = label_words(labels, 12, RSLHOptions(), np.random.default_rng(0))
    assert set(np.unique(codes)) == {-1, 1}
    for row in np.unique(labels, axis=0):
        assert len(np.unique(codes[(labels == row).all(axis=1)], axis=0)) == 1
    assert len(np.unique(np.sign(words), axis=0)) == 6


def test_runs_are_fused_by_a_vote_whatever_the_order_and_the_sign_of_their_bits():
    rng = np.random.default_rng(0)
    first = rng.choice([-1.0, 1.0], (50, 4))
    turned = first[:, [2, 0, 3, 1]] * [1, -1, -1, 1]
    assert np.array_equal(fused([first, turned]), first)
    noisy = first.copy()
    noisy[0] *= -1
    assert np.array_equal(fused([noisy, turned, first]), first)
    assert np.array_equal(fused([first]), first)
    assert np.array_equal(fused([noisy, first]), noisy)  # even votes


def sslh_objective(codes, labels, features, maps, options):
    b_sum = sum(float(codes[:, m] @ codes[:, other]) for m in range(4) for other in range(4) if m != other)
    return (
        (maps.shares * np.square(labels - codes @ maps.words).sum(axis=1)).sum()
        + options.feature_weight * np.square(codes - features @ maps.directions).sum()
        + options.reconstruction_weight * np.square(features - codes @ maps.pictures.T).sum()
        + options.correlation_weight * b_sum
    )


def test_no_sweep_of_sslh_makes_its_objective_larger_and_it_ends_where_no_bit_gains():
    images = Blobs(40, 4, 6)
    labels, features = images.labels - images.labels.mean(axis=0), images.features().astype(float)
    features -= features.mean(axis=0)
    options = SSLHOptions(feature_weight=0.2, reconstruction_weight=0.05, correlation_weight=0.01, sweeps=1)
    codes = np.random.default_rng(1).choice([-1.0, 1.0], (40, 4))
    maps = maps_of(codes, labels, features, np.ones(40), options)
    values = [sslh_objective(codes, labels, features, maps, options)]
    for _ in range(4):
        codes = swept_codes(codes, labels, features, maps, options)
        values.append(sslh_objective(codes, labels, features, maps, options))
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(values))
    assert values[-1] < values[0]
    settled = swept_codes(codes, labels, features, maps, SSLHOptions(**{**vars(options), "sweeps": 50}))
    least = sslh_objective(settled, labels, features, maps, options)
    for bit in range(4):
        other = settled.copy()
        other[:, bit] *= -1
        assert sslh_objective(other, labels, features, maps, options) >= least - 1e-9


def test_maps_of_sslh_are_the_best_for_codes():
    images = Blobs(40, 4, 6)
    labels, features = images.labels.astype(float), images.features().astype(float)
    features -= features.mean(axis=0)
    codes = np.random.default_rng(1).choice([-1.0, 1.0], (40, 3))
    shares = np.random.default_rng(2).uniform(0.1, 1, 40)
    options = SSLHOptions(ridge=0.5, width=3.0)
    maps = maps_of(codes, labels, features, shares, options)

    def of_labels(words):
        return (shares * np.square(labels - codes @ words).sum(axis=1)).sum() + 0.5 * np.square(words).sum()

    def of_features(pictures):
        return np.square(features - codes @ pictures.T).sum() + 0.5 * np.square(pictures).sum()

    for seed in range(20):
        step = 0.01 * np.random.default_rng(seed).normal(size=(3, 4))
        assert of_labels(maps.words + step) > of_labels(maps.words)
        step = 0.01 * np.random.default_rng(seed).normal(size=(6, 3))
        assert of_features(maps.pictures + step) > of_features(maps.pictures)
    far = [math.dist(a, b) for a, b in zip(labels, codes @ maps.words, strict=True)]
    np.testing.assert_allclose(maps.shares, [math.exp(-(d**2) / 9) for d in far], rtol=1e-10)


def test_codes_of_sslh_part_the_classes_and_do_not_collapse():
    images = Blobs()
    features = images.features().astype(float)
    codes = label_codes(images.labels.astype(float), features - features.mean(axis=0), 12, SSLHOptions(),
                        np.random.default_rng(0))  # fmt: skip
    means = images.labels.T @ codes / images.labels.sum(axis=0)[:, None]
    assert np.abs(means).mean() > 0.9  # codes of a class agree
    assert len(np.unique(np.sign(means), axis=0)) == 6


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("method", [RSLH, SSLH])
def test_images_find_their_class_by_its_code(method, several):
    images = Blobs(several=several)
    fitted = method.fit(images, 16, method.options, np.random.default_rng(0))
    with torch.no_grad():
        outputs = fitted.head.eval()(torch.from_numpy(images.features())).numpy()
    assert np.isfinite(outputs).all()
    codes = np.where(outputs >= 0, 1, -1)
    products = codes @ codes.T
    np.fill_diagonal(products, -99)
    nearest = products.argmax(axis=1)
    hits = (images.labels & images.labels[nearest]).any(axis=1)
    assert hits.mean() > 0.95
    if method is RSLH and not several:
        assert (codes == fitted.centers[images.labels.argmax(axis=1)]).mean() > 0.85
        assert len(np.unique(fitted.centers, axis=0)) == 6


def test_several_runs_of_rslh_make_a_model_of_the_same_kind():
    images = Blobs()
    fitted = RSLH.fit(images, 8, RSLHOptions(runs=3), np.random.default_rng(0))
    assert fitted.centers.shape == (6, 8)
    assert set(np.unique(fitted.centers)) <= {-1, 1}


@pytest.mark.parametrize(("make", "match"), [
    (lambda: RSLHOptions(label_weight=0), "label_weight must be a number above 0"),
    (lambda: RSLHOptions(runs=0), "runs must be a whole number of at least 1, not 0"),
    (lambda: SSLHOptions(width=0), "width must be a number above 0"),
    (lambda: SSLHOptions(sweeps=1.5), r"sweeps must be a whole number of at least 1, not 1\.5"),
])  # fmt: skip
def test_options_that_make_no_sense_are_refused(make, match):
    with pytest.raises(InputError, match=match):
        make()
