"""Hash centers: one word of -1 and +1 for each class. NumPy and SciPy only."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nearbit.centers.bernoulli import bernoulli_centers
from nearbit.centers.centroid import multi_label_centroids
from nearbit.centers.certificate import Certificate, certify
from nearbit.centers.codebook import centers_from, default_codewords, head_bits_for, make_codebook
from nearbit.centers.coding.bounds import (
    check_min_distance,
    gilbert_varshamov_distance,
    hamming_bound,
    linear_programming_bound,
    plotkin_bound,
    proven_upper_bound,
)
from nearbit.centers.coding.construction import best_known_distance
from nearbit.centers.coding.packed import distance_counts, min_distance_of
from nearbit.centers.csq import csq_centers
from nearbit.centers.hadamard import hadamard_centers, hadamard_fits
from nearbit.centers.label_regression import polar_factor, regressed_words, regression_centers
from nearbit.centers.label_sets import LabelSets, label_sets, means_of_classes, words_of_sets
from nearbit.centers.mds import mds_centers, mds_objective
from nearbit.centers.nearest_spare import distinct_words, nearest_spare
from nearbit.centers.nested import check_prefixes, nested_centers
from nearbit.centers.orthohash import maxhd_centers, orthohash_centers
from nearbit.centers.reassignment import assign_exactly, assign_greedily, reassign, reassignment_costs
from nearbit.centers.semantic.loss import check_similarity, semantic_loss, similarity_correlation
from nearbit.centers.semantic.published import SHCOptions, published_shc_centers
from nearbit.centers.semantic.quadratic_assignment import assign_words, semantic_by_assignment
from nearbit.centers.semantic.search import Trade, semantic_centers, trade_off
from nearbit.centers.semantic.similarity import (
    SimilarityRule,
    similarity_from_distances,
    similarity_from_embeddings,
    similarity_from_logits,
    similarity_from_prototypes,
    similarity_from_shared_images,
)
from nearbit.centers.semantic.swap_descent import swap_cost, swapped_words
from nearbit.centers.separated import mean_distance, separated_centers
from nearbit.centers.spare import spare_codewords
from nearbit.centers.state import Centers, CenterState, Generator, check_sizes, pairwise_distances, random_signs
from nearbit.centers.tammes import tammes_points
from nearbit.errors import InputError, did_you_mean
from nearbit.keywords import generator_of, suggesting

__all__ = [
    "CENTERS",
    "SEMANTIC_CENTERS",
    "CenterState",
    "Centers",
    "Certificate",
    "Generator",
    "LabelSets",
    "SHCOptions",
    "SimilarityRule",
    "Trade",
    "assign_exactly",
    "assign_greedily",
    "assign_words",
    "bernoulli_centers",
    "best_known_distance",
    "centers_from",
    "certify",
    "check_prefixes",
    "check_similarity",
    "check_sizes",
    "csq_centers",
    "default_codewords",
    "distance_counts",
    "distinct_words",
    "gilbert_varshamov_distance",
    "hadamard_centers",
    "hadamard_fits",
    "hamming_bound",
    "head_bits_for",
    "label_sets",
    "linear_programming_bound",
    "make_centers",
    "make_codebook",
    "maxhd_centers",
    "mds_centers",
    "mds_objective",
    "mean_distance",
    "means_of_classes",
    "min_distance_of",
    "multi_label_centroids",
    "nearest_spare",
    "nested_centers",
    "orthohash_centers",
    "pairwise_distances",
    "plotkin_bound",
    "polar_factor",
    "proven_upper_bound",
    "published_shc_centers",
    "published_start",
    "random_signs",
    "reassign",
    "reassignment_costs",
    "regressed_words",
    "regression_centers",
    "semantic_by_assignment",
    "semantic_centers",
    "semantic_loss",
    "separated_centers",
    "similarity_correlation",
    "similarity_from_distances",
    "similarity_from_embeddings",
    "similarity_from_logits",
    "similarity_from_prototypes",
    "similarity_from_shared_images",
    "spare_codewords",
    "swap_cost",
    "swapped_words",
    "tammes_points",
    "trade_off",
    "words_of_sets",
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
    "separated": separated_centers,
    "mds": mds_centers,
    "orthohash": orthohash_centers,
    "maxhd": maxhd_centers,
}
"""Center generators by name: (n_classes, n_bits, rng) to int8 `(n_classes, n_bits)`."""


SemanticGenerator = Callable[[npt.NDArray[np.float64], int, Generator, int | None], Centers]


def published_start(n_classes: int, n_bits: int, rng: Generator, min_distance: int | None) -> Centers:
    """Return what SHC's published procedure starts from: MDS centers, or separated ones where those are too near.

    Raises:
        InputError: the distance is impossible, or not reached.
    """
    if min_distance is not None:
        check_min_distance(n_classes, n_bits, min_distance)
    start = mds_centers(n_classes, n_bits, rng)
    if min_distance is not None and min_distance_of(start) < min_distance:
        start = separated_centers(n_classes, n_bits, rng, min_distance=min_distance)
    return start


def _published(similarity: npt.NDArray[np.float64], n_bits: int, rng: Generator, min_distance: int | None) -> Centers:
    start = published_start(len(similarity), n_bits, rng, min_distance)
    return published_shc_centers(similarity, start, min_distance=min_distance, options=SHCOptions.released())


SEMANTIC_CENTERS: dict[str, SemanticGenerator] = {
    "semantic": lambda s, n_bits, rng, least: semantic_centers(s, n_bits, rng, min_distance=least),
    "shc": _published,
    "assigned": lambda s, n_bits, rng, least: semantic_by_assignment(s, n_bits, rng, min_distance=least),
}
"""Generators that follow a similarity, by name: (similarity, n_bits, rng, min_distance or None) to centers."""


@suggesting
def make_centers(
    kind: str,
    *,
    n_classes: int,
    n_bits: int,
    rng: Generator | None = None,
    seed: int | None = None,
    similarity: npt.ArrayLike | None = None,
    min_distance: int | None = None,
) -> Centers:
    """Return hash centers made by the named generator.

    Args:
        kind: a name in `CENTERS`, such as "hadamard", "bernoulli", "csq" (the rule of CSQ), "codebook" (CRH's first
            centers) or "separated" (the largest minimum distance); or, with a similarity, one in `SEMANTIC_CENTERS`:
            "semantic" (the search of nearbit), "shc" (SHC's procedure as released, from MDS centers) or "assigned"
            (words of a strong code given to the classes by their similarity).
        n_classes: at least 2.
        n_bits: at least 1.
        rng: source of every random choice; the result is deterministic for a given state of it.
        seed: a whole number, in the place of `rng`.
        similarity: float `(n_classes, n_classes)`, see `check_similarity`; for the kinds that follow one.
        min_distance: least distance of any two centers, in bits; for "separated" and the kinds with a similarity.

    Returns:
        int8 `(n_classes, n_bits)` of -1 and +1.

    Raises:
        InputError: an unknown kind, sizes for which the generator has no centers, a similarity that is missing or that
            the kind does not use, a min_distance that is impossible, not reached or not used by the kind, or not one of
            `rng` and `seed`.

    Example:
        >>> make_centers("hadamard", n_classes=3, n_bits=4, seed=0).tolist()
        [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1]]
    """
    rng = generator_of(rng, seed, needed=True)
    known = [*CENTERS, *SEMANTIC_CENTERS]
    if kind not in known:
        raise InputError(f"unknown centers {kind!r}; known: {', '.join(known)}.{did_you_mean(kind, known)}")
    check_sizes(n_classes, n_bits)
    n_classes, n_bits = int(n_classes), int(n_bits)
    if kind in SEMANTIC_CENTERS:
        if similarity is None:
            raise InputError(f"{kind!r} centers follow a similarity of classes: give one, or take 'separated' centers")
        matrix, _ = check_similarity(similarity, n_classes)
        return SEMANTIC_CENTERS[kind](matrix, n_bits, rng, min_distance)
    if similarity is not None:
        raise InputError(f"{kind!r} centers follow no similarity: leave it out, or take 'semantic' centers")
    if min_distance is None:
        return CENTERS[kind](n_classes, n_bits, rng)
    if kind != "separated":
        raise InputError(f"{kind!r} centers take no min_distance: leave it out, or take 'separated' centers")
    return separated_centers(n_classes, n_bits, rng, min_distance=min_distance)
