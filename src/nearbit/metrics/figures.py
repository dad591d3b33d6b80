"""The figures of a report, one entry each: its name, its words, and how its value of each query is computed.

What is added here is in every report, in its JSON, on the command line, in the cells of a comparison and (`python
tools/figures.py`) in docs/metrics.md.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from nearbit.errors import InputError, did_you_mean
from nearbit.metrics.block import Block
from nearbit.metrics.conventions import Convention
from nearbit.metrics.counting.comparison import Values
from nearbit.metrics.graded import discount_sums, gain_ratio, hierarchical_from
from nearbit.metrics.precision import ball_figures, expected_r_precision
from nearbit.metrics.scored import Ties
from nearbit.metrics.separation import certain_from, lower_bound_from

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

Kind = Literal["tie-aware", "database-order", "precision", "ndcg", "guaranteed", "hierarchy", "asymmetric"]
KINDS: dict[Kind, str] = {
    "tie-aware": "average precision in expectation over the orders of equal distances, and its bounds",
    "database-order": "average precision with equal distances in database order, as most published tables have it",
    "precision": "precision and recall at ranks and within a radius",
    "ndcg": "gain by the number of shared labels",
    "guaranteed": "what holds in any order, and how far classes are apart",
    "hierarchy": "relevance graded by a hierarchy of classes",
    "asymmetric": "the ranking by the real outputs of the queries",
}
"""What figures can be asked for by; the primary one is in every report."""

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
        kind: what it can be asked for by; see `KINDS`.
        k: how many ranks it counts; in a smaller database it is None. 0 where any database will do.
        group: which ranking it is of, and what it needs; see `GROUPS`.
        is_primary: whether it is the figure of its group to judge by.
        is_compared: whether a comparison of methods shows it among its further figures.
    """

    name: str
    label: str
    means: str
    of: Callable[[Seen], Result]
    kind: Kind
    k: int = 0
    group: Group = "distance"
    is_primary: bool = False
    is_compared: bool = False


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
        kind="tie-aware",
        is_compared=k == 1000,
    )  # fmt: skip


def _ordered(k: int) -> Figure[Block, Values]:
    words = _ORDERED.format(ranks=f"within the first {k} ranks")
    return Figure(
        name=f"map_database_order_at_{k}", label=f"mAP@{k}, database order", means=words,
        of=lambda block: block.in_database_order(k), k=k,
        kind="database-order",
    )  # fmt: skip


def _precision(k: int) -> Figure[Block, Values]:
    return Figure(
        name=f"precision_at_{k}",
        label=f"precision@{k}",
        means=f"mean over all queries of the share of relevant items among the first {k}; {_EXACT}",
        of=lambda block: block.hits_at(k) / k,
        kind="precision",
        k=k,
        is_compared=k == 100,
    )


def _recall(k: int) -> Figure[Block, Values]:
    return Figure(
        name=f"recall_at_{k}",
        label=f"recall@{k}",
        means=f"mean over all queries of the share of its relevant items among the first {k}; {_EXACT}; a query "
        "without relevant items counts 0",
        of=lambda block: block.hits_at(k) / block.total,
        kind="precision",
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
        kind="asymmetric",
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
        kind="tie-aware",
        is_primary=True,
    ),
    Figure(
        name="lowest_map",
        label="lowest mAP",
        means="as tie_aware_map, with the order of equal distances that is worst for each query",
        of=lambda block: block.bounds[0],
        kind="tie-aware",
    ),
    Figure(
        name="highest_map",
        label="highest mAP",
        means="as tie_aware_map, with the order of equal distances that is best for each query",
        of=lambda block: block.bounds[1],
        kind="tie-aware",
    ),
    *map(_tie_aware, MAP_KS),
    Figure(
        name="map_database_order",
        label="mAP, database order",
        means=_ORDERED.format(ranks="over the whole database"),
        of=Block.in_database_order,
        kind="database-order",
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
        of=lambda block: expected_r_precision(*block.near),
        kind="precision",
    ),
    Figure(
        name=f"precision_within_{RADIUS}",
        label=f"precision within {RADIUS} bits",
        means=f"{_WITHIN}the share of relevant ones; a query with no item there counts 0",
        of=lambda block: ball_figures(*block.histograms, RADIUS)[0],
        kind="precision",
        is_compared=True,
    ),
    Figure(
        name=f"recall_within_{RADIUS}",
        label=f"recall within {RADIUS} bits",
        means=f"{_WITHIN}their share of the query's relevant items; without any, it counts 0",
        of=lambda block: ball_figures(*block.histograms, RADIUS)[1],
        kind="precision",
    ),
    Figure(
        name=f"ndcg_at_{NDCG_K}",
        label=f"NDCG@{NDCG_K}",
        means=f"mean over all queries; grade: number of shared labels; {_GAIN}",
        of=lambda block: gain_ratio(block.by_labels, discount_sums(block.up_to(NDCG_K))),
        kind="ndcg",
        k=NDCG_K,
        is_compared=True,
    ),
    Figure(
        name="guaranteed_map",
        label="guaranteed mAP",
        means="mean over all queries of 1/N times the sum of i / (i + F), i = 1 to N, for N relevant items and F "
        "others within the distance of the last of them: AP is at least that; a query without relevant items counts 0",
        of=lambda block: lower_bound_from(*block.near, block.harmonic),
        kind="guaranteed",
    ),
    Figure(
        name="separated_queries",
        label="separated queries",
        means="share of queries all of whose relevant items lie nearer than every other item, so that AP is 1 in any "
        "order of ties; a query without relevant items is none of them",
        of=lambda block: certain_from(*block.near),
        kind="guaranteed",
    ),
    Figure(
        name=f"hierarchical_ndcg_at_{NDCG_K}",
        label=f"hierarchical NDCG@{NDCG_K}",
        means=f"mean over all queries; grade: levels that two classes share; {_GAIN}",
        of=lambda block: gain_ratio(block.by_levels, discount_sums(block.up_to(NDCG_K))),
        kind="hierarchy",
        k=NDCG_K,
        group="hierarchy",
    ),
    Figure(
        name=f"mahp_at_{HIERARCHICAL_K}",
        label=f"mAHP@{HIERARCHICAL_K}",
        means=f"mean over all queries of the mean over the first {HIERARCHICAL_K} ranks of the sum of shared levels "
        f"over the largest such sum; {_EXACT}",
        of=lambda block: hierarchical_from(block.by_levels, block.up_to(HIERARCHICAL_K)),
        kind="hierarchy",
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
        kind="tie-aware" if convention.ties == "expected" else "database-order",
        is_primary=True,
    )


def figures_asked(names: Iterable[str] | None) -> list[Figure[Any, Any]]:
    """Return the figures that are asked for by their kinds, groups or names, and the primary one; None for all.

    Raises:
        InputError: an unknown name, or one text in the place of several names.
    """
    if names is None:
        return list(FIGURES)
    if isinstance(names, str):
        raise InputError(f"figures must be several names, such as [{names!r}], not one text")
    asked, known = set(names), [*KINDS, *GROUPS, *(figure.name for figure in FIGURES)]
    for name in sorted(asked - set(known)):
        raise InputError(
            f"figures can be asked for by kind, {', '.join(KINDS)}, by ranking ({', '.join(GROUPS)}) or by their "
            f"names, not by {name!r}.{did_you_mean(name, known)}"
        )
    return [one for one in FIGURES if one is FIGURES[0] or asked & {one.kind, one.group, one.name}]
