"""The figures of a report: what each is called, what it means, and its value for each query of a block."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nearbit.metrics.counting.comparison import Comparison, Counts, Values
from nearbit.metrics.graded import Grades, discount_sums, gain_ratio, graded_histograms, hierarchical_from
from nearbit.metrics.ordered import found_average_precision
from nearbit.metrics.precision import ball_figures, expected_precision, expected_recall
from nearbit.metrics.sums import expected_average_precision, harmonic_numbers
from nearbit.metrics.tie_aware import at_most_k, bounds_from

MAP_KS = (100, 1000)
PRECISION_KS = (1, 10, 100)
RECALL_KS = (100, 1000)
NDCG_K = 100
HIERARCHICAL_K = 2500
RADIUS = 2

_EXACT = "exact expectation over the orders of equal distances"
_TIE_AWARE = (
    f"mean over all queries of average precision {{ranks}}; {_EXACT}; divisor: {{divisor}}; a query without relevant "
    "items counts 0"
)
_ORDERED = (
    "mean over all queries of average precision {ranks}; ties in database order; divisor: relevant items found in "
    "those ranks; a query that finds none counts 0 (the convention of DeepHash-pytorch and most published tables)"
)
_WITHIN = f"mean over all queries among the items within {RADIUS} bits; no order is involved; "
_GAIN = f"gain 2^grade - 1, discount 1 / log2(rank + 1), over the best ranking's; {_EXACT}"
CONVENTIONS: dict[str, str] = {
    "tie_aware_map": _TIE_AWARE.format(ranks="over the whole database", divisor="all relevant items"),
    "lowest_map": "as tie_aware_map, with the order of equal distances that is worst for each query",
    "highest_map": "as tie_aware_map, with the order of equal distances that is best for each query",
    **{
        f"tie_aware_map_at_{k}": _TIE_AWARE.format(
            ranks=f"within the first {k} ranks", divisor=f"relevant items, at most {k}"
        )
        for k in MAP_KS
    },
    "map_database_order": _ORDERED.format(ranks="over the whole database"),
    **{f"map_database_order_at_{k}": _ORDERED.format(ranks=f"within the first {k} ranks") for k in MAP_KS},
    **{
        f"precision_at_{k}": f"mean over all queries of the share of relevant items among the first {k}; {_EXACT}"
        for k in PRECISION_KS
    },
    **{
        f"recall_at_{k}": f"mean over all queries of the share of its relevant items among the first {k}; {_EXACT}; "
        "a query without relevant items counts 0"
        for k in RECALL_KS
    },
    f"precision_within_{RADIUS}": f"{_WITHIN}the share of relevant ones; a query with no item there counts 0",
    f"recall_within_{RADIUS}": f"{_WITHIN}their share of the query's relevant items; without any, it counts 0",
    f"ndcg_at_{NDCG_K}": f"mean over all queries; grade: number of shared labels; {_GAIN}",
}
"""What each figure of every report means, by its name."""

HIERARCHICAL: dict[str, str] = {
    f"hierarchical_ndcg_at_{NDCG_K}": f"mean over all queries; grade: levels that two classes share; {_GAIN}",
    f"mahp_at_{HIERARCHICAL_K}": f"mean over all queries of the mean over the first {HIERARCHICAL_K} ranks of the sum "
    f"of shared levels over the largest such sum; {_EXACT}",
}
"""What the figures mean that need a hierarchy of classes."""


@dataclass(frozen=True, eq=False)
class Figures:
    """Computes every figure of a report for blocks of queries.

    Attributes:
        n_database: number of database items.
        grades: of a hierarchy of classes, or None.
    """

    n_database: int
    grades: Grades | None = None

    @cached_property
    def harmonic(self) -> Values:
        """The harmonic numbers up to the size of the database."""
        return harmonic_numbers(self.n_database)

    @cached_property
    def ranks(self) -> Counts:
        """The ranks of the curve by rank: 1, 2, 5, 10, … and the size of the database."""
        steps = [step * 10**power for power in range(len(str(self.n_database))) for step in (1, 2, 5)]
        return np.array([*(rank for rank in steps if rank < self.n_database), self.n_database], np.int64)

    def of_block(self, comparison: Comparison, block: range) -> dict[str, Values]:
        """Return figures of each query of a block: float64 `(len(block),)`, curves `(len(block), points)`."""
        ordered = comparison.ordered(block, np.array([self.n_database, *MAP_KS], np.int64))
        items, relevant, found = ordered.items, ordered.relevant, found_average_precision(ordered)
        values = {
            "n_relevant": relevant.sum(axis=1).astype(np.float64),
            "tie_aware_map": expected_average_precision(items, relevant, self.harmonic),
            "map_database_order": found[:, 0],
            **dict(zip(("lowest_map", "highest_map"), bounds_from(items, relevant, self.harmonic), strict=True)),
        }
        for column, k in enumerate(MAP_KS, start=1):
            values[f"map_database_order_at_{k}"] = found[:, column]
            cut = expected_average_precision(items, relevant, self.harmonic, k)
            values[f"tie_aware_map_at_{k}"] = at_most_k(cut, relevant, k)
        values |= {f"precision_at_{k}": expected_precision(items, relevant, k) for k in PRECISION_KS}
        values |= {f"recall_at_{k}": expected_recall(items, relevant, k) for k in RECALL_KS}
        within = ball_figures(items, relevant, RADIUS)
        values |= dict(zip((f"precision_within_{RADIUS}", f"recall_within_{RADIUS}"), within, strict=True))
        return values | self._curves(items, relevant) | self._graded(comparison, block, items, relevant)

    def _curves(self, items: Counts, relevant: Counts) -> dict[str, Values]:
        inside, found = np.cumsum(items, axis=1), np.cumsum(relevant, axis=1)
        total = np.maximum(found[:, -1:], 1)
        by_rank = np.stack([expected_precision(items, relevant, int(rank)) for rank in self.ranks], axis=1)
        return {
            "precision_by_radius": found / np.maximum(inside, 1),
            "recall_by_radius": found / total,
            "precision_by_rank": by_rank,
            "recall_by_rank": by_rank * self.ranks / total,
        }

    def _graded(self, comparison: Comparison, block: range, items: Counts, relevant: Counts) -> dict[str, Values]:
        discounts = discount_sums(min(NDCG_K, self.n_database))
        if comparison.relevance.shared:
            counts = graded_histograms(comparison, block, None)
        else:
            counts = np.stack([items - relevant, relevant], axis=2)
        values = {f"ndcg_at_{NDCG_K}": gain_ratio(counts, discounts)}
        if self.grades is not None:
            counts = graded_histograms(comparison, block, self.grades)
            values[f"hierarchical_ndcg_at_{NDCG_K}"] = gain_ratio(counts, discounts)
            values[f"mahp_at_{HIERARCHICAL_K}"] = hierarchical_from(counts, min(HIERARCHICAL_K, self.n_database))
        return values
