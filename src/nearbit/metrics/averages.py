"""The mean of a figure over queries: every query counts, those without relevant items too."""

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError


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
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"the mean needs one value per query, at least one; the values have the shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError("the mean needs finite values; a query without relevant items counts as 0, not as NaN")
    return float(array.mean())
