"""SSLH: codes of training images found bit by bit from labels and features, then a ridge regression to them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nearbit.centers import Generator
from nearbit.methods.baseline import Baseline, Fitted
from nearbit.methods.closed_form.projections import Matrix, unit_features
from nearbit.methods.closed_form.ridge import ridge_map
from nearbit.methods.method import TrainingImages, check_number


@dataclass(frozen=True, kw_only=True)
class SSLHOptions:
    """Options of SSLH; but for the regularization, the defaults are those of the released code.

    Attributes:
        width: of the correntropy: an image whose labels are this far from what its code says counts 1/e.
        ridge: of the maps from codes to labels and to features.
        feature_weight: how much codes are to be what the map from features says.
        reconstruction_weight: how much codes are to say of the features.
        correlation_weight: how much pairs of bits of an image are to differ.
        regularization: of the map from features, relative to the mean square of the features' length.
        iterations: how often codes and maps are found in turn.
        sweeps: how often each time over all bits.
    """

    width: float = 2.0
    ridge: float = 1e-4
    feature_weight: float = 1e-4
    reconstruction_weight: float = 1e-4
    correlation_weight: float = 1e-4
    regularization: float = 1.0
    iterations: int = 6
    sweeps: int = 10

    def __post_init__(self) -> None:
        for name in ("feature_weight", "reconstruction_weight", "correlation_weight"):
            check_number(name, getattr(self, name))
        for name in ("width", "ridge", "regularization"):
            check_number(name, getattr(self, name), is_positive=True)
        check_number("iterations", self.iterations, at_least=1, whole=True)
        check_number("sweeps", self.sweeps, at_least=1, whole=True)


class Maps(NamedTuple):
    """What is found from codes B: float64.

    Attributes:
        words: `(n_bits, n_classes)`: W, from codes to labels.
        directions: `(feature_dim, n_bits)`: P, from features to codes.
        pictures: `(feature_dim, n_bits)`: U, B Uᵀ is near to the features.
        shares: `(n,)`: D, how much the labels of each image count.
    """

    words: Matrix
    directions: Matrix
    pictures: Matrix
    shares: Matrix


def maps_of(codes: Matrix, labels: Matrix, features: Matrix, shares: Matrix, options: SSLHOptions) -> Maps:
    """Return the maps that are best for codes: B `(n, n_bits)`, Y `(n, n_classes)`, X `(n, feature_dim)`."""
    penalty = options.ridge * np.eye(codes.shape[1])
    weighted = codes.T * shares
    words: Matrix = np.asarray(np.linalg.solve(weighted @ codes + penalty, weighted @ labels), np.float64)
    pictures: Matrix = np.asarray(np.linalg.solve(codes.T @ codes + penalty, codes.T @ features).T, np.float64)
    distances = np.square(labels - codes @ words).sum(axis=1)
    return Maps(
        words, ridge_map(features, codes, options.regularization), pictures, np.exp(-distances / options.width**2)
    )


def swept_codes(codes: Matrix, labels: Matrix, features: Matrix, maps: Maps, options: SSLHOptions) -> Matrix:
    """Return codes after sweeps over the bits, each of them the best for all others: float64 `(n, n_bits)`.

    Of Σ D_i |y_i - b_i W|² + v |B - X P|² + γ |X - B Uᵀ|² + θ Σ_{m ≠ l} b_m · b_l, which never grows; the maps stay.
    """
    codes = codes.copy()
    reconstruction, correlation = options.reconstruction_weight, options.correlation_weight
    wish = maps.shares[:, None] * (labels @ maps.words.T)
    wish += options.feature_weight * (features @ maps.directions) + reconstruction * (features @ maps.pictures)
    words, pictures = maps.words @ maps.words.T, maps.pictures.T @ maps.pictures
    others = reconstruction * pictures + correlation
    for _ in range(options.sweeps):
        before = codes.copy()
        for bit in range(codes.shape[1]):
            of_words, of_others = words[:, bit].copy(), others[:, bit].copy()
            of_words[bit] = of_others[bit] = 0
            value = wish[:, bit] - maps.shares * (codes @ of_words) - codes @ of_others
            codes[:, bit] = np.where(value == 0, codes[:, bit], np.sign(value))
        if np.array_equal(before, codes):
            break
    return codes


def label_codes(labels: Matrix, features: Matrix, n_bits: int, options: SSLHOptions, rng: Generator) -> Matrix:
    """Return the codes of training images, from random ones: float64 `(n, n_bits)` of -1 and +1.

    Source: SSLH (Liu et al., IJCAI 2019), the consistent form of what a released toolkit computes; labels are less
    their mean.

    Args:
        labels: float64 `(n, n_classes)`: 0 or 1.
        features: float64 `(n, feature_dim)`, of mean 0.
        n_bits: columns of the result.
        options: weights and rounds.
        rng: source of the first codes.
    """
    centered = labels - labels.mean(axis=0)
    codes = rng.choice([-1.0, 1.0], (len(labels), n_bits))
    maps = maps_of(codes, centered, features, np.ones(len(labels)), options)
    for _ in range(options.iterations):
        codes = swept_codes(codes, centered, features, maps, options)
        maps = maps_of(codes, centered, features, maps.shares, options)
    return codes


def _fit(images: TrainingImages, n_bits: int, options: SSLHOptions, rng: Generator) -> Fitted:
    unit = unit_features(images.features())
    codes = label_codes(images.labels.astype(np.float64), unit.centered, n_bits, options, rng)
    return Fitted(unit.head(ridge_map(unit.centered, codes - codes.mean(axis=0), options.regularization)))


SSLH = Baseline(
    name="sslh",
    title="SSLH: codes found bit by bit from labels and features, and a ridge regression to them",
    citation="Liu et al., Supervised Short-Length Hashing, IJCAI 2019",
    options=SSLHOptions(),
    fit=_fit,
    needs_labels=True,
)
