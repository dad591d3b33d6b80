"""Words that labels are regressed from (DSAH): found in turn with the regressions, in closed form."""

import numpy as np
import numpy.typing as npt

from nearbit.centers.nearest_spare import distinct_words
from nearbit.centers.state import Centers, Generator, check_sizes, random_signs

Matrix = npt.NDArray[np.float64]

ZERO = 1e-9
"""What is nearer to 0 than this, relative to the largest, is a rounding."""

ALTERNATIONS = 10


def polar_factor(matrix: Matrix) -> Matrix:
    """Return U Vᵀ of the singular value decomposition U S Vᵀ: the orthonormal matrix nearest to one.

    Directions whose singular value is 0 are left out, since U Vᵀ is not unique there.

    Args:
        matrix: float64 `(m, n)`.

    Returns:
        float64 `(m, n)`; of its rows or columns, the fewer are orthonormal, unless a singular value is 0.
    """
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    kept = values > ZERO * max(float(values[0]), ZERO)
    return np.asarray(left[:, kept] @ right[kept])


def regressed_words(
    centers: Centers,
    class_means: Matrix | None,
    *,
    code_weight: float = 1.0,
    label_weight: float = 1.0,
    contrast_weight: float = 1.0,
) -> Centers:
    """Return the words of the next step: sign(α Ū + √K (β₁ W₁ᵀ + β₂ Y W₂ᵀ)), bits of 0 as they were.

    W₁ = polar(Hᵀ) regresses which class a word is of; W₂ = polar(Hᵀ Y), with the contrasts Y = I - 1/C, how it differs
    from all classes together.

    Source: our reconstruction of DSAH (arXiv 2110.12478). Two classes can get one word (`distinct_words`).

    Args:
        centers: int8 `(n_classes, n_bits)`: H.
        class_means: float64 `(n_classes, n_bits)`: Ū, means of the signs of each class's images; None for none yet.
        code_weight: α.
        label_weight: β₁.
        contrast_weight: β₂.

    Returns:
        int8 `(n_classes, n_bits)`.
    """
    n_classes, n_bits = centers.shape
    words = centers.astype(np.float64)
    contrasts = np.eye(n_classes) - 1 / n_classes
    wish = label_weight * polar_factor(words.T).T + contrast_weight * contrasts @ polar_factor(words.T @ contrasts).T
    wish *= np.sqrt(n_bits)
    if class_means is not None:
        wish += code_weight * class_means
    return np.where(np.abs(wish) <= ZERO, centers, np.sign(wish)).astype(np.int8)


def regression_centers(
    n_classes: int, n_bits: int, rng: Generator, *, label_weight: float = 1.0, contrast_weight: float = 1.0
) -> Centers:
    """Return the words that ten alternations from random ones end at, all different.

    Source: our reconstruction of DSAH (arXiv 2110.12478). Deterministic for a given `rng`.

    Returns:
        int8 `(n_classes, n_bits)`.

    Raises:
        InputError: fewer than 2 classes, no bits, or more classes than words.
    """
    check_sizes(n_classes, n_bits, distinct=True)
    words = random_signs((n_classes, n_bits), rng)
    for _ in range(ALTERNATIONS):
        words = regressed_words(words, None, label_weight=label_weight, contrast_weight=contrast_weight)
    return distinct_words(words, words.astype(np.float64), rng)
