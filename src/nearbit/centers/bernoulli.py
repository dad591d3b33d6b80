"""Bernoulli centers: random words with as many +1 as -1."""

import numpy as np

from nearbit.centers.state import Centers, Generator, check_sizes, pairwise_distances
from nearbit.given import check_number


def bernoulli_centers(n_classes: int, n_bits: int, rng: Generator, *, tries: int = 20) -> Centers:
    """Return random balanced words: each row has exactly floor(n_bits / 2) bits of -1.

    The first draw whose smallest distance exceeds n_bits / 4 and whose mean distance reaches n_bits / 2 is taken.
    Where none of `tries` draws does, it is the one with the largest smallest distance (many classes in few bits can
    then share a center: that is the published rule).

    Source: CSQ (Yuan et al., CVPR 2020), section 3.2. Deterministic for a given `rng`. Differs from the authors' code:
    the best of all draws is kept where none passes, and theirs keeps the last.

    Args:
        n_classes: at least 2.
        n_bits: at least 1.
        rng: source of the draws.
        tries: number of draws, at least 1.

    Returns:
        int8 `(n_classes, n_bits)`.

    Raises:
        InputError: fewer than two classes, no bits or no tries.
    """
    check_sizes(n_classes, n_bits)
    check_number("tries", tries, at_least=1, whole=True)
    best: Centers | None = None
    best_distance = -1
    for _ in range(tries):
        centers = _draw(n_classes, n_bits, rng)
        distances = pairwise_distances(centers)
        smallest = int(distances.min())
        if smallest > n_bits / 4 and distances.mean() >= n_bits / 2:
            return centers
        if smallest > best_distance:
            best, best_distance = centers, smallest
    assert best is not None  # noqa: S101 - tries >= 1
    return best


def _draw(n_classes: int, n_bits: int, rng: Generator) -> Centers:
    row = np.ones(n_bits, np.int8)
    row[: n_bits // 2] = -1
    return rng.permuted(np.tile(row, (n_classes, 1)), axis=1)
