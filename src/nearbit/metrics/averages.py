"""Averages of a figure over queries: every query counts, those without relevant items too."""

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError
from nearbit.given import check_number
from nearbit.metrics.counting.relevance import check_labels

Values = npt.NDArray[np.float64]


def mean(values: npt.ArrayLike) -> float:
    """Return the mean of one value per query; no query is dropped.

    Args:
        values: float `(n_query,)`, finite, at least one.

    Raises:
        InputError: `values` is empty, has another shape, or holds NaN (which a mean would hide or spread).

    Example:
        >>> mean([1.0, 0.0])
        0.5
    """
    return float(_check_values(values).mean())


def per_class(values: npt.ArrayLike, query_labels: npt.ArrayLike) -> Values:
    """Return the mean of one value per query over the queries of each class.

    Args:
        values: float `(n_query,)`, finite, at least one.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`; a query of several labels counts
            in each of its classes.

    Returns:
        float64 `(n_classes,)`, by class number; NaN for a class without queries.

    Raises:
        InputError: wrong values or labels, or of different lengths.

    Example:
        >>> per_class([1.0, 0.0, 0.5], [0, 0, 2]).tolist()
        [0.5, nan, 0.5]
    """
    array, labels = _check_values(values), check_labels(query_labels, "query_labels")
    if len(labels) != len(array):
        raise InputError(f"query_labels must have one row a value: {len(array)} values came with {len(labels)} rows")
    if labels.ndim == 1:
        numbers = labels.astype(np.int64)
        sums, sizes = np.bincount(numbers, weights=array), np.bincount(numbers)
        return np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan)
    has = labels.astype(np.float64)
    weights = has.sum(axis=0)
    return np.where(weights > 0, array @ has / np.maximum(weights, 1), np.nan)


def bootstrap_interval(
    values: npt.ArrayLike, *, rng: np.random.Generator, level: float = 0.95, n_samples: int = 1000
) -> tuple[float, float]:
    """Return a bootstrap confidence interval of the mean over queries: percentiles of means of resampled queries.

    It tells how much the figure would change with other queries of the same kind, not with another training.

    Args:
        values: float `(n_query,)`, finite, at least one.
        rng: the source of randomness; the same state gives the same interval.
        level: share of the sampled means inside the interval, above 0 and below 1.
        n_samples: how many resampled means, at least 1.

    Returns:
        the lower and the upper end.

    Raises:
        InputError: wrong values, level or number of samples.

    Example:
        >>> bootstrap_interval([0.5, 0.5], rng=np.random.default_rng(0))
        (0.5, 0.5)
    """
    array = _check_values(values)
    check_number("level", level, is_positive=True, below=1)
    check_number("n_samples", n_samples, at_least=1, whole=True)
    means = [array[rng.integers(0, array.size, array.size)].mean() for _ in range(n_samples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _check_values(values: npt.ArrayLike) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"the mean needs one value per query, at least one; the values have the shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError("the mean needs finite values; a query without relevant items counts as 0, not as NaN")
    return array
