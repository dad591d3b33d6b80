"""Ridge-ECH: expected centers in closed form, from a ridge regression of the classes.

The regression's answers, beside the features themselves, are rotated to signs; the signs of the classes' means are
centers, so that the expected center of an image and its own rotated answer speak of the same bits, and are added.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from nearbit.centers import Generator
from nearbit.methods.baseline import Baseline, Fitted
from nearbit.methods.closed_form.projections import (
    Matrix,
    iterative_quantization,
    principal_directions,
    unit_features,
    unit_rows,
)
from nearbit.methods.method import TrainingImages, check_number
from nearbit.networks import ExpectedCenter


@dataclass(frozen=True, kw_only=True)
class RidgeOptions:
    """Options of Ridge-ECH.

    Attributes:
        regularization: of the regression, relative to the mean square of the features' length.
        feature_weight: size of the features beside the regression's answers, in what is rotated.
        sharpness: of the posteriors: softmax of so many times the answers, which are between 0 and 1.
        rotation_weight: mean size of the rotated answers beside the expected center, whose size is 1 where one class
            is sure.
        iterations: of ITQ.
    """

    regularization: float = 1.0
    feature_weight: float = 0.5
    sharpness: float = 40.0
    rotation_weight: float = 0.75
    iterations: int = 50

    def __post_init__(self) -> None:
        check_number("feature_weight", self.feature_weight)
        check_number("iterations", self.iterations, at_least=1, whole=True)
        for name in ("regularization", "sharpness", "rotation_weight"):
            check_number(name, getattr(self, name), is_positive=True)


def ridge_map(centered: Matrix, targets: Matrix, regularization: float) -> Matrix:
    """Return W that minimizes |X W - T|² + λ |W|²: float64 `(feature_dim, n_classes)`.

    Args:
        centered: float64 `(n, feature_dim)`: X, of mean 0.
        targets: float64 `(n, n_classes)`: T.
        regularization: λ relative to the mean square length of a row of X.
    """
    n, feature_dim = centered.shape
    penalty = regularization * float(np.vdot(centered, centered)) / n
    if n < feature_dim:
        return np.asarray(centered.T @ np.linalg.solve(centered @ centered.T + penalty * np.eye(n), targets))
    gram = centered.T @ centered + penalty * np.eye(feature_dim)
    return np.asarray(np.linalg.solve(gram, centered.T @ targets))


class _Regression(NamedTuple):
    """What a ridge regression says of training images.

    Attributes:
        weights: float64 `(feature_dim, n_classes)`.
        answers: float64 `(n, n_classes)`: centered features times the weights.
        size: the mean length of the answer for an image that was left out of the regression.
    """

    weights: Matrix
    answers: Matrix
    size: float


def _regression(centered: Matrix, shares: Matrix, regularization: float) -> _Regression:
    targets = shares - shares.mean(axis=0)
    weights = ridge_map(centered, targets, regularization)
    answers = centered @ weights
    own = _leverage(centered, regularization)[:, None]
    left_out = (answers - own * targets) / (1 - own)
    return _Regression(weights, answers, float(np.linalg.norm(left_out, axis=1).mean()))


def _leverage(centered: Matrix, regularization: float) -> Matrix:
    """Return the weight of each row's own target in its answer: float64 `(n,)`, below 1.

    The answer for a row by a regression without it is (answer - leverage · target) / (1 - leverage).
    """
    n, feature_dim = centered.shape
    penalty = regularization * float(np.vdot(centered, centered)) / n
    if n < feature_dim:
        gram = centered @ centered.T
        own = 1 - penalty * np.diagonal(np.linalg.inv(gram + penalty * np.eye(n)))
    else:
        gram = centered.T @ centered
        own = (centered * np.linalg.solve(gram + penalty * np.eye(feature_dim), centered.T).T).sum(axis=1)
    return np.asarray((own + 1 / n).clip(max=1 - 1e-6))


def _fit(images: TrainingImages, n_bits: int, options: RidgeOptions, rng: Generator) -> Fitted:
    unit = unit_features(images.features())
    centered = unit.centered
    shares = images.labels / images.labels.sum(axis=1, keepdims=True)
    found = _regression(centered, shares, options.regularization)
    rotated = _rotated(centered, found, n_bits, options, rng)
    words = np.where(shares.T @ (centered @ rotated) >= 0, 1, -1).astype(np.int8)
    head = unit.head(rotated)
    beside = ExpectedCenter([unit.head(found.weights)], n_bits)
    beside.set_centers(torch.from_numpy(words).float())
    beside.set_mixture(1 / options.sharpness, (1.0, 1.0))
    head.expect(beside)
    return Fitted(head, words)


def _rotated(centered: Matrix, found: _Regression, n_bits: int, options: RidgeOptions, rng: Generator) -> Matrix:
    """Return the map from centered features to the answers beside the features, rotated to signs, at their size."""
    joined = np.hstack([unit_rows(found.answers), options.feature_weight * centered])
    joined -= joined.mean(axis=0)
    directions = principal_directions(joined, n_bits)
    first, _ = np.linalg.qr(rng.standard_normal((n_bits, n_bits)))
    rotation = directions @ iterative_quantization(joined @ directions, first, options.iterations)
    rotation *= options.rotation_weight / np.abs(joined @ rotation).mean()
    both = np.hstack([found.weights / found.size, options.feature_weight * np.eye(centered.shape[1])])
    return np.asarray(both @ rotation)


RIDGE = Baseline(
    name="ridge",
    title="Ridge-ECH: expected centers in closed form, for few images a class",
    citation="nearbit; the rotation is that of ITQ, Gong and Lazebnik, CVPR 2011",
    options=RidgeOptions(),
    fit=_fit,
    needs_labels=True,
)
