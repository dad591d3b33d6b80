"""RSLH: words of classes and orthonormal codes found in turn in closed form, then a ridge regression to the words."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from nearbit.centers import Generator, polar_factor
from nearbit.methods.baseline import Baseline, Fitted
from nearbit.methods.closed_form.projections import Matrix, unit_features
from nearbit.methods.closed_form.ridge import ridge_map
from nearbit.methods.method import TrainingImages, check_number

SETS_AT_ONCE = 1024
"""Sets of labels that are compared with all others at a time."""


@dataclass(frozen=True, kw_only=True)
class RSLHOptions:
    """Options of RSLH; but for the regularization and runs, the defaults are those of the released code.

    Attributes:
        label_weight: how much codes are to be what labels say: α.
        similarity_weight: how much products of codes are to follow which images share a label: β.
        agreement_weight: how near binary and orthonormal codes are to each other: γ.
        regularization: of the regression from features, relative to the mean square of the features' length.
        iterations: how often all three are found in turn.
        runs: how many such runs, from other random starts, are fused into one code.
    """

    label_weight: float = 7.0
    similarity_weight: float = 1e-4
    agreement_weight: float = 1e-2
    regularization: float = 1.0
    iterations: int = 6
    runs: int = 1

    def __post_init__(self) -> None:
        for name in ("similarity_weight", "agreement_weight"):
            check_number(name, getattr(self, name))
        for name in ("label_weight", "regularization"):
            check_number(name, getattr(self, name), is_positive=True)
        for name in ("iterations", "runs"):
            check_number(name, getattr(self, name), at_least=1, whole=True)


def similarity_product(codes: Matrix, labels: Matrix) -> Matrix:
    """Return S B for S_ij = +1 where images i and j share a label, -1 elsewhere, without the n x n matrix.

    S is the same for images with the same labels, so codes are added up by sets of labels: exact for several labels,
    too.

    Args:
        codes: float64 `(n, n_bits)`: B.
        labels: float64 `(n, n_classes)`: 0 or 1.

    Returns:
        float64 `(n, n_bits)`.
    """
    sets, of_image = np.unique(labels, axis=0, return_inverse=True)
    of_image = of_image.reshape(-1)
    sums = np.zeros((len(sets), codes.shape[1]))
    np.add.at(sums, of_image, codes)
    products = np.empty_like(sums)
    for start in range(0, len(sets), SETS_AT_ONCE):
        part = slice(start, start + SETS_AT_ONCE)
        related = sets[part] @ sets.T > 0
        products[part] = 2 * (related.astype(np.float64) @ sums)
    return np.asarray(products[of_image] - codes.sum(axis=0))


def label_words(
    labels: Matrix, n_bits: int, options: RSLHOptions, rng: Generator
) -> tuple[npt.NDArray[np.float64], Matrix]:
    """Return binary codes H of training images and the words W that labels are mapped to.

    Of the objective α |H - Y W|² + |B - Y W|² + |W|² - 2 β tr(Hᵀ S B) + γ |H - B|², each of B (Bᵀ B = 1), H (signs) and
    W (real) is found in turn where the others stay.

    Source: RSLH (Liu et al., TCSVT 2020, arXiv 2004.11511), as the update rules of a released toolkit say. Differs from
    it: in H's step labels count α times, as the objective says (once there: the codes are the same but for a few bits).

    Args:
        labels: float64 `(n, n_classes)`: Y, 0 or 1.
        n_bits: columns of H.
        options: weights and rounds.
        rng: source of the first H and W.

    Returns:
        float64 `(n, n_bits)` of -1 and +1, and float64 `(n_classes, n_bits)`.
    """
    n_images, n_classes = labels.shape
    binary = rng.choice([-1.0, 1.0], (n_images, n_bits))
    words = rng.standard_normal((n_classes, n_bits))
    gram = options.label_weight * labels.T @ labels + labels.T @ labels + np.eye(n_classes)
    for _ in range(options.iterations):
        wish = labels @ words + options.similarity_weight * similarity_product(binary, labels)
        real = polar_factor(wish + options.agreement_weight * binary)
        wish = options.label_weight * (labels @ words) + options.agreement_weight * real
        wish += options.similarity_weight * similarity_product(real, labels)
        binary = np.where(wish >= 0, 1.0, -1.0)
        words = np.asarray(np.linalg.solve(gram, labels.T @ (options.label_weight * binary + real)), np.float64)
    return binary, words


def fused(runs: list[Matrix]) -> Matrix:
    """Return the majority signs of codes from several runs, whose bits are brought in the order of the first's.

    A bit goes with the one that it agrees with most, or is most opposed to, and then its sign changes; each once, by a
    linear assignment. Even votes are the first run's.

    Args:
        runs: float64 `(n, n_bits)` each, -1 and +1.
    """
    votes = runs[0].copy()
    for codes in runs[1:]:
        agreement = runs[0].T @ codes
        own, other = linear_sum_assignment(-np.abs(agreement))
        votes += codes[:, other] * np.where(agreement[own, other] >= 0, 1.0, -1.0)
    return np.where(votes == 0, runs[0], np.sign(votes))


def _fit(images: TrainingImages, n_bits: int, options: RSLHOptions, rng: Generator) -> Fitted:
    labels = images.labels.astype(np.float64)
    found = [label_words(labels, n_bits, options, rng) for _ in range(options.runs)]
    codes = fused([binary for binary, _ in found])
    unit = unit_features(images.features())
    offset = codes.mean(axis=0)
    weights = ridge_map(unit.centered, codes - offset, options.regularization)
    head = unit.head(weights)
    shares = labels / labels.sum(axis=1, keepdims=True)
    words = found[0][1] if options.runs == 1 else shares.T @ codes
    return Fitted(head, np.where(words >= 0, 1, -1).astype(np.int8))


RSLH = Baseline(
    name="rslh",
    title="RSLH: words of classes in closed form, and a ridge regression to them",
    citation="Liu et al., Reinforcing Short-Length Hashing, TCSVT 2020, arXiv 2004.11511",
    options=RSLHOptions(),
    fit=_fit,
    needs_labels=True,
)
