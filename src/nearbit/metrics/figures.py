"""The figures of a report, one entry each: its name, its words, and how its value of each query is computed.

What is added here is in every report, in its JSON, on the command line, in the cells of a comparison and (`python
tools/figures.py`) in docs/metrics.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from nearbit.metrics.conventions import Convention, expected_by, found_average_precision, ordered_by
from nearbit.metrics.counting.comparison import Comparison, Counts, OrderedSums, Values
from nearbit.metrics.graded import Grades, discount_sums, gain_ratio, graded_histograms, hierarchical_from
from nearbit.metrics.precision import ball_figures, expected_precision, expected_r_precision, expected_recall
from nearbit.metrics.scored import Ties
from nearbit.metrics.separation import certain_from, lower_bound_from
from nearbit.metrics.tie_aware import at_most_k, bounds_from, expected_average_precision

MAP_KS = (100, 1000)
PRECISION_KS = (1, 10, 100)
RECALL_KS = (100, 1000)
NDCG_K = 100
HIERARCHICAL_K = 2500
RADIUS = 2
CONVENTION = "map_by_convention"
"""The name of the figure of a convention that was asked for."""

Group = Literal["distance", "hierarchy", "asymmetric"]
GROUPS: dict[Group, str] = {
    "distance": "of every report: items are ranked by Hamming distance",
    "hierarchy": "of the same ranking, where a hierarchy of classes grades relevance",
    "asymmetric": "of another ranking, by the real outputs of the queries, where those are given",
}
"""The groups of figures; those of different rankings are not compared with each other."""

Seen = TypeVar("Seen")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Figure(Generic[Seen, Result]):
    """One figure of a report.

    Attributes:
        name: in JSON, in Python and on the command line.
        label: in a table for people.
        means: its definition in words; a report carries it beside the value.
        of: its values of queries, from what is seen of their rankings.
        k: how many ranks it counts; in a smaller database it is None. 0 where any database will do.
        group: which ranking it is of, and what it needs; see `GROUPS`.
        is_primary: whether it is the figure of its group to judge by.
        is_compared: whether a comparison of methods shows it among its further figures.
    """

    name: str
    label: str
    means: str
    of: Callable[[Seen], Result]
    k: int = 0
    group: Group = "distance"
    is_primary: bool = False
    is_compared: bool = False


@dataclass(frozen=True, eq=False)
class Block:
    """A block of queries that rank the database by distance: what figures are computed from, each quantity once.

    Attributes:
        comparison: of queries and database.
        queries: which queries.
        limits: how many ranks each of the sums in `ordered` counts, int64 `(n_limits,)`.
        harmonic: the harmonic numbers up to the size of the database.
        grades: of a hierarchy of classes, or None.
    """

    comparison: Comparison
    queries: range
    limits: Counts
    harmonic: Values
    grades: Grades | None = None

    @cached_property
    def ordered(self) -> OrderedSums:
        """The rankings with ties in database order, summed up within each limit."""
        return self.comparison.ordered(self.queries, self.limits)

    @property
    def items(self) -> Counts:
        """Items at each distance, int64 `(n_query, n_bits + 1)`."""
        return self.ordered.items

    @property
    def relevant(self) -> Counts:
        """Relevant items at each distance, the same shape."""
        return self.ordered.relevant

    def tie_aware(self, k: int | None = None) -> Values:
        """Return tie-aware average precision, within k ranks divided by the relevant items, at most k."""
        values = expected_average_precision(self.items, self.relevant, self.harmonic, k)
        return values if k is None else at_most_k(values, self.relevant, k)

    def in_database_order(self, k: int | None = None) -> Values:
        """Return average precision with ties in database order within one of the limits (None for all ranks)."""
        return found_average_precision(self.ordered)[:, self._column(k)]

    def by_convention(self, convention: Convention, k: int | None = None) -> Values:
        """Return average precision within one of the limits by a convention; NaN for a query that it drops."""
        if convention.ties == "expected":
            limit = self.comparison.n_database if k is None else k
            return expected_by(convention, self.items, self.relevant, limit, self.harmonic)
        return ordered_by(convention, self.ordered, self._column(k))

    @cached_property
    def bounds(self) -> tuple[Values, Values]:
        """The lowest and the highest average precision that some order of ties gives."""
        return bounds_from(self.items, self.relevant, self.harmonic)

    @cached_property
    def by_labels(self) -> Counts:
        """Items of each distance and grade, the number of shared labels: int64 `(n_query, n_bits + 1, n_grades)`."""
        if self.comparison.relevance.shared:
            return graded_histograms(self.comparison, self.queries, None)
        return np.stack([self.items - self.relevant, self.relevant], axis=2)

    @cached_property
    def by_levels(self) -> Counts:
        """Items of each distance and grade of the hierarchy, in the same form."""
        return graded_histograms(self.comparison, self.queries, self.grades)

    def up_to(self, k: int) -> int:
        """Return k, or the size of the database where that is smaller."""
        return min(k, self.comparison.n_database)

    def _column(self, k: int | None) -> int:
        return int(np.flatnonzero(self.limits == (self.comparison.n_database if k is None else k))[0])


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
_ASYMMETRIC = (
    "asymmetric: items ranked by the sum of |output of the query| over the bits that differ; mean average precision "
    "{ranks}; divisor: {divisor}; ties: exact mean over all orders; a query that finds nothing counts 0"
)


def _tie_aware(k: int) -> Figure[Block, Values]:
    words = _TIE_AWARE.format(ranks=f"within the first {k} ranks", divisor=f"relevant items, at most {k}")
    return Figure(
        name=f"tie_aware_map_at_{k}", label=f"tie-aware mAP@{k}", means=words, of=lambda block: block.tie_aware(k), k=k,
        is_compared=k == 1000,
    )  # fmt: skip


def _ordered(k: int) -> Figure[Block, Values]:
    words = _ORDERED.format(ranks=f"within the first {k} ranks")
    return Figure(
        name=f"map_database_order_at_{k}", label=f"mAP@{k}, database order", means=words,
        of=lambda block: block.in_database_order(k), k=k,
    )  # fmt: skip


def _precision(k: int) -> Figure[Block, Values]:
    return Figure(
        name=f"precision_at_{k}",
        label=f"precision@{k}",
        means=f"mean over all queries of the share of relevant items among the first {k}; {_EXACT}",
        of=lambda block: expected_precision(block.items, block.relevant, k),
        k=k,
        is_compared=k == 100,
    )


def _recall(k: int) -> Figure[Block, Values]:
    return Figure(
        name=f"recall_at_{k}",
        label=f"recall@{k}",
        means=f"mean over all queries of the share of its relevant items among the first {k}; {_EXACT}; a query "
        "without relevant items counts 0",
        of=lambda block: expected_recall(block.items, block.relevant, k),
        k=k,
    )


def _asymmetric(k: int | None) -> Figure[Ties, float]:
    at, divisor = ("", "all relevant items") if k is None else (f"_at_{k}", f"relevant items, at most {k}")
    ranks = "over the whole database" if k is None else f"at {k} ranks"
    return Figure(
        name=f"asymmetric_tie_aware_map{at}",
        label="asymmetric tie-aware mAP" + ("" if k is None else f"@{k}"),
        means=_ASYMMETRIC.format(ranks=ranks, divisor=divisor),
        of=lambda ties: ties.average_precision(k, "at most k"),
        k=k or 0,
        group="asymmetric",
        is_primary=k is None,
    )


BY_DISTANCE: tuple[Figure[Block, Values], ...] = (
    Figure(
        name="tie_aware_map",
        label="tie-aware mAP",
        means=_TIE_AWARE.format(ranks="over the whole database", divisor="all relevant items"),
        of=Block.tie_aware,
        is_primary=True,
    ),
    Figure(
        name="lowest_map",
        label="lowest mAP",
        means="as tie_aware_map, with the order of equal distances that is worst for each query",
        of=lambda block: block.bounds[0],
    ),
    Figure(
        name="highest_map",
        label="highest mAP",
        means="as tie_aware_map, with the order of equal distances that is best for each query",
        of=lambda block: block.bounds[1],
    ),
    *map(_tie_aware, MAP_KS),
    Figure(
        name="map_database_order",
        label="mAP, database order",
        means=_ORDERED.format(ranks="over the whole database"),
        of=Block.in_database_order,
        is_compared=True,
    ),
    *map(_ordered, MAP_KS),
    *map(_precision, PRECISION_KS),
    *map(_recall, RECALL_KS),
    Figure(
        name="r_precision",
        label="R-precision",
        means="mean over all queries of the share of relevant items among the first R, R the number of the query's "
        f"relevant items; {_EXACT}; a query without relevant items counts 0",
        of=lambda block: expected_r_precision(block.items, block.relevant),
    ),
    Figure(
        name=f"precision_within_{RADIUS}",
        label=f"precision within {RADIUS} bits",
        means=f"{_WITHIN}the share of relevant ones; a query with no item there counts 0",
        of=lambda block: ball_figures(block.items, block.relevant, RADIUS)[0],
        is_compared=True,
    ),
    Figure(
        name=f"recall_within_{RADIUS}",
        label=f"recall within {RADIUS} bits",
        means=f"{_WITHIN}their share of the query's relevant items; without any, it counts 0",
        of=lambda block: ball_figures(block.items, block.relevant, RADIUS)[1],
    ),
    Figure(
        name=f"ndcg_at_{NDCG_K}",
        label=f"NDCG@{NDCG_K}",
        means=f"mean over all queries; grade: number of shared labels; {_GAIN}",
        of=lambda block: gain_ratio(block.by_labels, discount_sums(block.up_to(NDCG_K))),
        k=NDCG_K,
        is_compared=True,
    ),
    Figure(
        name="guaranteed_map",
        label="guaranteed mAP",
        means="mean over all queries of 1/N times the sum of i / (i + F), i = 1 to N, for N relevant items and F "
        "others within the distance of the last of them: AP is at least that; a query without relevant items counts 0",
        of=lambda block: lower_bound_from(block.items, block.relevant, block.harmonic),
    ),
    Figure(
        name="separated_queries",
        label="separated queries",
        means="share of queries all of whose relevant items lie nearer than every other item, so that AP is 1 in any "
        "order of ties; a query without relevant items is none of them",
        of=lambda block: certain_from(block.items, block.relevant),
    ),
    Figure(
        name=f"hierarchical_ndcg_at_{NDCG_K}",
        label=f"hierarchical NDCG@{NDCG_K}",
        means=f"mean over all queries; grade: levels that two classes share; {_GAIN}",
        of=lambda block: gain_ratio(block.by_levels, discount_sums(block.up_to(NDCG_K))),
        k=NDCG_K,
        group="hierarchy",
    ),
    Figure(
        name=f"mahp_at_{HIERARCHICAL_K}",
        label=f"mAHP@{HIERARCHICAL_K}",
        means=f"mean over all queries of the mean over the first {HIERARCHICAL_K} ranks of the sum of shared levels "
        f"over the largest such sum; {_EXACT}",
        of=lambda block: hierarchical_from(block.by_levels, block.up_to(HIERARCHICAL_K)),
        k=HIERARCHICAL_K,
        group="hierarchy",
    ),
)
"""The figures of the ranking by distance, computed block by block of queries."""

ASYMMETRIC: tuple[Figure[Ties, float], ...] = tuple(map(_asymmetric, (None, *MAP_KS)))
"""The figures of the ranking by the queries' real outputs, computed query by query."""

FIGURES: tuple[Figure[Any, Any], ...] = (*BY_DISTANCE, *ASYMMETRIC)
"""Every figure, in the order in which they are told; the primary ones come first in their groups."""


def by_convention(convention: Convention, k: int | None) -> Figure[Block, Values]:
    """Return the figure of a convention that was asked for: it has NaN for the queries that the convention drops."""
    return Figure(
        name=CONVENTION,
        label="mAP by convention",
        means=convention.describe(k),
        of=lambda block: block.by_convention(convention, k),
        is_primary=True,
    )
