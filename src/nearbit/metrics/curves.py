"""Precision–recall curves, by Hamming radius and by rank: means over all queries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError
from nearbit.metrics.counting.comparison import Comparison, Counts, Values, check_k, compare
from nearbit.metrics.precision import expected_precision


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
        items, relevant = comparison.histograms(block)
        precision = np.stack([expected_precision(items, relevant, limit) for limit in limits], axis=1)
        total = np.maximum(relevant.sum(axis=1, keepdims=True), 1)
        return precision.sum(axis=0), (precision * np.array(limits) / total).sum(axis=0)

    return _mean_curve(comparison, figure, np.array(limits))


def _mean_curve(comparison: Comparison, figure: Callable[[range], tuple[Values, Values]], at: Counts) -> Curve:
    blocks = list(comparison.map_blocks(figure))
    precision, recall = (np.sum([block[part] for block in blocks], axis=0) / comparison.n_query for part in (0, 1))
    return Curve(at, precision, recall)
