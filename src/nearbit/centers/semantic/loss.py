"""How well the products of centers follow a similarity of classes: the semantic loss of SHC, and a correlation."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nearbit.centers.state import Centers
from nearbit.errors import InputError

Similarity = npt.NDArray[np.float64]

ROWS_AT_ONCE = 512
ROUNDING = 1e-6
"""Differences between the two halves of a similarity that are rounding, not asymmetry."""


def check_similarity(similarity: npt.ArrayLike, n_classes: int | None = None) -> tuple[Similarity, str | None]:
    """Return a class similarity as it is used, and what had to be changed or is odd about it.

    Args:
        similarity: real numbers `(n_classes, n_classes)`, finite, the larger the more alike; -1 to 1 with a diagonal
            of 1 is what products of centers can reach.
        n_classes: the number of classes that is expected, or None for any.

    Returns:
        float64 `(n_classes, n_classes)`, symmetric (the mean of both halves); and a note, or None where all is well.

    Raises:
        InputError: not real numbers, not square, another number of classes, fewer than two, a value that is not
            finite, or more than two classes that are all equally similar.
    """
    matrix = _square(similarity)
    if n_classes is not None and len(matrix) != n_classes:
        raise InputError(f"the similarity has {len(matrix)} classes, but {n_classes} are expected")
    notes = []
    if (difference := _asymmetry(matrix)) > 0:
        matrix = (matrix + matrix.T) / 2
        if difference > ROUNDING:
            notes.append(f"the similarity is not symmetric (by up to {difference:.3g}): the mean of both halves counts")
    _check_spread(matrix)
    if np.abs(np.diagonal(matrix) - 1).max() > ROUNDING:
        notes.append("the diagonal of the similarity is not 1, which adds to the loss of all centers alike")
    if (reach := max(matrix.max(), -matrix.min())) > 1 + ROUNDING:
        notes.append(f"similarities reach {reach:.3g}, beyond the -1 to 1 that products of centers can follow")
    return matrix, "; ".join(notes) or None


def _square(similarity: npt.ArrayLike) -> Similarity:
    given = np.asarray(similarity)
    if given.dtype.kind not in "fiu":
        raise InputError(f"a similarity must be real numbers, not {given.dtype}")
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise InputError(f"a similarity must be square, one row and one column a class, not {given.shape}")
    if len(given) < 2:
        raise InputError(f"a similarity needs at least 2 classes, not {len(given)}")
    matrix = given.astype(np.float64, copy=False)
    if not np.isfinite(matrix).all():
        bad = int(matrix.size - np.isfinite(matrix).sum())
        raise InputError(f"a similarity must be finite: {bad} of {matrix.size} values are NaN or infinite")
    return matrix


def row_blocks(n_rows: int) -> Iterator[slice]:
    """Yield slices that cover the rows, few at a time, so that no second full matrix is needed."""
    for start in range(0, n_rows, ROWS_AT_ONCE):
        yield slice(start, min(start + ROWS_AT_ONCE, n_rows))


def _asymmetry(matrix: Similarity) -> float:
    return max(float(np.abs(matrix[rows] - matrix[:, rows].T).max()) for rows in row_blocks(len(matrix)))


def _check_spread(matrix: Similarity) -> None:
    least = min(float(values.min()) for values in _off_diagonal(matrix))
    most = max(float(values.max()) for values in _off_diagonal(matrix))
    if len(matrix) > 2 and most - least <= ROUNDING * max(1.0, abs(most)):
        raise InputError(
            f"all classes are equally similar ({most:.4g}), so that no centers follow it better than others: "
            "take 'separated' centers"
        )


def _off_diagonal(matrix: npt.NDArray[np.float64]) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the values beside the diagonal, a block of rows at a time."""
    for rows in row_blocks(len(matrix)):
        numbers = np.arange(rows.start, rows.stop)
        beside = np.ones((len(numbers), len(matrix)), bool)
        beside[numbers - rows.start, numbers] = False
        yield matrix[rows][beside]


def semantic_loss(centers: npt.ArrayLike, similarity: npt.ArrayLike) -> float:
    """Return the mean, over all n_classes² pairs, of the squared difference (S - H Hᵀ / n_bits)².

    Source: SHC (arXiv 2507.08404), equations 14 and 45, in the form of its Table 3: divided by n_classes². A diagonal
    of 1 adds nothing.

    Args:
        centers: `(n_classes, n_bits)` of -1 and +1.
        similarity: see `check_similarity`.

    Raises:
        InputError: the similarity is not one, or the centers are not signs.

    Example:
        >>> semantic_loss([[1, 1], [1, -1]], [[1, 0.5], [0.5, 1]])
        0.125
    """
    signs = check_centers(centers)
    matrix, _ = check_similarity(similarity, len(signs))
    return loss_of(signs, matrix)


def loss_of(centers: Centers, matrix: Similarity) -> float:
    """Return the semantic loss of centers and a similarity that were checked."""
    products = signs_as_floats(centers)
    total = 0.0
    for rows in row_blocks(len(products)):
        total += float(np.square(matrix[rows] - (products[rows] @ products.T) / products.shape[1]).sum())
    return total / len(products) ** 2


def similarity_correlation(centers: npt.ArrayLike, similarity: npt.ArrayLike) -> float | None:
    """Return Pearson's correlation, over pairs of different classes, of the products of centers and the similarity.

    Args:
        centers: `(n_classes, n_bits)` of -1 and +1.
        similarity: see `check_similarity`.

    Returns:
        -1 to 1; None where all pairs of centers are equally far apart, or there are only two classes.

    Example:
        >>> similarity_correlation([[1, 1], [1, -1], [1, -1]], [[1, 0, 0], [0, 1, 0.5], [0, 0.5, 1]])
        1.0
    """
    signs = check_centers(centers)
    matrix, _ = check_similarity(similarity, len(signs))
    return correlation_of(signs, matrix)


def correlation_of(centers: Centers, matrix: Similarity) -> float | None:
    """Return the correlation of centers and a similarity that were checked."""
    floats = signs_as_floats(centers)
    n_pairs = len(floats) * (len(floats) - 1)
    middle_s = float(matrix.sum() - np.trace(matrix)) / n_pairs
    middle_g = (float(np.square(floats.sum(axis=0)).sum()) - floats.size) / n_pairs
    both = of_s = of_g = 0.0
    for rows in row_blocks(len(floats)):
        s, g = matrix[rows] - middle_s, floats[rows] @ floats.T - middle_g
        places = (np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop))
        s[places] = g[places] = 0
        both, of_s, of_g = both + float((s * g).sum()), of_s + float((s * s).sum()), of_g + float((g * g).sum())
    if len(floats) < 3 or of_g <= ROUNDING:
        return None
    return float(np.clip(both / np.sqrt(of_s * of_g), -1, 1))


def signs_as_floats(centers: Centers) -> npt.NDArray[np.float64]:
    """Return signs as float64, whose matrix products are fast and, being sums of ±1, exact."""
    return centers.astype(np.float64)


def check_centers(centers: npt.ArrayLike) -> Centers:
    """Return centers as int8 `(n_classes, n_bits)`; raise `InputError` unless they are signs of two classes or more."""
    given = np.asarray(centers)
    if given.ndim != 2 or len(given) < 2 or given.shape[1] < 1:
        raise InputError(f"centers must have the shape (n_classes, n_bits) with 2 classes or more, not {given.shape}")
    if given.dtype.kind not in "fiu" or not np.isin(given, (-1, 1)).all():
        raise InputError("centers must be -1 or +1 in every bit")
    return given.astype(np.int8, copy=False)
