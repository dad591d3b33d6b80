"""Compiled loops that build a search structure. Nothing here checks its arguments."""

from typing import Any

import numpy as np

from nearbit.index.engine.layout import PARTS
from nearbit.index.engine.scan_kernels import distances, smallest
from nearbit.jit import ZERO, kernel, lean, ones

BLOCK = 1024


@lean
def _copy(columns: Any, place: int, out: Any) -> None:
    """Copy the code at a place; a slice would make numba compile its checks and their messages."""
    for word in range(out.size):
        out[word] = columns[word, place]


@kernel
def nearest_pivot(columns: Any, start: int, stop: int, pivots: Any, near: Any, how_far: Any, scratch: Any,
                  pivot: Any) -> None:  # fmt: skip
    """Fill, for the places from `start` to `stop`, the nearest pivot (the first of equals) and its distance.

    Args:
        columns: uint64 `(words, n)`.
        start: the first place.
        stop: one past the last place.
        pivots: uint64 `(words, n_leaders)`.
        near: uint16 `(n,)`, filled.
        how_far: uint16 `(n,)`, filled.
        scratch: uint16 `(BLOCK,)`.
        pivot: uint64 `(words,)`.
    """
    for low in range(start, stop, BLOCK):
        high = min(low + BLOCK, stop)
        values, best, far = scratch[: high - low], near[low:high], how_far[low:high]
        for i in range(values.size):
            best[i], far[i] = 0, 65535
        for number in range(pivots.shape[1]):
            _copy(pivots, number, pivot)
            distances(pivot, columns, low, values)
            mark = np.uint16(number)
            for i in range(values.size):
                is_nearer = values[i] < far[i]
                far[i] = values[i] if is_nearer else far[i]
                best[i] = mark if is_nearer else best[i]


@kernel
def spread_pivots(columns: Any, chosen: Any, n_chosen: int, radius: int, scratch: Any, query: Any) -> Any:
    """Take as a pivot each code that lies beyond a radius of all pivots so far; return how many there are.

    Args:
        columns: uint64 `(words, n)`.
        chosen: uint64 `(words, most)`; the first `n_chosen` are pivots already, the others are filled.
        n_chosen: how many pivots there are.
        radius: in bits.
        scratch: uint16 `(most,)`.
        query: uint64 `(words,)`.
    """
    for place in range(columns.shape[1]):
        if n_chosen == chosen.shape[1]:
            break
        _copy(columns, place, query)
        values = scratch[:n_chosen]
        distances(query, chosen, ZERO, values)
        if n_chosen == 0 or smallest(values) > radius:
            for word in range(query.size):
                chosen[word, n_chosen] = query[word]
            n_chosen += 1
    return n_chosen


@kernel
def flips(columns: Any, weights: Any, pivots: Any, near: Any, out: Any) -> None:
    """Count, for each group and bit, the items whose bit differs from their pivot's; `out[:, -1]` counts all.

    Args:
        columns: uint64 `(words, n)`.
        weights: uint32 `(n,)`, items of each code.
        pivots: uint64 `(words, n_groups)`.
        near: uint16 `(n,)`, the group of each code.
        out: int64 `(n_groups, 64 * words + 1)`, added to.
    """
    for place in range(columns.shape[1]):
        group, weight = near[place], np.int64(weights[place])
        row = out[group]
        row[-1] += weight
        for word in range(columns.shape[0]):
            bits = columns[word, place] ^ pivots[word, group]
            while bits:
                lowest = bits & (~bits + np.uint64(1))
                row[64 * word + np.int64(ones(lowest - np.uint64(1)))] += weight
                bits ^= lowest


@kernel
def parts(columns: Any, pivots: Any, near: Any, masks: Any, out: Any) -> None:
    """Fill the distance between each code and its pivot, part by part: uint16 `(PARTS, n)`."""
    for place in range(columns.shape[1]):
        group = near[place]
        for part in range(PARTS):
            total = np.uint64(0)
            for word in range(columns.shape[0]):
                total += ones((columns[word, place] ^ pivots[word, group]) & masks[group, part, word])
            out[part, place] = np.uint16(total)


@kernel
def move_rows(rows: Any, offsets: Any, order: Any, new_offsets: Any, out: Any) -> None:
    """Fill `out` with the rows of each place in a new order of places."""
    for place in range(order.size):
        old, start, stop = order[place], np.int64(new_offsets[place]), np.int64(new_offsets[place + 1])
        first = np.int64(offsets[old])
        for at in range(stop - start):
            out[start + at] = rows[first + at]
