"""Codes from the signs of linear projections: principal components, ITQ's rotation of them, and random directions."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from nearbit.centers import Generator
from nearbit.errors import InputError
from nearbit.methods.baseline import Baseline, Fitted
from nearbit.methods.method import LATER, TrainingImages, check_number
from nearbit.networks import Head

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PCAOptions:
    """Principal components have no options."""


@dataclass(frozen=True, kw_only=True)
class RandomOptions:
    """Random directions have no options."""


@dataclass(frozen=True, kw_only=True)
class ITQOptions:
    """Options of ITQ.

    Attributes:
        iterations: how often signs and rotation are found in turn; 50 in the paper.
        frame_from: features that vary in fewer directions than there are bits, but in so many at least, are given a
            frame in the place of the rotation; 0: more bits than directions are an error.
    """

    iterations: int = 50
    frame_from: int = field(default=0, metadata=LATER)

    def __post_init__(self) -> None:
        check_number("iterations", self.iterations, at_least=1, whole=True)
        check_number("frame_from", self.frame_from, at_least=0, whole=True)


class TooFewDirectionsError(InputError):
    """Features vary in fewer directions than there are bits."""


def principal_directions(centered: Matrix, n_bits: int, fewest: int = 0) -> Matrix:
    """Return the directions of largest variance: float64 `(feature_dim, n_bits)`, orthonormal columns.

    The entry of each column that is largest in absolute value is positive, so that the result is unique (but for
    equal variances).

    Args:
        centered: float64 `(n, feature_dim)`: features less their mean.
        n_bits: how many directions.
        fewest: above 0, all directions are returned where there are fewer than n_bits, but so many at least.

    Raises:
        TooFewDirectionsError: the features vary in fewer directions than that.
    """
    wide = len(centered) < centered.shape[1]
    squares, vectors = np.linalg.eigh(centered @ centered.T if wide else centered.T @ centered)
    values = np.sqrt(squares[::-1].clip(min=0))
    rank = int((values > 1e-6 * max(float(values[0]), 1e-30)).sum())
    if rank < (min(n_bits, fewest) or n_bits):
        raise TooFewDirectionsError(
            f"{len(centered)} training images of {centered.shape[1]} features vary in {rank} directions, and {n_bits} "
            f"bits need {f'at least {fewest}' if fewest else 'as many'}: take fewer bits, or the method random"
        )
    n_bits = min(n_bits, rank)
    first = vectors[:, ::-1][:, :n_bits]
    directions = centered.T @ (first / values[:n_bits]) if wide else first
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(n_bits)]
    return np.asarray(directions * np.where(largest < 0, -1.0, 1.0))


def unit_rows(rows: Matrix) -> Matrix:
    """Return rows at length 1; one of length 0 stays."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


class UnitFeatures(NamedTuple):
    """Features less their mean at length 1, and these less their own mean.

    Attributes:
        mean: float64 `(feature_dim,)`: of the features.
        middle: float64 `(feature_dim,)`: of the unit rows.
        centered: float64 `(n, feature_dim)`.
    """

    mean: Matrix
    middle: Matrix
    centered: Matrix

    def head(self, weights: Matrix) -> Head:
        """Return the head that gives `centered @ weights` for these features: weights float64 `(feature_dim, k)`."""
        return linear_head(self.mean, weights, offset=-self.middle @ weights, unit_length=True)


def unit_features(features: npt.NDArray[np.float32]) -> UnitFeatures:
    """Return features `(n, feature_dim)` as cosines see them."""
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    unit = unit_rows(values - mean)
    middle = unit.mean(axis=0)
    return UnitFeatures(mean, middle, unit - middle)


def projection_towards(features: npt.NDArray[np.float32], signs: npt.NDArray[np.int8]) -> Head | None:
    """Return principal components of features, turned so that their signs agree with given ones as far as can be.

    The rotation is that of Procrustes: with (X W)ᵀ B = S Ω Ŝᵀ, S Ŝᵀ brings X W nearest to B. It keeps what the
    features say of the likeness of images. The mean size of an output is 1.

    Args:
        features: float32 `(n, feature_dim)`.
        signs: int8 `(n, n_bits)`: B.

    Returns:
        A linear head with n_bits outputs; None where the features vary in fewer directions than there are bits.
    """
    unit = unit_features(features)
    n_bits = signs.shape[1]
    if min(unit.centered.shape) <= n_bits or np.linalg.matrix_rank(unit.centered[: 4 * n_bits], rtol=1e-3) <= n_bits:
        return None
    directions = principal_directions(unit.centered, n_bits)
    projected = unit.centered @ directions
    left, _, right = np.linalg.svd(projected.T @ signs)
    turned = left @ right
    return unit.head(directions @ turned / np.abs(projected @ turned).mean())


def iterative_quantization(projected: Matrix, rotation: Matrix, iterations: int) -> Matrix:
    """Return the rotation R after some rounds of B = sign(V R), then the R that brings V R nearest to B.

    Source: ITQ (Gong and Lazebnik, CVPR 2011), equations 2 and 3: with Bᵀ V = S Ω Ŝᵀ, R = Ŝ Sᵀ. |B - V R|² never
    grows. Deterministic. With fewer directions than bits R is a frame, whose rows stay orthonormal: |V R| is |V| for
    it, too, so that the same step brings V R nearest to B.

    Args:
        projected: float64 `(n, n_directions)`: V.
        rotation: float64 `(n_directions, n_bits)`, orthonormal rows, to begin with; n_directions at most n_bits.
        iterations: number of rounds.
    """
    for _ in range(iterations):
        signs = np.where(projected @ rotation >= 0, 1.0, -1.0)
        left, _, right = np.linalg.svd(signs.T @ projected, full_matrices=False)
        rotation = right.T @ left.T
    return rotation


def _centered(images: TrainingImages) -> tuple[Matrix, Matrix]:
    features = images.features().astype(np.float64)
    mean = features.mean(axis=0)
    return features - mean, mean


def linear_head(mean: Matrix, directions: Matrix, *, offset: Matrix | None = None, unit_length: bool = False) -> Head:
    """Return the head whose outputs are (x - mean) @ directions + offset, x - mean at length 1 where that is asked."""
    head = Head(len(mean), directions.shape[1], "linear", unit_length=unit_length)
    head.feature_mean.copy_(torch.from_numpy(mean))
    weights = torch.from_numpy(np.ascontiguousarray(directions.T)).float()
    bias = torch.zeros(len(weights)) if offset is None else torch.from_numpy(offset).float()
    head.layers[0].load_state_dict({"weight": weights, "bias": bias})
    return head


def _pca(images: TrainingImages, n_bits: int, options: PCAOptions, rng: Generator) -> Fitted:
    centered, mean = _centered(images)
    return Fitted(linear_head(mean, principal_directions(centered, n_bits)))


def _itq(images: TrainingImages, n_bits: int, options: ITQOptions, rng: Generator) -> Fitted:
    centered, mean = _centered(images)
    directions = principal_directions(centered, n_bits, options.frame_from)
    first, _ = np.linalg.qr(rng.standard_normal((n_bits, n_bits)))
    rotation = iterative_quantization(centered @ directions, first[: directions.shape[1]], options.iterations)
    return Fitted(linear_head(mean, directions @ rotation))


def _random(images: TrainingImages, n_bits: int, options: RandomOptions, rng: Generator) -> Fitted:
    _, mean = _centered(images)
    return Fitted(linear_head(mean, rng.standard_normal((len(mean), n_bits)) / np.sqrt(len(mean))))


PCA = Baseline(
    name="pca",
    title="Signs of the principal components of features; needs no labels",
    citation="Gong and Lazebnik, Iterative Quantization: A Procrustean Approach to Learning Binary Codes, CVPR 2011",
    options=PCAOptions(),
    fit=_pca,
)

ITQ = Baseline(
    name="itq",
    title="ITQ: principal components rotated so that their signs lose least; needs no labels",
    citation="Gong and Lazebnik, Iterative Quantization: A Procrustean Approach to Learning Binary Codes, CVPR 2011",
    options=ITQOptions(),
    fit=_itq,
)

RANDOM = Baseline(
    name="random",
    title="Signs of projections to random directions; needs no labels",
    citation="Charikar, Similarity Estimation Techniques from Rounding Algorithms, STOC 2002",
    options=RandomOptions(),
    fit=_random,
)
