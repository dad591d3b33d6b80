"""A compiled search for as many words as wanted, all at least d bits apart, among all words of few bits.

Words are numbers below 2^n_bits. `ball` are the numbers with fewer than d bits set: two words are too near if and only
if their exclusive or is in it. Nothing here checks its arguments.
"""

from typing import Any

import numpy as np

from nearbit.jit import jit

TABU = 7


@jit
def far_words(n_bits: int, n_wanted: int, ball: Any, draws: Any) -> Any:
    """Return `n_wanted` numbers that are pairwise far, or fewer if they were not found in as many steps as draws.

    In each step a word is taken in that conflicts with fewest of the words in the set, and these are put out and kept
    out for some steps. Where to start looking, and in which stride, is drawn.
    """
    size = 1 << n_bits
    conflicts, free_at = np.zeros(size, np.int64), np.zeros(size, np.int64)
    place, words = np.full(size, -1, np.int64), np.empty(n_wanted, np.int64)
    count = 0
    for step in range(len(draws)):
        word = _least_conflicting(conflicts, free_at, place, step, draws[step])
        if word < 0:
            continue
        for difference in ball:
            other = word ^ difference
            if conflicts[word] and place[other] >= 0:
                count -= 1
                words[place[other]] = words[count]
                place[words[count]] = place[other]
                place[other] = -1
                free_at[other] = step + TABU + draws[step] % (TABU + 4)
                _count(conflicts, ball, other, -1)
        place[word], words[count] = count, word
        count += 1
        _count(conflicts, ball, word, 1)
        if count == n_wanted:
            break
    return words[:count]


@jit
def _least_conflicting(conflicts: Any, free_at: Any, place: Any, step: int, draw: int) -> Any:
    """Return a word outside the set with the fewest conflicts that may come in, or -1."""
    mask = len(conflicts) - 1
    stride = (draw >> 20) | 1
    best, word = len(conflicts) + 1, -1
    for i in range(len(conflicts)):
        candidate = (draw + i * stride) & mask
        if place[candidate] < 0 and conflicts[candidate] < best:
            if conflicts[candidate] == 0:
                return candidate
            if free_at[candidate] <= step:
                best, word = conflicts[candidate], candidate
    return word


@jit
def _count(conflicts: Any, ball: Any, word: int, change: int) -> None:
    for difference in ball:
        conflicts[word ^ difference] += change
