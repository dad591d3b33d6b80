"""MDS centers: the Gilbert-Varshamov distance kept, the mean distance large, the distances alike."""

import numpy as np

from nearbit.centers.coding.construction import CodePlan, plan_code
from nearbit.centers.coding.packed import distance_counts, packed_words
from nearbit.centers.separated import separated_centers, shuffled
from nearbit.centers.state import Centers, Generator, check_sizes

POOL = 4096
"""Largest number of words to choose from; their distances take 2 * POOL ** 2 bytes."""

LONGEST = 512
"""Largest number of bits with a search; for longer codes it would take seconds, and distances would outgrow int16."""

EXCHANGES_PER_CLASS = 200
MAX_EXCHANGES = 40_000


def mds_objective(centers: Centers) -> float:
    """Return mean + minimum - variance of the distances of all pairs of centers; more is better.

    Source: MDS (Wang et al., CVPR 2023), by which the authors' code chooses among its solutions. The variance is that
    of the pairs themselves (divided by their number). Deterministic.

    Args:
        centers: int8 `(n_classes, n_bits)`, at least two rows.

    Example:
        >>> mds_objective(np.array([[1, 1, 1], [1, -1, -1], [-1, -1, 1]], np.int8))
        4.0
    """
    counts = distance_counts(centers)
    distances = np.arange(len(counts))
    n_pairs = counts.sum()
    mean = (counts * distances).sum() / n_pairs
    variance = (counts * (distances - mean) ** 2).sum() / n_pairs
    return float(mean + np.flatnonzero(counts)[0] - variance)


def mds_centers(n_classes: int, n_bits: int, rng: Generator) -> Centers:
    """Return centers at the Gilbert-Varshamov distance or farther, with a large mean + minimum - variance.

    From a code with the minimum distance of separated centers and up to 4,096 words, that many words are chosen at
    random and then exchanged one by one, by annealing, where the objective gains (at first also where it loses a
    little). Separated centers are returned where they are better, for more classes than that, and for more than 512
    bits.

    Source: the objective and d are those of MDS (Wang et al., CVPR 2023); the procedure is ours. Deterministic for a
    given `rng`. Differs from the authors' code: in place of their Lp-box ADMM, which `benchmarks/centers_published.py`
    has. From 14 bits on their d is met or exceeded up to about 1,000 classes; elsewhere the minimum distance can be one
    bit less, as d itself can be impossible (`gilbert_varshamov_distance`).

    Returns:
        int8 `(n_classes, n_bits)`, all rows different.

    Raises:
        InputError: fewer than 2 classes, no bits, or more classes than words.
    """
    check_sizes(n_classes, n_bits, distinct=True)
    separated = separated_centers(n_classes, n_bits, rng)
    if n_classes > POOL or n_bits > LONGEST:
        return separated
    chosen = shuffled(_exchanged(_largest_code(n_classes, n_bits), n_classes, rng), rng)
    return max(chosen, separated, key=mds_objective)


def _largest_code(n_classes: int, n_bits: int) -> CodePlan:
    """Return the construction of most words, up to POOL, that has the minimum distance of `n_classes` words."""
    best = plan_code(n_classes, n_bits)
    for exponent in range((n_classes - 1).bit_length(), min(POOL.bit_length() - 1, n_bits) + 1):
        larger = plan_code(2**exponent, n_bits)
        if larger.distance < best.distance:
            break
        best = larger
    return best


def _exchanged(code: CodePlan, n_classes: int, rng: Generator) -> Centers:
    from nearbit.centers import mds_kernels

    words = code.build(rng).words(max(n_classes, POOL))
    signs = (2 * words.astype(np.int8) - 1).astype(np.int8)
    order = rng.permutation(len(signs))
    if len(signs) > n_classes:
        steps = min(EXCHANGES_PER_CLASS * n_classes, MAX_EXCHANGES)
        places, offers = rng.integers(0, n_classes, steps), rng.integers(n_classes, len(signs), steps)
        tolerances = rng.exponential(n_classes**-1.5, steps) * np.linspace(1, 0, steps)
        distances = mds_kernels.all_distances(packed_words(signs))
        mds_kernels.anneal_choice(distances, order, n_classes, places, offers, tolerances)
    return np.ascontiguousarray(signs[order[:n_classes]])
