"""Compiled moves of the search for semantic centers: flips of bits, and exchanges of words between classes.

All sums are of whole numbers and exact, so that the same seed gives the same centers on every machine. `target` is
int16 `(n_classes, n_classes)`: n_bits · scale · similarity, rounded, 0 on the diagonal. `columns` is int16
`(n_bits, n_words)`: the signs, one bit a row; the first n_classes words are those of the classes. The energy is the sum
over pairs of classes of (target − scale · product)². Nothing here checks its arguments.
"""

import math
from typing import Any

import numpy as np

from nearbit.jit import jit

ABSENT = np.int16(-32000)
"""Stands for the product of a word with itself: below every limit."""


@jit
def random_word(state: Any) -> Any:
    """Return the next 64 random bits (xorshift) of a state, uint64 `(1,)`, not 0."""
    word = state[0]
    word ^= word << np.uint64(13)
    word ^= word >> np.uint64(7)
    word ^= word << np.uint64(17)
    state[0] = word
    return word


@jit
def random_below(state: Any, limit: int) -> Any:
    """Return a random whole number of 0 to limit - 1."""
    return np.int64((random_word(state) >> np.uint64(32)) * np.uint64(limit) >> np.uint64(32))


@jit
def accepted(cost: Any, temperature: float, state: Any) -> Any:
    """Return whether a move is made: always where it costs nothing, else with probability exp(-cost / temperature)."""
    if cost <= 0:
        return True
    share = np.float64(random_word(state) >> np.uint64(11)) / 9007199254740992.0
    return share < math.exp(-cost / temperature)


@jit
def inner(first: Any, second: Any) -> Any:
    """Return the sum of products of two int16 vectors, which fits int32."""
    total = np.int32(0)
    for j in range(first.size):
        total = np.int32(total + np.int32(first[j]) * np.int32(second[j]))
    return total


@jit
def products_of(word: Any, columns: Any, out: Any) -> None:
    """Fill `out`, int16 `(n_classes,)`, with the products of a word and the words of the classes."""
    out[:] = 0
    for bit in range(word.size):
        column = columns[bit]
        if word[bit] > 0:
            for j in range(out.size):
                out[j] += column[j]
        else:
            for j in range(out.size):
                out[j] -= column[j]


@jit
def _largest_after(products: Any, column: Any, sign: Any, other: Any, other_sign: Any) -> Any:
    """Return the largest product after a bit, and another bit if its sign is not 0, is turned."""
    largest = np.int16(-32768)
    once, twice = np.int16(2 * sign), np.int16(2 * other_sign)
    if other_sign == 0:
        for j in range(products.size):
            largest = max(largest, np.int16(products[j] - once * column[j]))
    else:
        for j in range(products.size):
            largest = max(largest, np.int16(products[j] - once * column[j] - twice * other[j]))
    return largest


@jit
def _flip(bit: Any, own: Any, scale: Any, columns: Any, overlaps: Any, word: Any, products: Any, fields: Any) -> None:
    """Turn one bit of a class's word, and bring everything that depends on it up to date."""
    sign, column = np.int64(word[bit]), columns[bit]
    step = np.int16(2 * sign)
    for j in range(products.size):
        products[j] -= np.int16(step * column[j])
    products[own] = ABSENT
    for other in range(word.size):
        if other == bit:
            fields[other] += 2 * scale * sign * (products.size - 1)
        else:
            fields[other] += 2 * scale * sign * (overlaps[bit, other] - sign * word[other])
            overlaps[bit, other] -= 2 * sign * word[other]
            overlaps[other, bit] = overlaps[bit, other]
    word[bit] = -sign
    column[own] = -sign


@jit
def _prepare(own: Any, target: Any, scale: Any, columns: Any, word: Any, products: Any, rest: Any, fields: Any) -> None:
    """Fill word, products and fields of a class: field k is the sum over other classes of residual · bit k."""
    for bit in range(word.size):
        word[bit] = columns[bit, own]
    products_of(word, columns, products)
    row, step = target[own], np.int16(scale)
    for j in range(rest.size):
        rest[j] = np.int16(row[j] - step * products[j])
    rest[own] = 0
    products[own] = ABSENT
    for bit in range(word.size):
        fields[bit] = inner(rest, columns[bit])


@jit
def flip_cost(
    scale: Any, n_classes: int, sign: Any, field: Any, other_sign: Any, other_field: Any, overlap: Any
) -> Any:
    """Return what the energy gains when a bit of a word is turned, and another one if its sign is not 0."""
    turn = 4 * scale * scale * (n_classes - 1)
    cost = 4 * scale * sign * field + turn
    if other_sign != 0:
        cost += 4 * scale * other_sign * other_field + turn + 8 * scale * scale * (sign * other_sign * overlap - 1)
    return cost


@jit
def flip_sweep(
    target: Any, scale: int, limit: int, columns: Any, overlaps: Any, temperature: float, passes: int, state: Any
) -> None:
    """Visit n_classes classes, each drawn at random, and offer them flips of one bit and of two bits in turn.

    No product of two words exceeds `limit` afterwards, if none did before. `overlaps` is int64 `(n_bits, n_bits)`: the
    products of the columns, kept up to date.
    """
    n_bits, n_classes = columns.shape
    word, fields = np.empty(n_bits, np.int64), np.empty(n_bits, np.int64)
    products, rest = np.empty(n_classes, np.int16), np.empty(n_classes, np.int16)
    for _ in range(n_classes):
        own = random_below(state, n_classes)
        _prepare(own, target, scale, columns, word, products, rest, fields)
        for number in range(passes * n_bits):
            bit = random_below(state, n_bits)
            other = random_below(state, n_bits) if number & 1 else bit
            other_sign = word[other] if other != bit else np.int64(0)
            overlap = overlaps[bit, other]
            cost = flip_cost(scale, n_classes, word[bit], fields[bit], other_sign, fields[other], overlap)
            if not accepted(cost, temperature, state):
                continue
            if _largest_after(products, columns[bit], word[bit], columns[other], other_sign) > limit:
                continue
            _flip(bit, own, scale, columns, overlaps, word, products, fields)
            if other != bit:
                _flip(other, own, scale, columns, overlaps, word, products, fields)


@jit
def _exchange_cost(own: Any, other: Any, target: Any, scale: int, mine: Any, theirs: Any) -> Any:
    """Return what the energy gains when two classes exchange words, or a class takes a word that no class has."""
    row, cost = target[own], np.int64(0)
    if other < target.shape[0]:
        row_of_other = target[other]
        for j in range(mine.size):
            cost += (np.int64(row[j]) - row_of_other[j]) * (np.int64(mine[j]) - theirs[j])
        cost -= (np.int64(row[own]) - row_of_other[own]) * (np.int64(mine[own]) - theirs[own])
        cost -= (np.int64(row[other]) - row_of_other[other]) * (np.int64(mine[other]) - theirs[other])
        return 2 * scale * cost
    for j in range(mine.size):
        total = np.int64(mine[j]) + theirs[j]
        cost += (np.int64(mine[j]) - theirs[j]) * (2 * row[j] - scale * total)
    cost -= (np.int64(mine[own]) - theirs[own]) * (2 * row[own] - scale * (np.int64(mine[own]) + theirs[own]))
    return scale * cost


@jit
def exchange_sweep(
    target: Any, scale: int, columns: Any, places: Any, proposals: int, temperature: float, state: Any
) -> None:
    """Offer random classes the word of another class, or a word that no class has; the set of words stays.

    `places` is int64 `(n_words,)`: which word lies in each column, kept up to date.
    """
    n_classes, (n_bits, n_words) = target.shape[0], columns.shape
    mine, theirs = np.empty(n_classes, np.int16), np.empty(n_classes, np.int16)
    word, word_of_other = np.empty(n_bits, np.int16), np.empty(n_bits, np.int16)
    for _ in range(proposals):
        own, other = random_below(state, n_classes), random_below(state, n_words)
        if own == other:
            continue
        for bit in range(n_bits):
            word[bit], word_of_other[bit] = columns[bit, own], columns[bit, other]
        products_of(word, columns, mine)
        products_of(word_of_other, columns, theirs)
        if accepted(_exchange_cost(own, other, target, scale, mine, theirs), temperature, state):
            for bit in range(n_bits):
                columns[bit, own], columns[bit, other] = word_of_other[bit], word[bit]
            places[own], places[other] = places[other], places[own]
