"""Compiled loops over centers as packed words: distances, choice among words, moves of single bits.

Nothing here checks its arguments. `words` are uint64 `(n, n_words)` with the first bit of a row highest in its first
word; `signs` are int8 `(n, n_bits)`. Random choices are drawn by the caller and handed in, so that a seed fixes all.
"""

from typing import Any

import numpy as np

from nearbit.jit import jit

_PAIRS, _NIBBLES, _FOURS, _ONES = (
    np.uint64(0x5555555555555555),
    np.uint64(0x3333333333333333),
    np.uint64(0x0F0F0F0F0F0F0F0F),
    np.uint64(0x0101010101010101),
)


@jit
def distance(first: Any, second: Any) -> Any:
    """Return in how many bits two rows of words differ."""
    total = np.int64(0)
    for i in range(first.size):
        word = first[i] ^ second[i]
        word = word - ((word >> np.uint64(1)) & _PAIRS)
        word = (word & _NIBBLES) + ((word >> np.uint64(2)) & _NIBBLES)
        word = (word + (word >> np.uint64(4))) & _FOURS
        total += np.int64((word * _ONES) >> np.uint64(56))
    return total


@jit
def distance_counts(words: Any, n_bits: int) -> Any:
    """Return how many pairs of different rows lie at each distance: int64 `(n_bits + 1,)`."""
    counts = np.zeros(n_bits + 1, np.int64)
    for i in range(len(words)):
        for j in range(i):
            counts[distance(words[i], words[j])] += 1
    return counts


@jit
def smallest_distances(words: Any, others: Any) -> Any:
    """Return the distance from each row to the nearest of the other rows, of which there is at least one."""
    smallest = np.empty(len(words), np.int64)
    for i in range(len(words)):
        nearest = distance(words[i], others[0])
        for j in range(1, len(others)):
            nearest = min(nearest, distance(words[i], others[j]))
        smallest[i] = nearest
    return smallest


@jit
def exchange(signs: Any, order: Any, n_chosen: int, places: Any, offers: Any) -> None:
    """Exchange chosen rows for others where that brings the column sums nearer to zero; `order` is changed in place.

    The first `n_chosen` rows in `order` are chosen. Step i puts the row at place `places[i]` up against those at
    `offers[i]`, places among the rest. Less squared column sums mean a larger mean distance, too.
    """
    n_bits = signs.shape[1]
    sums = np.zeros(n_bits, np.int64)
    for i in range(n_chosen):
        for bit in range(n_bits):
            sums[bit] += signs[order[i], bit]
    for step in range(len(places)):
        leaving = order[places[step]]
        gain, best = np.int64(0), -1
        for place in offers[step]:
            change = np.int64(0)
            for bit in range(n_bits):
                difference = np.int64(signs[order[place], bit]) - signs[leaving, bit]
                change += difference * (2 * sums[bit] + difference)
            if change < gain:
                gain, best = change, place
        if best >= 0:
            entering = order[best]
            order[best], order[places[step]] = leaving, entering
            for bit in range(n_bits):
                sums[bit] += np.int64(signs[entering, bit]) - signs[leaving, bit]


@jit
def balance(words: Any, signs: Any, least: int, columns: Any, rows: Any) -> None:
    """Flip bits that bring a column sum nearer to zero and leave all distances at `least` or above, in place.

    Columns and rows are tried in the given orders.
    """
    for column in columns:
        total = np.int64(0)
        for row in rows:
            total += signs[row, column]
        for row in rows:
            if abs(total) <= 1:
                break
            if signs[row, column] * total > 0 and _may_flip(words, signs, row, column, least):
                total -= 2 * signs[row, column]
                flip(words, signs, row, column)


@jit
def flip(words: Any, signs: Any, row: int, column: int) -> None:
    """Change the sign of one bit, in the words and in the signs."""
    signs[row, column] = -signs[row, column]
    words[row, column // 64] ^= np.uint64(1) << np.uint64(63 - column % 64)


@jit
def _may_flip(words: Any, signs: Any, row: int, column: int, least: int) -> bool:
    """Tell whether no row that differs in this bit is nearer than `least` + 1."""
    for other in range(len(words)):
        differs = signs[other, column] != signs[row, column]
        if differs and distance(words[row], words[other]) <= least:
            return False
    return True


@jit
def first_far(words: Any, others: Any, least: int) -> int:
    """Return the number of the first row whose distances from all of the others are `least` or more, else -1."""
    for i in range(len(words)):
        far = True
        for j in range(len(others)):
            if distance(words[i], others[j]) < least:
                far = False
                break
        if far:
            return i
    return -1


@jit
def pick_far(words: Any, order: Any, least: int, n_wanted: int) -> Any:
    """Return the rows picked one by one in `order`, each at least `least` from those before; at most `n_wanted`."""
    picked = np.empty(n_wanted, np.int64)
    count = 0
    for row in order:
        if count == n_wanted:
            break
        far = True
        for i in range(count):
            if distance(words[row], words[picked[i]]) < least:
                far = False
                break
        if far:
            picked[count] = row
            count += 1
    return picked[:count]


@jit
def climb(word: Any, signs: Any, in_pairs: bool) -> None:
    """Flip bits of one word, in place, while that takes it farther from the rows of `signs`.

    Farther: the nearest row is farther away, or fewer rows are as near as it. Where no flip of one bit helps, flips of
    two are tried, if `in_pairs`.
    """
    n_bits = word.size
    far = np.zeros(len(signs), np.int64)
    for i in range(len(signs)):
        for bit in range(n_bits):
            far[i] += signs[i, bit] != word[bit]
    nearness, before = _nearness(far, signs, word, -1, -1), np.int64(1 << 60)
    while nearness < before:
        before = nearness
        for bit in range(n_bits):
            nearness = _try(far, signs, word, bit, -1, nearness)
        if in_pairs and nearness == before:
            for first in range(n_bits):
                for second in range(first):
                    nearness = _try(far, signs, word, first, second, nearness)


@jit
def _try(far: Any, signs: Any, word: Any, first: int, second: int, nearness: Any) -> Any:
    """Flip one or two bits (`second` -1: one) if that is better; return how near the rows then are."""
    trial = _nearness(far, signs, word, first, second)
    if trial >= nearness:
        return nearness
    _move(far, signs, word, first)
    if second >= 0:
        _move(far, signs, word, second)
    return trial


@jit
def _move(far: Any, signs: Any, word: Any, bit: int) -> None:
    for i in range(len(far)):
        far[i] += 1 if signs[i, bit] == word[bit] else -1
    word[bit] = -word[bit]


@jit
def _nearness(far: Any, signs: Any, word: Any, first: int, second: int) -> Any:
    """Return -nearest · (n + 1) + (number of rows at the nearest distance) after up to two flips: less is better."""
    nearest, count = np.int64(1 << 40), np.int64(0)
    for i in range(len(far)):
        value = far[i]
        if first >= 0:
            value += 1 if signs[i, first] == word[first] else -1
        if second >= 0:
            value += 1 if signs[i, second] == word[second] else -1
        if value < nearest:
            nearest, count = value, np.int64(1)
        elif value == nearest:
            count += 1
    return -nearest * (len(far) + 1) + count
