"""Separated centers: words whose minimum distance is as large as algebra and search can make it."""

import numpy as np

from nearbit.centers.coding.bounds import check_min_distance, proven_upper_bound
from nearbit.centers.coding.construction import CodePlan, plan_code
from nearbit.centers.coding.packed import min_distance_of, packed_words
from nearbit.centers.state import Centers, Generator, check_sizes, random_signs
from nearbit.errors import InputError

SUBCODES = 6
"""Subcodes that are tried where a code has more words than wanted."""

SUBCODE_CLASSES = 2048
COUNTED_CLASSES = 16_384
"""For more classes the distance of the construction is taken as it is, and single bits are left as they are."""

OFFERS = 16
EXCHANGES = 8000
CHOICE = 4096
"""Words to choose from, where a code has so many."""


def separated_centers(n_classes: int, n_bits: int, rng: Generator, *, min_distance: int | None = None) -> Centers:
    """Return centers whose minimum distance is the largest that the constructions of nearbit reach.

    A code is taken from `families`, shortened, punctured, padded or joined with others (`construction.plan_code`); of
    its words, those are chosen that balance the bits and so have the largest mean distance; last, single bits are
    flipped where that balances a bit and costs no minimum distance. The order of bits, the sign of each bit and the
    order of classes are random.

    Source: codes of Hadamard, Paley, Levenshtein, Golay, Hocquenghem, Bose, Ray-Chaudhuri, Kerdock, Nordstrom and
    Robinson, and quasi-cyclic ones of `algebraic.catalog`; none of the papers on hash centers. Deterministic for a
    given `rng`.

    Args:
        n_classes: 2 to 2 ** n_bits.
        n_bits: at least 1.
        rng: source of every random choice.
        min_distance: least distance of any two centers; by default whatever is reached.

    Returns:
        int8 `(n_classes, n_bits)`, all rows different.

    Raises:
        InputError: more classes than words; or a min_distance that is impossible, or that is not reached.

    Example:
        >>> min_distance_of(separated_centers(196, 16, np.random.default_rng(0)))
        6
    """
    check_sizes(n_classes, n_bits, distinct=True)
    if min_distance is not None:
        check_min_distance(n_classes, n_bits, min_distance)
    centers, reached = _best_subcode(plan_code(n_classes, n_bits), rng)
    if min_distance is not None and reached < min_distance:
        raise InputError(
            f"no {n_classes} centers of {n_bits} bits with a minimum distance of {min_distance} were found: {reached} "
            f"is reached, and at most {proven_upper_bound(n_classes, n_bits)} is possible (proven). Ask for {reached}"
        )
    if n_classes <= COUNTED_CLASSES:
        _balance(centers, reached, rng)
    return shuffled(centers, rng)


def _best_subcode(chosen: CodePlan, rng: Generator) -> tuple[Centers, int]:
    """Return centers from the construction and their minimum distance: the best of several random subcodes."""
    tries = SUBCODES if chosen.n_words <= SUBCODE_CLASSES else 1
    best = _choice(chosen, rng)
    if chosen.n_words > COUNTED_CLASSES:
        return best, chosen.distance
    reached = min_distance_of(best)
    for _ in range(tries - 1):
        centers = _choice(chosen, rng)
        distance = min_distance_of(centers)
        if (distance, mean_distance(centers)) > (reached, mean_distance(best)):
            best, reached = centers, distance
    return best, reached


def _choice(chosen: CodePlan, rng: Generator) -> Centers:
    """Return as many words of the construction as there are classes: those that balance the bits."""
    from nearbit.centers.coding import kernels

    n_classes = chosen.n_words
    bits = chosen.build(rng).words(max(n_classes, min(4 * n_classes, CHOICE)))
    signs = (2 * bits.astype(np.int8) - 1).astype(np.int8)
    order = rng.permutation(len(signs))
    if len(signs) > n_classes:
        steps = min(8 * n_classes, EXCHANGES)
        places = rng.integers(0, n_classes, steps)
        offers = rng.integers(n_classes, len(signs), (steps, OFFERS))
        kernels.exchange(signs, order, n_classes, places, offers)
    return np.ascontiguousarray(signs[order[:n_classes]])


def mean_distance(centers: Centers) -> float:
    """Return the mean distance of all pairs of centers, from the sums of the bits.

    Example:
        >>> mean_distance(np.array([[1, 1], [-1, -1], [1, -1]], np.int8))
        1.3333333333333333
    """
    n_classes, n_bits = centers.shape
    sums = centers.sum(axis=0, dtype=np.int64)
    unequal = n_bits * n_classes**2 - int((sums * sums).sum())
    return float(unequal / (2 * n_classes * (n_classes - 1)))


def _balance(centers: Centers, least: int, rng: Generator) -> None:
    """Flip bits towards balance, in place, while all distances stay at `least` or above."""
    from nearbit.centers.coding import kernels

    uneven = np.flatnonzero(np.abs(centers.sum(axis=0, dtype=np.int64)) > 1)
    if len(uneven):
        kernels.balance(packed_words(centers), centers, least, rng.permutation(uneven), rng.permutation(len(centers)))


def shuffled(centers: Centers, rng: Generator) -> Centers:
    """Return the centers in a random order of classes and of bits, each bit with a random sign."""
    n_classes, n_bits = centers.shape
    mixed = centers[rng.permutation(n_classes)][:, rng.permutation(n_bits)]
    return np.ascontiguousarray(mixed * random_signs((n_bits,), rng))
