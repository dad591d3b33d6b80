"""Checks of what a caller hands to an index: ids, metadata, outputs, k and radius."""

import json
import math
from collections.abc import Mapping, Sequence, Sized
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import check_outputs
from nearbit.errors import InputError
from nearbit.index.engine.weighted.weights import check_radius
from nearbit.index.results import Ids
from nearbit.index.storage.outputs import StoredOutputs, stored
from nearbit.index.storage.rows import EMPTY, Fields

MAX_DEPTH = 50
"""How deep lists and dicts of metadata may nest; SQLite reads no JSON much deeper."""


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
        raise InputError(
            f"the index already holds item {ids[0]}{more}; replace=True puts the new items in their place, "
            "and nearbit index remove takes the old ones out before"
        )


def refuse_absent(wanted: Ids, present: Ids, hint: str) -> None:
    """Raise `InputError` with a hint where some of the wanted ids are not among those present."""
    if len(present) < len(wanted):
        absent = np.setdiff1d(wanted, present)[0]
        raise InputError(f"the index holds no item {absent}; {hint}")


def check_metadata(metadata: Sequence[Mapping[str, Any]], n: int, what: str) -> list[Fields]:
    """Return the columns of the metadata of `n` items; raise `InputError` where it is not one mapping for each."""
    if isinstance(metadata, Mapping) or not isinstance(metadata, Sized):
        raise InputError(f"metadata must be a list of one mapping an item, not {type(metadata).__name__}")
    if len(metadata) != n:
        raise InputError(f"metadata must be a list of one mapping an item: {n} {what} came with {len(metadata)}")
    return [fields_of(own, position) for position, own in enumerate(metadata)]


def fields_of(metadata: Mapping[str, Any], position: int) -> Fields:
    """Return the columns of one item's metadata: "path", "labels" and "digest" have their own, the rest is JSON.

    Args:
        metadata: keys str; "path" and "digest" str or None, "labels" a list of str, anything else JSON-ready.
        position: which item of the call this is, for the error.

    Raises:
        InputError: a value of another type, or one that JSON cannot hold (NaN, bytes, arrays, NumPy numbers).
    """
    if not isinstance(metadata, Mapping):
        raise InputError(f"metadata[{position}] must be a mapping, not {type(metadata).__name__}")
    where = f"metadata[{position}]"
    rest = {key: value for key, value in metadata.items() if key not in ("path", "labels", "digest")}
    if rest:
        _check_json(rest, where)
    return (
        _text_or_none(metadata.get("path"), f"{where}['path']"),
        _labels(metadata.get("labels", ()), f"{where}['labels']"),
        _to_json(rest) if rest else EMPTY[2],
        _text_or_none(metadata.get("digest"), f"{where}['digest']"),
    )


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
    count = 0 if rerank is None else check_whole(rerank, "rerank", 1)
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
    return None if k is None else check_whole(k, "k", 1), check_radius(radius)


def check_limits(k: int | None, radius: float | None) -> tuple[int | None, int | None]:
    """Return `k` and `radius` as ints; raise `InputError` for k < 1, radius < 0, or neither of them."""
    if k is None and radius is None:
        raise InputError("a search needs k, a radius, or both; k=None alone would return the whole index")
    checked_k = None if k is None else check_whole(k, "k", 1)
    return checked_k, None if radius is None else check_whole(radius, "radius (in bits)", 0)


def check_whole(value: float, name: str, smallest: int) -> int:
    """Return a number as an int; raise `InputError` unless it is a whole one of at least `smallest`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < smallest:
        raise InputError(f"{name} must be a whole number of at least {smallest}, not {value!r}")
    return int(value)


def check_notes(notes: Mapping[str, str]) -> dict[str, str]:
    """Return the notes of an owner, by name; raise `InputError` where a name or a text is not a str."""
    if not isinstance(notes, Mapping):
        raise InputError(f"notes must be a mapping of names to texts, not {type(notes).__name__}")
    return {check_text(name, "a note's name"): check_text(text, "a note") for name, text in notes.items()}


def check_text(value: Any, name: str) -> str:
    """Return a text that SQLite keeps and finds again; raise `InputError` on anything else."""
    if not isinstance(value, str):
        raise InputError(f"{name} must be a str, not {type(value).__name__}")
    if "\0" in value or not (value.isascii() or _is_whole(value)):
        raise InputError(f"{name} holds a NUL character or half a surrogate pair, which cannot be stored: {value!r}")
    return value


def check_scalar(value: Any, name: str) -> str | int | float | bool | None:
    """Return a value that JSON and SQLite keep as it is; raise `InputError` on anything else."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise InputError(f"{name} must fit 64 bits, not {value}; store it as a str")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{name} must be finite, not {value}; leave the key out or store None")
        return value
    if isinstance(value, str):
        return check_text(value, name)
    raise InputError(
        f"{name} must be JSON-ready (str, int, float, bool, None, list, dict), not {type(value).__name__}; convert it"
    )


def check_where(where: Mapping[str, Any]) -> tuple[tuple[str, ...] | None, dict[str, Any]]:
    """Return the labels of which an item must have one (None for any), and what it must hold under each other key.

    Args:
        where: "labels": one label, or a list of which the item has at least one; "path" and "digest": a str or None;
            any other key: the str, int, float, bool or None that the item's metadata holds under it. A number equals
            a number of the same value; True is not 1, and a missing key is not None.

    Raises:
        InputError: not a mapping, an empty one, or a value of another form.
    """
    if not isinstance(where, Mapping) or not where:
        raise InputError(f"where must be a mapping with at least one key, such as {{'labels': 'wren'}}, not {where!r}")
    for key in where:
        check_text(key, "a key of where")
    labels = _wanted_labels(where["labels"]) if "labels" in where else None
    return labels, {key: _wanted(key, value) for key, value in where.items() if key != "labels"}


def _wanted(key: str, value: Any) -> str | int | float | bool | None:
    name = f"where[{key!r}]"
    if key in ("path", "digest"):
        return None if value is None else check_text(value, name)
    return _compared(value, name)


def _compared(value: Any, name: str) -> str | int | float | bool | None:
    """Return a value that a filter compares; raise `InputError` on anything else."""
    if value is not None and not isinstance(value, str | int | float):
        raise InputError(
            f"{name} must be a text, a number, true, false or null, which is compared with the item's value, not a "
            f"{type(value).__name__}: leave the key out, and look at the items that are found"
        )
    if isinstance(value, str):
        return check_text(value, name)
    is_held = value is None or (math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**63)
    if not is_held:
        raise InputError(f"{name} must be a finite number of at most 64 bits, not {value}: no item holds another one")
    return value


def _wanted_labels(value: Any) -> tuple[str, ...]:
    labels = [value] if isinstance(value, str) else value
    if not isinstance(labels, list | tuple) or not labels:
        raise InputError(f"where['labels'] must be a label or a list of at least one, not {value!r}")
    return tuple(check_text(label, f"where['labels'][{position}]") for position, label in enumerate(labels))


def _check_json(value: Any, name: str, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise InputError(f"metadata must be nested at most {MAX_DEPTH} deep; flatten it")
    if isinstance(value, dict):
        for key, inner in value.items():
            check_text(key, f"a key of {name}")
            _check_json(inner, f"{name}[{key!r}]", depth + 1)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            _check_json(inner, f"{name}[{position}]", depth + 1)
    else:
        check_scalar(value, name)


def _is_whole(value: str) -> bool:
    """Return whether a text holds no half of a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _labels(value: Any, name: str) -> str:
    """Return labels as the JSON list that the file keeps."""
    if not isinstance(value, list | tuple):
        raise InputError(f"{name} must be a list of str, not {type(value).__name__}; one label is a list of one")
    return _labels_json(tuple(check_text(label, f"{name}[{position}]") for position, label in enumerate(value)))


@lru_cache(maxsize=100_000)
def _labels_json(labels: tuple[str, ...]) -> str:
    return _to_json(list(labels))


def _text_or_none(value: Any, name: str) -> str | None:
    return None if value is None else check_text(value, name)


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
