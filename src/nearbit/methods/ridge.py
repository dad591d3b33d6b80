"""Ridge-ITQ: what a ridge regression says of the classes, beside the features themselves, rotated to signs."""

from dataclasses import dataclass

import numpy as np

from nearbit.centers import Generator
from nearbit.errors import InputError
from nearbit.methods.baseline import Baseline, Fitted
from nearbit.methods.method import TrainingImages, check_number
from nearbit.methods.projections import Matrix, iterative_quantization, linear_head

FEW_IMAGES = 10
"""Training images a class below which a hash network overfits."""


@dataclass(frozen=True, kw_only=True)
class RidgeOptions:
    """Options of Ridge-ITQ.

    Attributes:
        regularization: of the regression, relative to the mean square of the features' length.
        feature_weight: size of the features beside the regression's answers, both scaled to one mean square length.
        whitening: the power of the inverse singular values by which principal components are scaled before the
            rotation: 0 leaves them as they are, 1 makes them equally large.
        iterations: of ITQ.
    """

    regularization: float = 1.0
    feature_weight: float = 2.0
    whitening: float = 0.25
    iterations: int = 50

    def __post_init__(self) -> None:
        for name in ("regularization", "feature_weight", "whitening"):
            check_number(name, getattr(self, name))
        check_number("iterations", self.iterations, at_least=1, whole=True)
        if self.regularization == 0:
            raise InputError("regularization must be above 0: a regression on few images has no other bound")


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


def _fit(images: TrainingImages, n_bits: int, options: RidgeOptions, rng: Generator) -> Fitted:
    features = images.features().astype(np.float64)
    mean = features.mean(axis=0)
    centered = features - mean
    shares = images.labels / images.labels.sum(axis=1, keepdims=True)
    regression = ridge_map(centered, shares - shares.mean(axis=0), options.regularization)
    joined = np.hstack([regression / _length(centered @ regression), options.feature_weight * _identity(centered)])
    directions = _components(centered @ joined, n_bits, options.whitening)
    first, _ = np.linalg.qr(rng.standard_normal((n_bits, n_bits)))
    rotation = iterative_quantization(centered @ joined @ directions, first, options.iterations)
    return Fitted(linear_head(mean, joined @ directions @ rotation))


def _identity(centered: Matrix) -> Matrix:
    return np.eye(centered.shape[1]) / _length(centered)


def _length(rows: Matrix) -> float:
    """Return the root of the mean square length of rows."""
    return float(np.sqrt((rows**2).sum() / len(rows)))


def _components(joined: Matrix, n_bits: int, whitening: float) -> Matrix:
    """Return the directions of largest variance, scaled by a power of it: float64 `(width, n_bits)`."""
    gram = joined.T @ joined
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = int((values > 1e-12 * max(float(values[0]), 1e-30)).sum())
    if n_bits > rank:
        raise InputError(
            f"{len(joined)} training images vary in {rank} directions, and {n_bits} bits need as many: "
            "take fewer bits, or another method"
        )
    chosen = vectors[:, :n_bits] * np.where(
        vectors[np.abs(vectors[:, :n_bits]).argmax(axis=0), np.arange(n_bits)] < 0, -1, 1
    )
    return np.asarray(chosen * (values[:n_bits] / values[0]) ** (-whitening / 2))


RIDGE = Baseline(
    name="ridge",
    title="Ridge-ITQ: a ridge regression of the classes beside the features, rotated to signs; for few images a class",
    citation="nearbit; after the supervised form of ITQ, Gong and Lazebnik, CVPR 2011, section 2.3",
    options=RidgeOptions(),
    fit=_fit,
    needs_labels=True,
)
