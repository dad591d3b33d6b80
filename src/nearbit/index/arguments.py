"""Checks of what a caller hands to an index: ids, metadata, outputs, k and radius."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import check_outputs
from nearbit.errors import InputError
from nearbit.index.engine.weights import check_radius
from nearbit.index.results import Ids
from nearbit.index.storage.outputs import StoredOutputs, stored
from nearbit.index.storage.rows import Fields, fields_of


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


def refuse_present(ids: Ids) -> None:
    """Raise `InputError` where some of the ids to add are in the index already."""
    if len(ids):
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        raise InputError(f"the index already holds item {ids[0]}{more}; replace=True puts the new items in their place")


def refuse_absent(wanted: Ids, present: Ids, hint: str) -> None:
    """Raise `InputError` with a hint where some of the wanted ids are not among those present."""
    if len(present) < len(wanted):
        absent = np.setdiff1d(wanted, present)[0]
        raise InputError(f"the index holds no item {absent}; {hint}")


def check_metadata(metadata: Sequence[Mapping[str, Any]], n: int, what: str) -> list[Fields]:
    """Return the columns of the metadata of `n` items; raise `InputError` where it is not one mapping for each."""
    if isinstance(metadata, Mapping) or len(metadata) != n:
        raise InputError(f"metadata must be a list of one mapping an item: {n} {what} came with {len(metadata)}")
    return [fields_of(own, position) for position, own in enumerate(metadata)]


def check_kept_outputs(outputs: npt.ArrayLike | None, kind: str | None, n: int, n_bits: int) -> StoredOutputs | None:
    """Return the outputs of items to add, as they are kept; None where the index keeps none.

    Raises:
        InputError: the index keeps outputs and none came, or the other way round, or they are of another form.
    """
    if kind is None:
        if outputs is not None:
            raise InputError("this index keeps no outputs: make one with create_index(…, outputs='int8'), or leave out")
        return None
    if outputs is None:
        raise InputError(f"this index keeps outputs ({kind}): add needs those of every item, outputs=({n}, {n_bits})")
    return stored(check_outputs(outputs, n, n_bits, of="a code"), kind)


def check_rerank(
    outputs: npt.ArrayLike | None, rerank: int | None, kind: str | None, n: int, n_bits: int
) -> tuple[npt.NDArray[np.float32] | None, int]:
    """Return the outputs of queries and how many results they order by score alone.

    Raises:
        InputError: outputs for an index that keeps none, of another form, or a `rerank` without them.
    """
    if outputs is None:
        if rerank is not None:
            raise InputError("rerank needs outputs: those of the queries, float32 (n, n_bits)")
        return None, 0
    if kind is None:
        raise InputError("this index keeps no outputs to compare with: leave outputs out, or build it with outputs")
    count = 0 if rerank is None else _whole_number(rerank, "rerank", 1)
    return check_outputs(outputs, n, n_bits, of="a query"), count


def check_weighted(
    k: int | None, radius: float | None, outputs: npt.ArrayLike | None, rerank: int | None
) -> tuple[int | None, float | None]:
    """Return `k` and the radius of a search by weighted distance.

    Raises:
        InputError: neither of them, k < 1, a radius that is no number of at least 0, or outputs to reorder by.
    """
    if outputs is not None or rerank is not None:
        raise InputError("weights rank by themselves: leave outputs and rerank out, which order by kept outputs")
    if k is None and radius is None:
        raise InputError("a search needs k, a radius, or both; k=None alone would return the whole index")
    return None if k is None else _whole_number(k, "k", 1), check_radius(radius)


def check_limits(k: int | None, radius: float | None) -> tuple[int | None, int | None]:
    """Return `k` and `radius` as ints; raise `InputError` for k < 1, radius < 0, or neither of them."""
    if k is None and radius is None:
        raise InputError("a search needs k, a radius, or both; k=None alone would return the whole index")
    checked_k = None if k is None else _whole_number(k, "k", 1)
    return checked_k, None if radius is None else _whole_number(radius, "radius (in bits)", 0)


def _whole_number(value: float, name: str, smallest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < smallest:
        raise InputError(f"{name} must be a whole number of at least {smallest}, not {value!r}")
    return int(value)
