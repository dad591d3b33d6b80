"""Nested words: the first bits of each are good words of their own, so that one model has codes of several lengths."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nearbit.centers.semantic.loss import Similarity, check_similarity
from nearbit.centers.semantic.search import semantic_centers
from nearbit.centers.separated import separated_centers
from nearbit.centers.state import Centers, Generator
from nearbit.errors import InputError

EQUAL = 1e-6
"""Where what is left is as equal as this for all pairs, it tells nothing, and words far apart are taken."""


def nested_centers(
    similarity: npt.ArrayLike,
    n_bits: int,
    prefixes: Sequence[int],
    rng: Generator,
    *,
    min_distance: int | None = None,
    effort: float = 1.0,
) -> Centers:
    """Return centers of which the first bits, for each of some lengths, are a search of their own.

    The first block of bits is what `semantic_centers` finds for so many bits. Each further block is searched, with the
    bits before it left as they are, so that the words up to its end have a small semantic loss: with H the words
    before it, S the similarity, n the bits up to its end and m its own, it follows (n S - H Hᵀ) / m. So two words that
    came too near in the first bits are pushed apart in the next ones. What is found up to a length is the same for
    every longer one.

    The blocks keep a minimum distance each, so that words of any length keep at least the sum over the blocks in it;
    one search over all bits keeps more. (On CIFAR-100, blocks of 16, 16 and 32: 4, 8 and 18 bits at 16, 32 and 64,
    instead of 4, 10 and 24; the semantic loss is .039, .015 and .0074 instead of .039, .018 and .0119.)
    Source: our own; that codes can be nested is the idea of NHL. Deterministic for a given `rng`.

    Args:
        similarity: see `semantic_centers`.
        n_bits: length of the whole words.
        prefixes: the shorter lengths, increasing, each below n_bits; none for one search over all bits.
        rng: source of every random choice.
        min_distance: least distance within each block, in bits; by default as in `semantic_centers`, for each block.
        effort: see `semantic_centers`.

    Returns:
        int8 `(n_classes, n_bits)`.

    Raises:
        InputError: prefixes that do not increase, are below 1 or not below n_bits, or whose blocks have fewer words
            than there are classes; else as `semantic_centers`.

    Example:
        >>> alike = [[1, 0.5, -1], [0.5, 1, -1], [-1, -1, 1]]
        >>> whole = nested_centers(alike, 8, [4], np.random.default_rng(0))
        >>> np.array_equal(whole[:, :4], semantic_centers(alike, 4, np.random.default_rng(0)))
        True
    """
    matrix, _ = check_similarity(similarity)
    check_prefixes(prefixes, n_bits, len(matrix))
    found = np.empty((len(matrix), 0), np.int8)
    for length in (*prefixes, n_bits):
        left, n_new = _left(matrix, found, length), length - found.shape[1]
        if found.shape[1] and np.ptp(left[~np.eye(len(left), dtype=bool)]) < EQUAL:
            block = separated_centers(len(left), n_new, rng, min_distance=min_distance)
        else:
            block = semantic_centers(left, n_new, rng, min_distance=min_distance, effort=effort)
        found = np.hstack([found, block])
    return found


def check_prefixes(prefixes: Sequence[int], n_bits: int, n_classes: int) -> None:
    """Raise `InputError` unless prefixes increase from at least 1 to below n_bits, with a word for every class a block.

    Without prefixes there is nothing to check.
    """
    lengths = [0, *prefixes, n_bits]
    if any(length >= later for length, later in pairwise(lengths)):
        said = ", ".join(map(str, prefixes))
        raise InputError(f"nested lengths must increase from at least 1 to below the {n_bits} bits, not be {said}")
    shortest = shortest_block(prefixes, n_bits)
    if prefixes and shortest < 63 and n_classes > 2**shortest:
        raise InputError(
            f"{n_classes} classes need blocks of at least {(n_classes - 1).bit_length()} bits between nested lengths, "
            f"not {shortest}: take lengths further apart"
        )


def shortest_block(prefixes: Sequence[int], n_bits: int) -> int:
    """Return the least number of bits between one of these lengths and the next.

    Example:
        >>> shortest_block([16, 24], 64)
        8
    """
    return int(np.diff([0, *prefixes, n_bits]).min())


def _left(matrix: Similarity, found: Centers, length: int) -> Similarity:
    """Return what the next block is to follow: the similarity, less what the bits before it have of it."""
    done = found.shape[1]
    if not done:
        return matrix
    words = found.astype(np.float64)
    left = (length * matrix - words @ words.T) / (length - done)
    np.fill_diagonal(left, 1.0)
    return np.asarray(left)
