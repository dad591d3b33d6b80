"""Bernoulli centers: random words with as many +1 as -1."""

import numpy as np

from nearbit.centers.state import Centers, Generator, check_sizes, pairwise_distances


def bernoulli_centers(n_classes: int, n_bits: int, rng: Generator, *, tries: int = 20) -> Centers:
    """Return random balanced words: each row has exactly floor(n_bits / 2) bits of -1.

    Rows are drawn until the smallest distance exceeds n_bits / 4 and the mean reaches n_bits / 2, at most `tries`
    times; after that the draw with the largest smallest distance is kept (many classes in few bits can then share
    a center: that is the published rule).

    Source: CSQ (Yuan et al., CVPR 2020), section 3.2. Deterministic for a given `rng`. Differs from the authors' code:
    the best of all draws is kept, where theirs keeps the last.

    Args:
        n_classes: at least 2.
        n_bits: at least 1.
        rng: source of the draws.
        tries: number of draws, at least 1.

    Returns:
        int8 `(n_classes, n_bits)`.
    """
    check_sizes(n_classes, n_bits)
    best: Centers | None = None
    best_distance = -1
    for _ in range(tries):
        centers = _draw(n_classes, n_bits, rng)
        distances = pairwise_distances(centers)
        if int(distances.min()) > best_distance:
            best, best_distance = centers, int(distances.min())
        if best_distance > n_bits / 4 and distances.mean() >= n_bits / 2:
            break
    assert best is not None  # noqa: S101 - tries >= 1
    return best


def _draw(n_classes: int, n_bits: int, rng: Generator) -> Centers:
    row = np.ones(n_bits, np.int8)
    row[: n_bits // 2] = -1
    return rng.permuted(np.tile(row, (n_classes, 1)), axis=1)
