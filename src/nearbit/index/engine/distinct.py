"""Equal codes together: distinct codes, each with its rows."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nearbit.index.engine.layout import Layout, Words

_MIXERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)

SHARE_BITS = 6
"""One code in 2 to this power is looked at to tell how many are distinct."""


class Distinct(NamedTuple):
    """Distinct codes, in columns.

    Attributes:
        columns: uint64 `(words, n_distinct)`.
        offsets: uint32 or int64 `(n_distinct + 1,)`, where the rows of each code begin.
        rows: uint32 or int64 `(n,)`, ascending within a code.
    """

    columns: Words
    offsets: npt.NDArray[Any]
    rows: npt.NDArray[Any]


def row_type(n: int) -> npt.DTypeLike:
    """Return the type that holds rows of `n` items, and their number: uint32 where it can."""
    return np.uint32 if n < 2**32 else np.int64


def distinct_codes(words: Words) -> Distinct:
    """Return the distinct codes; those of one word ascend, longer ones are in the order of a hash.

    Codes that share a hash by chance may leave a code in two places; each of its rows is found all the same.

    Args:
        words: uint64 `(n, words)`, n at least 1.
    """
    order = np.argsort(mixed(words), kind="stable").astype(row_type(len(words)))
    is_first = np.zeros(len(words), np.bool_)
    is_first[0] = True
    for column in words.T:
        ordered = column[order]
        is_first[1:] |= ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_first)
    columns = np.empty((words.shape[1], len(starts)), np.uint64)
    for number, column in enumerate(words.T):
        columns[number] = column[order[starts]]
    return Distinct(columns, np.append(starts, len(words)).astype(order.dtype), order)


def distinct_share(words: Words) -> float:
    """Return about how many distinct codes a row has: 1 where all differ. Of one code, all rows are counted or none."""
    some = words[mixed(words) * _MIXERS[0] >> np.uint64(64 - SHARE_BITS) == 0]
    return len(np.unique(mixed(some))) / len(some) if len(some) else 1.0


def mixed(words: Words) -> Words:
    """Return one word that equal codes share, uint64 `(n,)`: the code itself, or a hash of it."""
    if words.shape[1] == 1:
        return words[:, 0]
    key = np.zeros(len(words), np.uint64)
    for number, column in enumerate(words.T):
        key = (key ^ column) * _MIXERS[number % len(_MIXERS)]
        key ^= key >> np.uint64(29)
    return key


def places_of(layout: Layout) -> npt.NDArray[Any]:
    """Return the place of each row: uint32 or int64 `(n,)`."""
    places = np.empty(len(layout.rows), layout.rows.dtype)
    places[layout.rows] = np.repeat(np.arange(layout.n_places, dtype=places.dtype), np.diff(layout.offsets))
    return places
