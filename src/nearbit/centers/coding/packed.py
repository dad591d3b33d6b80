"""Centers as packed words, and their distances counted by compiled loops, with no matrix of all pairs in memory."""

import numpy as np
import numpy.typing as npt

from nearbit.centers.state import Centers

Words = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]


def packed_words(signs: Centers) -> Words:
    """Return signs as uint64 `(n, ceil(n_bits / 64))`: bit 1 for +1, the first bit highest, padded with 0."""
    packed = np.packbits(signs > 0, axis=1)
    padded = np.zeros((len(signs), -(-packed.shape[1] // 8) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(">u8").astype(np.uint64)


def unpacked_words(words: Words, n_bits: int) -> Centers:
    """Return the signs of packed words: the inverse of `packed_words`."""
    bits = np.unpackbits(words.astype(">u8").view(np.uint8), axis=1, count=n_bits)
    return (2 * bits.astype(np.int8) - 1).astype(np.int8)


def distance_counts(centers: Centers) -> Counts:
    """Return how many pairs of centers differ in 0, 1, ... n_bits bits.

    Args:
        centers: int8 `(n_classes, n_bits)`.

    Returns:
        int64 `(n_bits + 1,)`; the sum is n_classes * (n_classes - 1) / 2.
    """
    from nearbit.centers.coding import kernels

    counts: Counts = kernels.distance_counts(packed_words(centers), centers.shape[1])
    return counts


def min_distance_of(centers: Centers) -> int:
    """Return the smallest distance of two centers, in bits; 0 where two are equal. At least two centers."""
    return int(np.flatnonzero(distance_counts(centers))[0])
