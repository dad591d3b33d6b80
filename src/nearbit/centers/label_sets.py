"""Words for sets of labels: where an image has several, what it is relevant to follows from all of them together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nearbit.centers.nested import nested_centers, shortest_block
from nearbit.centers.semantic.loss import Similarity
from nearbit.centers.separated import separated_centers
from nearbit.centers.state import Centers, Generator

MOST_SETS = 2000
"""The most sets that get words of their own; the search for them takes the square of it."""

BELOW_RELEVANT = 0.3
"""The largest similarity of two sets without a common label; that of two with one is 1."""


class LabelSets(NamedTuple):
    """The sets of labels that images have.

    Attributes:
        sets: bool `(n_sets, n_classes)`, distinct, the most frequent first.
        counts: int64 `(n_sets,)`: how many images have each.
    """

    sets: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.int64]


def label_sets(labels: npt.NDArray[np.bool_]) -> LabelSets:
    """Return the distinct rows of labels bool `(n, n_classes)`, at most 2,000 of them: the most frequent ones."""
    sets, counts = np.unique(labels, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_SETS]
    return LabelSets(sets[order], counts[order].astype(np.int64))


def similarity_of_sets(sets: npt.NDArray[np.bool_], similarity: Similarity) -> Similarity:
    """Return how alike sets of labels are: 1 where they share a label, for their images are relevant to each other.

    Two sets without a common label are as alike as their classes: the mean over all pairs of one class of each, scaled
    so that the largest absolute value is 0.3: relevance comes first.

    Args:
        sets: bool `(n_sets, n_classes)`, none empty.
        similarity: float64 `(n_classes, n_classes)`.

    Returns:
        float64 `(n_sets, n_sets)`, symmetric, -1 to 1, diagonal 1.
    """
    shares = sets / sets.sum(axis=1, keepdims=True)
    beside = similarity - np.diag(np.diagonal(similarity))
    alike = shares @ beside @ shares.T
    alike = (alike + alike.T) / 2
    related = sets.astype(np.float32) @ sets.T.astype(np.float32) > 0
    reach = float(np.abs(alike[~related]).max(initial=0.0))
    return np.asarray(np.where(related, 1.0, alike * (BELOW_RELEVANT / reach if reach else 0.0)))


def words_of_sets(
    sets: npt.NDArray[np.bool_],
    similarity: Similarity,
    n_bits: int,
    rng: Generator,
    *,
    prefixes: Sequence[int] = (),
) -> Centers:
    """Return distinct words for sets of labels that follow `similarity_of_sets`: int8 `(n_sets, n_bits)`.

    Sets that all share labels with each other get words far apart. Where there are more sets than half of all words,
    the sets beyond that get none: fewer rows are returned. With `prefixes` the words are nested (`nested_centers`), and
    half of all words is counted of the shortest block.
    """
    shortest = shortest_block(prefixes, n_bits)
    if shortest < 63:
        sets = sets[: max(2, 2 ** (shortest - 1))]
    alike = similarity_of_sets(sets, similarity)
    beside = alike[~np.eye(len(alike), dtype=bool)]
    if len(sets) > 2 and np.ptp(beside) < 1e-6:
        return separated_centers(len(sets), n_bits, rng)
    return nested_centers(alike, n_bits, prefixes, rng, min_distance=1)


def means_of_classes(known: LabelSets, words: Centers, tie_break: Centers) -> tuple[npt.NDArray[np.float32], Centers]:
    """Return the mean word of the images of each class, and its signs.

    Args:
        known: the sets; those beyond the words are passed over.
        words: int8 `(n, n_bits)`.
        tie_break: int8 `(n_bits,)`: the sign of a mean of 0; the word of a class that no set has.

    Returns:
        float32 and int8 `(n_classes, n_bits)`.
    """
    sets, counts = known.sets[: len(words)], known.counts[: len(words)]
    weights = sets.T * counts.astype(np.float64)
    means = (weights @ words) / np.maximum(weights.sum(axis=1), 1.0)[:, None]
    signs = np.where(means == 0, tie_break, np.sign(means))
    return means.astype(np.float32), signs.astype(np.int8)
