"""A word for a class that comes later: far enough from the centers in use, and as near as can be to its images."""

import numpy as np
import numpy.typing as npt

from nearbit.centers.spare import ENUMERABLE_BITS, all_words, checked_centers, spare_codewords
from nearbit.centers.state import Centers, Generator
from nearbit.errors import InputError
from nearbit.given import check_number

STARTS = 8
"""Spare codewords from which longer words start."""

Outputs = npt.NDArray[np.float64]


def nearest_spare(
    centers: npt.ArrayLike, mean_outputs: npt.ArrayLike, min_distance: int, rng: Generator, *, strict: bool = True
) -> Centers:
    """Return the word nearest to the outputs of a class among those at a minimum distance from all centers.

    Nearest: with the largest inner product with the mean outputs. Up to 16 bits all words are looked at. For longer
    ones the signs of the outputs are moved away from the centers, bit by bit, the least certain bit first; that word
    and spare codewords of the centers are then moved back towards the outputs, as far as the distance allows.

    Deterministic for a given `rng`. Beyond 16 bits a nearer word may exist, and one that keeps a distance that none of
    the words that were found keeps.

    Args:
        centers: int8 `(n_classes, n_bits)` of -1 and +1, the centers in use; at least one.
        mean_outputs: float `(n_bits,)`, the mean of the outputs of the images of the class.
        min_distance: from every center, in bits, at least 1.
        rng: source of every random choice.
        strict: refuse a distance that no word was found to have. Otherwise the largest that was found takes its place.

    Returns:
        int8 `(n_bits,)` of -1 and +1.

    Raises:
        InputError: outputs of another length or not finite, a distance below 1, one that no word was found to have
            (where `strict`), or no word that is not a center.

    Example:
        >>> nearest_spare([[1, 1, 1, 1]], [0.9, 0.1, 0.8, -0.7], 2, np.random.default_rng(0)).tolist()
        [1, -1, 1, -1]
    """
    used, wish = checked_centers(centers), np.asarray(mean_outputs, np.float64)
    n_bits = used.shape[1]
    if wish.shape != (n_bits,) or not np.isfinite(wish).all():
        raise InputError(f"mean outputs must be finite, of the shape ({n_bits},), not {wish.shape}")
    check_number("the least distance to the centers in bits", min_distance, at_least=1, whole=True)
    words = all_words(n_bits) if n_bits <= ENUMERABLE_BITS else _starts(used, wish, min_distance, rng)
    distances = _nearest_distances(words, used)
    least = min(min_distance, int(distances.max()))
    if not least or (strict and least < min_distance):
        _refuse(used, min_distance, least)
    far = words[distances >= least]
    if n_bits > ENUMERABLE_BITS:
        far = np.stack([_moved_back(word, used, wish, least) for word in far])
    best: Centers = far[int((far @ wish).argmax())]
    return best


def distinct_words(centers: Centers, wish: Outputs, rng: Generator) -> Centers:
    """Return words that all differ: of equal ones the first class keeps it, others get the nearest word that is free.

    Args:
        centers: int8 `(n_classes, n_bits)`, at most 2 ** n_bits rows.
        wish: float64 `(n_classes, n_bits)`: what the word of a class is to be near to.
        rng: see `nearest_spare`.
    """
    words = centers.copy()
    _, first = np.unique(words, axis=0, return_index=True)
    again = np.setdiff1d(np.arange(len(words)), first)
    for number in again:
        others = np.delete(words, again[again >= number], axis=0)
        words[number] = nearest_spare(others, wish[number], 1, rng)
    return words


def _starts(used: Centers, wish: Outputs, min_distance: int, rng: Generator) -> Centers:
    spares = [spare_codewords(used, number, rng)[0] for number in (1, STARTS)]
    return np.concatenate([_moved_away(used, wish, min_distance)[None], *spares])


def _moved_away(used: Centers, wish: Outputs, min_distance: int) -> Centers:
    """Return the signs of the outputs after flips of bits that the nearest center shares, the least certain first."""
    word = np.where(wish >= 0, 1, -1).astype(np.int8)
    for _ in range(len(word)):
        distances = (word != used).sum(axis=1)
        nearest = used[distances.argmin()]
        if distances.min() >= min_distance:
            break
        shared = np.flatnonzero(word == nearest)
        bit = shared[np.abs(wish[shared]).argmin()]
        word[bit] = -word[bit]
    return word


def _moved_back(word: Centers, used: Centers, wish: Outputs, min_distance: int) -> Centers:
    """Return a word that has the distance after flips towards the outputs, the most certain first, that keep it."""
    moved, changed = word.copy(), True
    distances = (moved != used).sum(axis=1)
    while changed:
        changed = False
        for bit in np.argsort(-np.abs(wish), kind="stable"):
            after = distances + np.where(used[:, bit] == moved[bit], 1, -1)
            if moved[bit] * wish[bit] < 0 and after.min() >= min_distance:
                moved[bit], distances, changed = -moved[bit], after, True
    return moved


def _nearest_distances(words: Centers, used: Centers) -> npt.NDArray[np.int64]:
    from nearbit.centers.coding import kernels
    from nearbit.centers.coding.packed import packed_words

    found: npt.NDArray[np.int64] = kernels.smallest_distances(packed_words(words), packed_words(used))
    return found


def _refuse(used: Centers, min_distance: int, farthest: int) -> None:
    n_used, n_bits = used.shape
    if not farthest:
        raise InputError(f"every word of {n_bits} bits is a center already: train with more bits")
    raise InputError(
        f"no word of {n_bits} bits was found that is {min_distance} bits from all {n_used} centers; the farthest is "
        f"{farthest}: ask for that (min_distance, --min-distance {farthest}), or train with more bits"
    )
