"""Codes of few bits by search: where no construction reaches the proven bound, words are exchanged until they do."""

import numpy as np

from nearbit.centers.coding.algebraic.words import WordSet, listed

SEARCH_BITS = 12
"""Up to here a search takes milliseconds. From 13 to 15 bits it is not needed: up to 600 words the constructions reach
the proven bound, but for 33 to 37 words of 13 bits, one less."""

STEPS = 6000
SEEDS = 4


def search_code(n_words: int, n_bits: int, distance: int) -> WordSet | None:
    """Return words of few bits at distances of at least `distance`, or None where the search does not find them.

    The search finds the codes of Best (10, 40, 4) and Julin (12, 144, 4). It has seeds of its own: the same words for
    the same sizes.
    """
    from nearbit.centers.coding import search_kernels

    numbers = np.arange(2**n_bits)
    ball = numbers[np.bitwise_count(numbers) < distance]
    for seed in range(SEEDS):
        draws = np.random.default_rng(seed).integers(0, 2**40, STEPS)
        found = search_kernels.far_words(n_bits, n_words, ball, draws)
        if len(found) == n_words:
            return listed((found[:, None] >> np.arange(n_bits)) & 1)
    return None
