"""One evaluation of codes: the tie-aware figures, the field's figures beside them, and what each of them means."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError
from nearbit.metrics.averages import bootstrap_interval, mean, per_class
from nearbit.metrics.conventions import average_precision_by, convention_named
from nearbit.metrics.counting.comparison import Comparison, Values, check_k, compare
from nearbit.metrics.curves import Curve
from nearbit.metrics.figures import CONVENTIONS, HIERARCHICAL, Figures
from nearbit.metrics.graded import Grades
from nearbit.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class Report:
    """The figures of one evaluation; "conventions" of `to_dict` says what each means.

    A figure at k is None where the database is smaller than k.

    Attributes:
        n_query: number of queries, all of which count in every mean.
        n_database: number of database items.
        n_bits: code length in bits.
        queries_without_relevant: queries with no relevant item in the database.
        distinct_codes: number of different codes in the database; the fewer, the more ties.
        per_class: mean tie-aware average precision of the queries of each class, by class number; without classes
            that have no query.
        curve_by_radius: "at" (radii in bits), "precision" and "recall" within them, as means over queries.
        curve_by_rank: "at" (ranks 1, 2, 5, 10, …), expected "precision" and "recall" at them, as means over queries.
        tie_aware_map_interval: 95 % bootstrap interval over queries, where `rng` was given.
        convention: the name of the convention that was asked for, with its `k` and its `map_by_convention`.
        hierarchical_ndcg_at_100: where a hierarchy of classes was given; so for `mahp_at_2500`.
    """

    n_query: int
    n_database: int
    n_bits: int
    queries_without_relevant: int
    distinct_codes: int
    tie_aware_map: float
    lowest_map: float
    highest_map: float
    tie_aware_map_at_100: float | None
    tie_aware_map_at_1000: float | None
    map_database_order: float
    map_database_order_at_100: float | None
    map_database_order_at_1000: float | None
    precision_at_1: float | None
    precision_at_10: float | None
    precision_at_100: float | None
    recall_at_100: float | None
    recall_at_1000: float | None
    precision_within_2: float
    recall_within_2: float
    ndcg_at_100: float | None
    per_class: dict[str, float]
    curve_by_radius: dict[str, list[float]]
    curve_by_rank: dict[str, list[float]]
    hierarchical_ndcg_at_100: float | None = None
    mahp_at_2500: float | None = None
    tie_aware_map_interval: tuple[float, float] | None = None
    convention: str | None = None
    k: int | None = None
    map_by_convention: float | None = None
    has_hierarchy: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return every figure by its name, and under "conventions" what each of them means; ready for JSON."""
        values, conventions = asdict(self), dict(CONVENTIONS)
        if values.pop("has_hierarchy"):
            conventions |= HIERARCHICAL
        else:
            values = {name: value for name, value in values.items() if name not in HIERARCHICAL}
        if self.convention is None:
            values = {
                name: value for name, value in values.items() if name not in ("convention", "k", "map_by_convention")
            }
        else:
            conventions["map_by_convention"] = convention_named(self.convention).describe(self.k)
        if self.tie_aware_map_interval is None:
            del values["tie_aware_map_interval"]
        else:
            values["tie_aware_map_interval"] = list(self.tie_aware_map_interval)
            conventions["tie_aware_map_interval"] = "95 % bootstrap interval of tie_aware_map over queries"
        return {**values, "conventions": conventions}


def evaluate_codes(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    *,
    n_bits: int,
    convention: str | None = None,
    k: int | None = None,
    grades: Grades | None = None,
    rng: np.random.Generator | None = None,
    progress: Progress = silent,
) -> Report:
    """Evaluate a search by codes: every query ranks the whole database by Hamming distance.

    Args:
        query_codes: uint8 `(n_query, ceil(n_bits / 8))`, from any source.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_codes: uint8 `(n_database, ceil(n_bits / 8))`.
        database_labels: labels of the database, in the form of `query_labels`.
        n_bits: code length in bits.
        convention: name of a convention whose mean average precision is reported too; see `CONVENTIONS_BY_NAME`.
        k: how many ranks that convention counts; None for all.
        grades: of a hierarchy of classes, for one label an item; adds the figures that need them.
        rng: where given, the source of randomness of a bootstrap interval of the primary figure.
        progress: told the queries done.

    Returns:
        The report. Deterministic; the memory does not grow with queries × database.

    Raises:
        InputError: a wrong type, shape or length, set tail bits, no query, an empty database, an unknown
            convention, or a `k` without one.
    """
    if k is not None and convention is None:
        raise InputError("k counts the ranks of a convention: name one, or leave k out")
    k = None if k is None else check_k(k)
    chosen = None if convention is None else convention_named(convention)
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    figures, curves = _figures(comparison, Figures(comparison.n_database, grades), progress)
    report = _report(comparison, figures, curves, query_labels, has_hierarchy=grades is not None)
    if rng is not None:
        report = replace(report, tie_aware_map_interval=bootstrap_interval(figures["tie_aware_map"], rng=rng))
    if chosen is None:
        return report
    data = (query_codes, query_labels, database_codes, database_labels, n_bits)
    figure = mean(average_precision_by(*data, convention=chosen, k=k))
    return replace(report, convention=convention, k=k, map_by_convention=figure)


def _figures(
    comparison: Comparison, figures: Figures, progress: Progress
) -> tuple[dict[str, Values], dict[str, Curve]]:
    """Return the figures of each query `(n_query,)`, and the curves, by "radius" and by "rank", as means over queries.

    Queries of equal codes and labels are worked on once.
    """
    distinct, of_query = comparison.once()
    sizes = np.bincount(of_query).astype(np.float64)
    columns: dict[str, list[Values]] = {}
    sums: dict[str, Values] = {}
    done = 0
    progress("evaluating queries", 0, comparison.n_query)
    for block in distinct.map_blocks(lambda block: figures.of_block(distinct, block)):
        stop = done + len(block["n_relevant"])
        for name, values in block.items():
            if values.ndim == 1:
                columns.setdefault(name, []).append(values)
            else:
                sums[name] = sums.get(name, 0.0) + sizes[done:stop] @ values
        done = stop
        progress("evaluating queries", int(sizes[:done].sum()), comparison.n_query)
    at = {"radius": np.arange(comparison.n_bits + 1), "rank": figures.ranks}
    curves = {
        by: Curve(places, *(sums[f"{what}_by_{by}"] / comparison.n_query for what in ("precision", "recall")))
        for by, places in at.items()
    }
    return {name: np.concatenate(blocks)[of_query] for name, blocks in columns.items()}, curves


def _report(
    comparison: Comparison,
    values: dict[str, Values],
    curves: dict[str, Curve],
    query_labels: npt.ArrayLike,
    *,
    has_hierarchy: bool,
) -> Report:
    known = {field.name for field in fields(Report)}
    means = {
        name: None if _rank_of(name) > comparison.n_database else mean(own)
        for name, own in values.items()
        if name in known
    }
    return Report(
        n_query=comparison.n_query,
        n_database=comparison.n_database,
        n_bits=comparison.n_bits,
        queries_without_relevant=int((values["n_relevant"] == 0).sum()),
        distinct_codes=comparison.distinct_codes(),
        per_class=_by_class(values["tie_aware_map"], np.asarray(query_labels)),
        curve_by_radius=curves["radius"].to_dict(),
        curve_by_rank=curves["rank"].to_dict(),
        has_hierarchy=has_hierarchy,
        **means,  # type: ignore[arg-type]
    )


def _rank_of(name: str) -> int:
    """Return the k of a figure `…_at_k`, 0 for any other."""
    _, at, k = name.rpartition("_at_")
    return int(k) if at else 0


def _by_class(values: Values, labels: npt.NDArray[np.generic]) -> dict[str, float]:
    """Return the mean of each class that has a query, by its number as text, as JSON has it."""
    numbers = np.arange(labels.shape[1]) if labels.ndim == 2 else np.unique(labels)
    means = per_class(values, labels if labels.ndim == 2 else np.searchsorted(numbers, labels))
    return {str(number): float(value) for number, value in zip(numbers, means, strict=True) if not np.isnan(value)}
