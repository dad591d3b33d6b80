"""Words given to classes by swaps (sHCLM): like classes get near words, by the best swap of two at a time."""

import numpy as np
import numpy.typing as npt

from nearbit.centers.semantic.loss import Similarity, check_centers, check_similarity
from nearbit.centers.state import Centers, Generator
from nearbit.errors import InputError

GAIN = 1e-9
"""A swap that gains no more than this is a rounding."""


def swap_cost(centers: npt.ArrayLike, similarity: npt.ArrayLike) -> float:
    """Return Σ over i ≠ j of s_ij (1 - <h_i, h_j> / n_bits), which is small where like classes have near words.

    Source: HCLM (Morgado et al., IJCV 2020), equation 18, with words at length 1.
    """
    signs = check_centers(centers).astype(np.float64)
    matrix, _ = check_similarity(similarity, len(signs))
    away = 1 - signs @ signs.T / signs.shape[1]
    np.fill_diagonal(away, 0)
    return float((matrix * away).sum())


def swapped_words(words: npt.ArrayLike, similarity: npt.ArrayLike, rng: Generator) -> Centers:
    """Return the words in another order, so that no swap of two classes makes `swap_cost` smaller.

    From a random order, the swap that gains most is made, again and again. Deterministic for a given `rng`.

    Args:
        words: `(n_classes, n_bits)` of -1 and +1.
        similarity: see `check_similarity`.
        rng: source of the first order.

    Returns:
        int8 `(n_classes, n_bits)`.

    Raises:
        InputError: another number of words than classes, words that are not signs, or not a similarity.
    """
    signs = check_centers(words)
    matrix, _ = check_similarity(similarity)
    if len(signs) != len(matrix):
        raise InputError(f"{len(matrix)} classes need as many words, not {len(signs)}")
    places = rng.permutation(len(signs))
    beside = matrix.copy()
    np.fill_diagonal(beside, 0)
    floats = signs[places].astype(np.float64)
    products = floats @ floats.T / floats.shape[1]
    sums = beside @ products
    while True:
        gains = _gains(beside, products, sums)
        a, b = divmod(int(gains.argmax()), len(gains))
        if gains[a, b] <= GAIN:
            return signs[places]
        sums += np.outer(beside[:, a] - beside[:, b], products[b] - products[a])
        for moved in (products, sums):
            moved[:, [a, b]] = moved[:, [b, a]]
        products[[a, b]] = products[[b, a]]
        places[[a, b]] = places[[b, a]]


def _gains(beside: Similarity, products: Similarity, sums: Similarity) -> Similarity:
    """Return half of what the cost loses where two classes swap words, for all pairs: `(n_classes, n_classes)`.

    Args:
        beside: the similarity with a diagonal of 0.
        products: of the words of classes, over the number of bits.
        sums: `beside @ products`.
    """
    own = np.diagonal(sums)
    return np.asarray(sums + sums.T - own - own[:, None] - 2 * beside * (1 - products))
