"""A paired bootstrap over seeds and queries: samples of the mean difference of two methods.

All methods of one seed are measured on the same queries of the same split, so that the difference is taken query by
query: what makes a query hard for both cancels out. A sample draws seeds with replacement, then the queries of each
drawn seed with replacement, the same for both methods. Where all seeds share one split, the queries of a sample are
drawn once for all of its seeds, since a hard query is hard for every seed. A few seeds vary less than what they stand
for: their means are moved away from the common mean by the factor sqrt(seeds / (seeds - 1)), as for a sample deviation.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError
from nearbit.given import check_number

Values = npt.NDArray[np.float64]

N_SAMPLES = 4999
DRAWN_AT_ONCE = 2**21
"""Queries drawn in one step; it bounds the memory."""


def paired_differences(
    differences: Sequence[npt.ArrayLike], *, same_queries: bool, rng: np.random.Generator, n_samples: int = N_SAMPLES
) -> Values:
    """Return samples of mean differences by the bootstrap that the head of this file describes.

    Args:
        differences: for each seed, float `(n_pairs, n_query)`: of each query, the first method's value minus the
            second's.
        same_queries: whether the queries of all seeds are the same, in the same order.
        rng: the source of randomness; the same state gives the same samples.
        n_samples: how many samples, at least 1.

    Returns:
        float64 `(n_samples, n_pairs)`.

    Raises:
        InputError: no seed, no query, other shapes than said, or no sample.
    """
    arrays = _check(differences, same_queries, n_samples)
    n_seeds, sums = len(arrays), np.zeros((n_samples, len(arrays[0])))
    means = np.stack([array.mean(axis=1) for array in arrays])
    widen = np.sqrt(n_seeds / (n_seeds - 1)) - 1 if n_seeds > 1 else 0.0
    moved = (means - means.mean(axis=0)) * widen
    drawn = rng.integers(0, n_seeds, (n_samples, n_seeds))
    together = _resampled_means(np.stack(arrays), n_samples, rng) if same_queries else None
    for slot in range(n_seeds):
        for seed in range(n_seeds):
            rows = np.flatnonzero(drawn[:, slot] == seed)
            own = _resampled_means(arrays[seed][None], len(rows), rng)[0] if together is None else together[seed, rows]
            sums[rows] += own + moved[seed]
    return np.asarray(sums / n_seeds, np.float64)


def two_sided_p(samples: npt.ArrayLike) -> float:
    """Return twice the share of samples on the far side of 0, at most 1; see `Difference.p`.

    Example:
        >>> two_sided_p([0.1, 0.2, 0.3]), two_sided_p([0.0, 0.0])
        (0.5, 1.0)
    """
    array = np.asarray(samples, np.float64)
    fewer = min(int((array <= 0).sum()), int((array >= 0).sum()))
    return min(1.0, 2 * (fewer + 1) / (array.size + 1))


def _resampled_means(values: Values, n_samples: int, rng: np.random.Generator) -> Values:
    """Return means over queries drawn with replacement, the same draws for every row.

    Args:
        values: float64 `(n_seeds, n_pairs, n_query)`.

    Returns:
        float64 `(n_seeds, n_samples, n_pairs)`.
    """
    n_seeds, n_pairs, n_query = values.shape
    means = np.empty((n_seeds, n_samples, n_pairs))
    block = max(1, DRAWN_AT_ONCE // n_query)
    for start in range(0, n_samples, block):
        rows = min(block, n_samples - start)
        drawn = rng.integers(0, n_query, (rows, n_query)) + n_query * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n_query).reshape(rows, n_query).astype(np.float64)
        for seed in range(n_seeds):
            means[seed, start : start + rows] = counts @ values[seed].T / n_query
    return means


def _check(differences: Sequence[npt.ArrayLike], same_queries: bool, n_samples: int) -> list[Values]:
    arrays = [np.asarray(array, np.float64) for array in differences]
    shapes = [array.shape for array in arrays]
    if not arrays or any(len(shape) != 2 or 0 in shape or shape[0] != shapes[0][0] for shape in shapes):
        raise InputError(f"differences must be (n_pairs, n_query) for each of one or more seeds, not {shapes}")
    if same_queries and len(set(shapes)) > 1:
        raise InputError(f"seeds of the same queries must have as many each, not {[shape[1] for shape in shapes]}")
    check_number("n_samples", n_samples, at_least=1, whole=True)
    return arrays
