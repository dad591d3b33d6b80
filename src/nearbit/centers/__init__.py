"""Hash centers: one word of -1 and +1 for each class. NumPy and SciPy only."""

from collections.abc import Callable

import numpy as np

from nearbit.centers.bernoulli import bernoulli_centers
from nearbit.centers.centroid import multi_label_centroids
from nearbit.centers.codebook import centers_from, default_codewords, head_bits_for, make_codebook
from nearbit.centers.csq import csq_centers
from nearbit.centers.hadamard import hadamard_centers, hadamard_fits
from nearbit.centers.reassignment import assign_exactly, assign_greedily, reassign, reassignment_costs
from nearbit.centers.state import Centers, CenterState, Generator, check_sizes, pairwise_distances, random_signs
from nearbit.errors import InputError, did_you_mean

__all__ = [
    "CENTERS",
    "CenterState",
    "Centers",
    "Generator",
    "assign_exactly",
    "assign_greedily",
    "bernoulli_centers",
    "centers_from",
    "check_sizes",
    "csq_centers",
    "default_codewords",
    "hadamard_centers",
    "hadamard_fits",
    "head_bits_for",
    "make_centers",
    "make_codebook",
    "multi_label_centroids",
    "pairwise_distances",
    "random_signs",
    "reassign",
    "reassignment_costs",
]


def _codebook_centers(n_classes: int, n_bits: int, rng: Generator) -> Centers:
    codebook = make_codebook(default_codewords(n_classes, n_bits), n_bits, rng)
    first = np.tile(np.arange(n_classes), (len(codebook), 1))
    return centers_from(codebook, first)


CENTERS: dict[str, Callable[[int, int, Generator], Centers]] = {
    "hadamard": lambda n_classes, n_bits, rng: hadamard_centers(n_classes, n_bits),
    "bernoulli": bernoulli_centers,
    "csq": csq_centers,
    "codebook": _codebook_centers,
}
"""Center generators by name: (n_classes, n_bits, rng) to int8 `(n_classes, n_bits)`."""


def make_centers(kind: str, *, n_classes: int, n_bits: int, rng: Generator) -> Centers:
    """Return hash centers made by the named generator.

    Args:
        kind: a name in `CENTERS`: "hadamard", "bernoulli", "csq" (the rule of CSQ) or "codebook" (CRH's first centers).
        n_classes: at least 2.
        n_bits: at least 1.
        rng: source of every random choice; the result is deterministic for a given state of it.

    Returns:
        int8 `(n_classes, n_bits)` of -1 and +1.

    Raises:
        InputError: an unknown kind, or sizes for which the generator has no centers.

    Example:
        >>> make_centers("hadamard", n_classes=3, n_bits=4, rng=np.random.default_rng(0)).tolist()
        [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1]]
    """
    if kind not in CENTERS:
        raise InputError(f"unknown centers {kind!r}; known: {', '.join(CENTERS)}.{did_you_mean(kind, list(CENTERS))}")
    check_sizes(n_classes, n_bits)
    return CENTERS[kind](n_classes, n_bits, rng)
