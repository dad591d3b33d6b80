"""Precision and recall: at k and at R, expected over all orders of ties; within a Hamming radius; and their curves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError
from nearbit.given import check_number
from nearbit.metrics.counting.comparison import Comparison, Counts, Values, check_k, compare


def precision_at(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
    k: int,
) -> Values:
    """Return the tie-aware precision at `k` of each query: its exact expectation over all orders of ties.

    The divisor is `k`, also where the database is smaller: missing ranks count as not relevant. Deterministic, and
    independent of the order of the database.

    Args:
        query_codes: uint8 `(n_query, ceil(n_bits / 8))`.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_codes: uint8 `(n_database, ceil(n_bits / 8))`.
        database_labels: labels of the database, in the form of `query_labels`.
        n_bits: code length in bits.
        k: how many ranks count, at least 1.

    Returns:
        float64 `(n_query,)`, each in [0, 1].

    Raises:
        InputError: a wrong type, shape or length, set tail bits, no query, an empty database, or k < 1.

    Example:
        >>> codes = np.array([[0b10000000], [0b10000000]], np.uint8)
        >>> precision_at(codes[:1], [0], codes, [0, 1], 1, k=1).tolist()
        [0.5]
    """
    limit = check_k(k)
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    return comparison.per_query(lambda own, block: expected_precision(*own.histograms(block), limit))


def recall_at(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
    k: int,
) -> Values:
    """Return the tie-aware recall at `k` of each query: the expected share of its relevant items in the first k ranks.

    Arguments and errors are those of `precision_at`. A query without relevant items has the value 0.

    Returns:
        float64 `(n_query,)`, each in [0, 1].
    """
    limit = check_k(k)
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)

    return comparison.per_query(lambda own, block: expected_recall(*own.histograms(block), limit))


def r_precision(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
) -> Values:
    """Return the tie-aware R-precision of each query: precision at R, the number of its relevant items.

    There precision and recall are one number, and a perfect ranking has 1 whatever R is. A query without relevant items
    has the value 0. Arguments and errors are those of `precision_at`.

    Returns:
        float64 `(n_query,)`, each in [0, 1]: the exact expectation over all orders of ties.

    Example:
        >>> codes = np.array([[0b10000000], [0b10000000], [0b00000000]], np.uint8)
        >>> r_precision(codes[:1], [0], codes, [0, 1, 0], 1).tolist()  # R = 2: one of the first two, in either order
        [0.5]
    """
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    return comparison.per_query(lambda own, block: expected_r_precision(*own.histograms(block)))


def within_radius(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
    radius: int,
) -> tuple[Values, Values]:
    """Return precision and recall of each query among the items within a Hamming radius, `radius` bits included.

    No order is involved, so ties do not matter. A query with nothing in its ball has precision 0, as in the field's
    P@H≤2; one without relevant items has recall 0. Other arguments and errors are those of `precision_at`.

    Args:
        radius: in bits, at least 0.

    Returns:
        precision float64 `(n_query,)`, recall float64 `(n_query,)`.
    """
    radius = check_number("radius", radius, whole=True)
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)

    both = comparison.per_query(lambda own, block: np.stack(ball_figures(*own.histograms(block), radius), axis=1))
    return both[:, 0], both[:, 1]


def ball_figures(items: Counts, relevant: Counts, radius: int) -> tuple[Values, Values]:
    """Return precision and recall of each query within a radius, from histograms: float64 `(n_query,)` each."""
    found, inside = relevant[:, : radius + 1].sum(axis=1), items[:, : radius + 1].sum(axis=1)
    return found / np.maximum(inside, 1), found / np.maximum(relevant.sum(axis=1), 1)


def expected_hits(items: Counts, relevant: Counts, ranks: Counts) -> Values:
    """Return the expected number of relevant items within ranks from histograms over distances.

    A tie of n items, r of them relevant, of which the first `t` ranks lie within `k`, adds `r · t / n` items.

    Args:
        items: items at each distance, int64 `(n_query, n_bits + 1)`.
        relevant: relevant items at each distance, the same shape.
        ranks: how many ranks count, each at least 1: int64 `(n_ranks,)`, or `(n_query, n_ranks)`.

    Returns:
        float64 `(n_query, n_ranks)`.
    """
    n, width = items.shape
    limits = np.broadcast_to(ranks, (n, ranks.shape[-1]))
    ends, found = np.cumsum(items, axis=1), np.cumsum(relevant, axis=1)
    past = [np.count_nonzero(ends <= limit[:, None], axis=1) for limit in limits.T]  # ties that lie within the ranks
    cut = np.minimum(np.stack(past, axis=1), width - 1) + width * np.arange(n)[:, None]
    own, hits = items.ravel()[cut], relevant.ravel()[cut]
    counted = np.clip(limits - (ends.ravel()[cut] - own), 0, own)
    return np.asarray(found.ravel()[cut] - hits + hits * counted / np.maximum(own, 1), dtype=np.float64)


def expected_precision(items: Counts, relevant: Counts, k: int | Counts) -> Values:
    """Return the expected precision at `k` from histograms over distances: float64 `(n_query,)`.

    Args:
        items: items at each distance, int64 `(n_query, n_bits + 1)`.
        relevant: relevant items at each distance, the same shape.
        k: how many ranks count; or one number a query, int64 `(n_query,)`, each at least 1.
    """
    return np.asarray(expected_hits(items, relevant, np.reshape(k, (-1, 1)))[:, 0] / k, dtype=np.float64)


def expected_recall(items: Counts, relevant: Counts, k: int) -> Values:
    """Return the expected recall at `k` from histograms over distances; 0 where nothing is relevant."""
    found = expected_hits(items, relevant, np.array([k]))[:, 0]
    return np.asarray(found / np.maximum(relevant.sum(axis=1), 1), dtype=np.float64)


def expected_r_precision(items: Counts, relevant: Counts) -> Values:
    """Return the expected precision at the number of relevant items, from histograms; 0 where nothing is relevant."""
    return expected_precision(items, relevant, np.maximum(relevant.sum(axis=1), 1))


@dataclass(frozen=True, eq=False)
class Curve:
    """A precision–recall curve.

    Attributes:
        at: the radii in bits, or the ranks, int64 `(n_points,)`.
        precision: mean over all queries, float64 `(n_points,)`; an empty ball counts 0.
        recall: mean over all queries, float64 `(n_points,)`; a query without relevant items counts 0.
    """

    at: Counts
    precision: Values
    recall: Values

    def to_dict(self) -> dict[str, list[float]]:
        """Return the curve as lists, ready for JSON."""
        return {"at": self.at.tolist(), "precision": self.precision.tolist(), "recall": self.recall.tolist()}


def curve_by_radius(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
) -> Curve:
    """Return precision and recall within every Hamming radius from 0 to n_bits; no order of ties is involved.

    Arguments and errors are those of `precision_at`.
    """
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)

    def figure(block: range) -> tuple[Values, Values]:
        precision, recall = radius_figures(*comparison.histograms(block))
        return precision.sum(axis=0), recall.sum(axis=0)

    return _mean_curve(comparison, figure, np.arange(n_bits + 1))


def radius_figures(items: Counts, relevant: Counts) -> tuple[Values, Values]:
    """Return precision and recall of each query within each radius: float64 `(n_query, n_bits + 1)` each."""
    inside, found = np.cumsum(items, axis=1), np.cumsum(relevant, axis=1)
    return found / np.maximum(inside, 1), found / np.maximum(found[:, -1:], 1)


def curve_by_rank(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
    ranks: Sequence[int],
) -> Curve:
    """Return the expected precision and recall at each of some ranks, exact over all orders of ties.

    Arguments and errors are those of `precision_at`; each of `ranks` is a whole number of at least 1.
    """
    limits = [check_k(rank) for rank in ranks]
    if not limits:
        raise InputError("ranks must hold at least one rank")
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)

    def figure(block: range) -> tuple[Values, Values]:
        precision, recall = rank_figures(*comparison.histograms(block), np.array(limits))
        return precision.sum(axis=0), recall.sum(axis=0)

    return _mean_curve(comparison, figure, np.array(limits))


def rank_figures(items: Counts, relevant: Counts, ranks: Counts) -> tuple[Values, Values]:
    """Return the expected precision and recall of each query at each rank: float64 `(n_query, n_ranks)` each."""
    hits = expected_hits(items, relevant, ranks)
    return hits / ranks, hits / np.maximum(relevant.sum(axis=1, keepdims=True), 1)


def _mean_curve(comparison: Comparison, figure: Callable[[range], tuple[Values, Values]], at: Counts) -> Curve:
    blocks = list(comparison.map_blocks(figure))
    precision, recall = (np.sum([block[part] for block in blocks], axis=0) / comparison.n_query for part in (0, 1))
    return Curve(at, precision, recall)
