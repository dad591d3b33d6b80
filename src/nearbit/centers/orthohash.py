"""The targets of OrthoHash: random bits, or random words drawn again until they are far from those before them."""

import numpy as np

from nearbit.centers.coding.packed import Words, unpacked_words
from nearbit.centers.state import Centers, Generator, check_sizes, random_signs
from nearbit.errors import InputError

FIRST_PERCENT, LAST_PERCENT = 61, 20
PATIENCE = 10_000
DRAWS = 1000


def orthohash_centers(n_classes: int, n_bits: int, rng: Generator) -> Centers:
    """Return words whose bits are all drawn on their own, -1 or +1 with probability one half.

    Two classes can get the same word, as they can in the authors' code. Source: OrthoHash (Hoe et al., NeurIPS 2021),
    its default. Deterministic for a given `rng`. Differs from the authors' code: none known.

    Returns:
        int8 `(n_classes, n_bits)`.

    Raises:
        InputError: fewer than two classes or no bits.
    """
    check_sizes(n_classes, n_bits)
    return random_signs((n_classes, n_bits), rng)


def maxhd_centers(n_classes: int, n_bits: int, rng: Generator) -> Centers:
    """Return random words, each at least a share of n_bits from those before it: OrthoHash's "MaxHD".

    The share is 0.61 at first. After 10,000 draws in a row that are too near it is lowered by 0.01, for all words still
    to come, but not below 0.20.

    Source: OrthoHash (Hoe et al., NeurIPS 2021), supplement and code. Deterministic for a given `rng`. Differs from the
    authors' code: where 10,000 draws fail at 0.20, this is an error; the published rule for it is unknown.

    Returns:
        int8 `(n_classes, n_bits)`.

    Raises:
        InputError: fewer than two classes, more classes than words, or no word found at a share of 0.20.
    """
    from nearbit.centers.coding import kernels

    check_sizes(n_classes, n_bits, distinct=True)
    words = np.empty((n_classes, -(-n_bits // 64)), np.uint64)
    percent, n_found, n_failed = FIRST_PERCENT, 0, 0
    while n_found < n_classes:
        drawn = _random_words(DRAWS, n_bits, rng)
        at = kernels.first_far(drawn, words[:n_found], -(-percent * n_bits // 100))
        if at >= 0:
            words[n_found] = drawn[at]
            n_found, n_failed = n_found + 1, 0
        elif (n_failed := n_failed + DRAWS) >= PATIENCE:
            percent, n_failed = percent - 1, 0
        if percent < LAST_PERCENT:
            raise InputError(
                f"random words of {n_bits} bits, {LAST_PERCENT} % of them apart, end at {n_found} of {n_classes}: "
                "take 'separated' centers, or more bits"
            )
    return unpacked_words(words, n_bits)


def _random_words(n: int, n_bits: int, rng: Generator) -> Words:
    words = rng.integers(0, 2**64, (n, -(-n_bits // 64)), np.uint64)
    words[:, -1] &= np.uint64(2**64 - 2 ** (-n_bits % 64))
    return words
