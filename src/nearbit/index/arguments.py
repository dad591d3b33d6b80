"""Checks of what a caller hands to an index: ids, k and radius."""

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError
from nearbit.index.results import Ids


def check_ids(ids: npt.ArrayLike) -> Ids:
    """Return ids as int64 `(n,)`; raise `InputError` unless they are whole numbers from 0 to 2**63 - 1 in one row."""
    array = np.asarray(ids)
    if array.ndim == 1 and array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"ids must be whole numbers (n,), not {array.dtype} {array.shape}")
    if array.min() < 0 or array.max() > np.iinfo(np.int64).max:
        raise InputError(f"ids must lie in 0 … 2**63 - 1; they go from {array.min()} to {array.max()}")
    return array.astype(np.int64)


def check_new_ids(ids: npt.ArrayLike, n_codes: int) -> Ids:
    """Return the ids of items to add: one a code, all different.

    Raises:
        InputError: not whole numbers, of another count than the codes, or one id twice.
    """
    array = check_ids(ids)
    if len(array) != n_codes:
        raise InputError(f"ids must be one a code: {n_codes} codes came with {len(array)} ids")
    values, counts = np.unique(array, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"ids must differ: {values[counts > 1][0]} came more than once in one call")
    return array


def check_limits(k: int | None, radius: int | None) -> tuple[int | None, int | None]:
    """Return `k` and `radius` as ints; raise `InputError` for k < 1, radius < 0, or neither of them."""
    if k is None and radius is None:
        raise InputError("a search needs k, a radius, or both; k=None alone would return the whole index")
    checked_k = None if k is None else _whole_number(k, "k", 1)
    return checked_k, None if radius is None else _whole_number(radius, "radius (in bits)", 0)


def _whole_number(value: int, name: str, smallest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < smallest:
        raise InputError(f"{name} must be a whole number of at least {smallest}, not {value!r}")
    return int(value)
