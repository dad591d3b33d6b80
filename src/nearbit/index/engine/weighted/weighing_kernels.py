"""Compiled parts of the search by weighted distance: what codes weigh, and the k best rows so far.

The weighted distance of a code to a query is the sum of the query's weights over the bits that differ. Weights are
whole numbers, so every sum is exact. Their *steps* are the sums of the h smallest: a code that differs in h bits lies
at least `steps[h]` away.

A weighted distance and a row make one *key*, the row in its lowest `DIGITS` bits: keys rank as results do. A search
collects keys in no order, in room for more than k of them; when that is full, or asked to, it *settles*: the k smallest
stay. Its state: LAST, the largest key that may still enter; LIMIT, the weighted distance of that; BITS, the most bits
that a code within it can differ in; SIZE, how many keys there are; TOUCHED, codes looked at; DIGITS.
"""

from typing import Any

import numpy as np

from nearbit.jit import lean

LAST, LIMIT, BITS, SIZE, TOUCHED, DIGITS = 0, 1, 2, 3, 4, 5
STATES = 6


@lean
def fill_tables(weights: Any, tables: Any) -> None:
    """Fill `tables`, int32 `(256 * 8 * words,)`: what the bits set in each value of each byte of a code weigh."""
    for byte in range(weights.size // 8):
        table = tables[256 * byte : 256 * byte + 256]
        table[0] = 0
        for bit in range(8):
            weight, size = weights[8 * byte + bit], 1 << bit
            low, high = table[:size], table[size : 2 * size]
            for value in range(size):
                high[value] = low[value] + weight


@lean
def weigh_word(bits: Any, tables: Any, start: Any) -> Any:
    """Return what the bits set in a word weigh; its tables begin at `start`."""
    total = np.int64(0)
    for byte in range(8):
        total += np.int64(tables[start + 256 * byte + np.int64((bits >> np.uint64(8 * byte)) & np.uint64(255))])
    return total


@lean
def weigh(query: Any, columns: Any, place: Any, tables: Any) -> Any:
    """Return the weighted distance of the code at a place."""
    total = np.int64(0)
    for word in range(query.size):
        total += weigh_word(columns[word, place] ^ query[word], tables, 2048 * word)
    return total


@lean
def weigh_run(query: Any, columns: Any, start: Any, tables: Any, out: Any) -> None:
    """Fill `out`, int64, with the weighted distances of the codes from a place on."""
    own, first = columns[0][start : start + out.size], query[0]
    for i in range(out.size):
        out[i] = weigh_word(own[i] ^ first, tables, 0)
    for word in range(1, query.size):
        own, other = columns[word][start : start + out.size], query[word]
        for i in range(out.size):
            out[i] += weigh_word(own[i] ^ other, tables, 2048 * word)


@lean
def _select(keys: Any, k: int) -> None:
    """Move the k smallest of some keys, all different, to the front."""
    low, high = 0, keys.size - 1
    while low < high:
        middle, end = (low + high) // 2, low
        pivot = keys[middle]
        keys[middle] = keys[high]
        for i in range(low, high):
            key = keys[i]
            keys[i] = keys[end]
            keys[end] = key
            end += key < pivot
        keys[high] = keys[end]
        keys[end] = pivot
        if end >= k:
            high = end - 1
        else:
            low = end + 1


@lean
def settle(keys: Any, k: int, steps: Any, state: Any) -> None:
    """Keep the k smallest keys, if there are so many, and let the limits follow."""
    if state[SIZE] < k:
        return
    if state[SIZE] > k:
        _select(keys[: state[SIZE]], k)
    last = keys[0]
    for key in keys[:k]:
        last = max(last, key)
    state[SIZE], state[LAST], state[LIMIT] = k, last, last >> state[DIGITS]
    while state[BITS] >= 0 and steps[state[BITS]] > state[LIMIT]:
        state[BITS] -= 1


@lean
def gather(values: Any, start: int, limit: Any, places: Any, far: Any) -> Any:
    """List the places from `start` on, and their weighted distances, that are within the limit; return how many."""
    size = 0
    for i in range(values.size):
        places[size], far[size] = start + i, values[i]
        size += values[i] <= limit
    return size


@lean
def admit(places: Any, far: Any, offsets: Any, rows: Any, excluded: Any, keys: Any, k: int, steps: Any,
          state: Any) -> None:  # fmt: skip
    """Add the rows of places at weighted distances `far`, those of each place ascending until one is too late."""
    digits, size, last = state[DIGITS], state[SIZE], state[LAST]
    for number in range(places.size):
        place, high = np.int64(places[number]), np.int64(far[number]) << digits
        if high > last:
            continue
        at, stop = place, place + 1
        if offsets.size:
            at, stop = np.int64(offsets[place]), np.int64(offsets[place + 1])
        while at < stop:
            row = np.int64(rows[at]) if offsets.size else at
            at += 1
            if excluded.size and excluded[row]:
                continue
            key = high | row
            if key > last:
                break
            keys[size] = key
            size += 1
            if size == keys.size:
                state[SIZE] = size
                settle(keys, k, steps, state)
                size, last = state[SIZE], state[LAST]
    state[SIZE] = size


@lean
def begin(limit: int, digits: int, steps: Any, state: Any) -> None:
    """Make a state that of a search that has found nothing yet."""
    state[LIMIT], state[SIZE], state[TOUCHED], state[DIGITS] = limit, 0, 0, digits
    state[LAST] = ((limit + 1) << digits) - 1
    state[BITS] = steps.size - 1
    while state[BITS] >= 0 and steps[state[BITS]] > limit:
        state[BITS] -= 1
