"""Spare codewords: words kept for classes that come later, far from the centers in use and from each other."""

import numpy as np
import numpy.typing as npt

from nearbit.centers.coding.algebraic.words import Bits, linear
from nearbit.centers.coding.packed import packed_words
from nearbit.centers.state import Centers, Generator, random_signs
from nearbit.errors import InputError
from nearbit.given import check_number

ENUMERABLE_BITS = 16
SPAN_DIMENSION = 13
CLIMBS = 16
"""Random words that are moved away from all others, for each spare codeword."""

PAIR_WORK = 4_000_000
"""Bits looked at in one round of flips of two bits; beyond that, single bits are flipped only."""

ORDERS = 8
"""Random orders in which words are picked at one distance, before a smaller one is tried."""


def spare_codewords(centers: npt.ArrayLike, n_spare: int, rng: Generator) -> tuple[Centers, int]:
    """Return words for classes that come later, and the margin: the least distance to any center and to each other.

    Up to 16 bits all words are looked at. For longer ones two sets of words are compared: the unused words of the
    smallest linear code that holds the centers (if it has at most 2^13 words); and words made one by one, each the
    best of several random words that were moved, bit by bit, away from the centers and the words before it.

    Deterministic for a given `rng`. The margin is counted, not estimated; a larger one may be possible.

    Args:
        centers: int8 `(n_classes, n_bits)` of -1 and +1, the centers in use; at least one.
        n_spare: number of words wanted, at least 1.
        rng: source of every random choice.

    Returns:
        int8 `(n_spare, n_bits)`, and the margin in bits, at least 1.

    Raises:
        InputError: no centers, values other than -1 and +1, no spare words asked for, or more than are there or found.

    Example:
        >>> words, margin = spare_codewords([[1, 1, 1, 1], [-1, -1, 1, 1]], 2, np.random.default_rng(0))
        >>> words.shape, margin
        ((2, 4), 2)
    """
    used = checked_centers(centers)
    n_bits = used.shape[1]
    check_number("the number of spare codewords", n_spare, at_least=1, whole=True)
    n_used = len(np.unique(used, axis=0))
    if n_bits < 63 and n_spare > 2**n_bits - n_used:
        raise InputError(
            f"{n_spare} spare codewords of {n_bits} bits do not exist: of {2**n_bits} words, {n_used} are centers"
        )
    if n_bits <= ENUMERABLE_BITS:
        return _picked(used, all_words(n_bits), n_spare, rng)
    found = [_climbed(used, n_spare, rng), _picked(used, _span(used), n_spare, rng)]
    words, margin = max(found, key=lambda words_and_margin: words_and_margin[1])
    if margin == 0:
        raise InputError(
            f"no {n_spare} spare codewords were found beside {len(used)} centers of {n_bits} bits: ask for fewer"
        )
    return words, margin


def checked_centers(centers: npt.ArrayLike) -> Centers:
    """Return centers as int8; raise `InputError` where they are not signs of at least one class."""
    values = np.asarray(centers)
    if values.ndim != 2 or 0 in values.shape or not np.isin(values, (-1, 1)).all():
        raise InputError(
            f"centers must be (n_classes, n_bits) of -1 and +1, at least one, not {values.shape} of others"
        )
    return values.astype(np.int8)


def all_words(n_bits: int) -> Centers:
    """Return every word of so many bits: int8 `(2 ** n_bits, n_bits)`."""
    return _signs((np.arange(2**n_bits)[:, None] >> np.arange(n_bits)) & 1)


def _span(used: Centers) -> Centers:
    """Return the smallest coset of a linear code that holds the centers; where it is large, the centers alone."""
    bits = (used > 0).astype(np.uint8)
    code = linear(bits ^ bits[0])
    return _signs(code.words(code.n_words) ^ bits[0]) if len(code.basis) <= SPAN_DIMENSION else used


def _signs(bits: npt.NDArray[np.int64] | Bits) -> Centers:
    return (2 * bits.astype(np.int8) - 1).astype(np.int8)


def _picked(used: Centers, candidates: Centers, n_spare: int, rng: Generator) -> tuple[Centers, int]:
    """Return the candidates picked at the largest distance at which there are enough, and that distance.

    Where there are never enough, no words and the distance 0.
    """
    from nearbit.centers.coding import kernels

    words = packed_words(candidates)
    nearest = kernels.smallest_distances(words, packed_words(used))
    for least in range(int(nearest.max()), 0, -1):
        far = np.flatnonzero(nearest >= least)
        for _ in range(ORDERS if len(far) >= n_spare else 0):
            picked = kernels.pick_far(words, rng.permutation(far), least, n_spare)
            if len(picked) == n_spare:
                return candidates[picked], least
    return candidates[:0], 0


def _climbed(used: Centers, n_spare: int, rng: Generator) -> tuple[Centers, int]:
    """Return words made one by one, each away from the centers and from those before it, and the least distance."""
    from nearbit.centers.coding import kernels

    n_used, n_bits = used.shape
    everything = np.concatenate([used, np.empty((n_spare, n_bits), np.int8)])
    in_pairs = n_bits**2 * n_used <= PAIR_WORK
    margin = n_bits
    for at in range(n_used, n_used + n_spare):
        words = random_signs((CLIMBS, n_bits), rng)
        for word in words:
            kernels.climb(word, everything[:at], in_pairs)
        nearest = kernels.smallest_distances(packed_words(words), packed_words(everything[:at]))
        everything[at] = words[nearest.argmax()]
        margin = min(margin, int(nearest.max()))
    return everything[n_used:], margin
