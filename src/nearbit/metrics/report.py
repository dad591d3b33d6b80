"""One evaluation of codes: the tie-aware figures, the field's figures beside them, and what each of them means."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError
from nearbit.metrics.averages import bootstrap_interval, mean, per_class
from nearbit.metrics.comparison import Comparison, Values, compare
from nearbit.metrics.conventions import average_precision_by, convention_named
from nearbit.metrics.curves import Curve, radius_figures
from nearbit.metrics.ordered import found_average_precision
from nearbit.metrics.precision import expected_precision
from nearbit.metrics.tie_aware import bounds_from, expected_average_precision, harmonic_numbers
from nearbit.progress import Progress, silent

ORDERED_KS = (100, 1000)
PRECISION_KS = (1, 10, 100)

_TIE_AWARE = (
    "mean over all queries of average precision over the whole database; exact expectation over the orders of equal "
    "distances; divisor: all relevant items; a query without relevant items counts 0"
)
_ORDERED = (
    "mean over all queries of average precision {ranks}; ties in database order; divisor: relevant items found in "
    "those ranks; a query that finds none counts 0 (the convention of DeepHash-pytorch and most published tables)"
)
_PRECISION = (
    "mean over all queries of the share of relevant items among the first {k}; exact expectation over the orders of "
    "equal distances"
)
CONVENTIONS: dict[str, str] = {
    "tie_aware_map": _TIE_AWARE,
    "lowest_map": "as tie_aware_map, with the order of equal distances that is worst for each query",
    "highest_map": "as tie_aware_map, with the order of equal distances that is best for each query",
    "map_database_order": _ORDERED.format(ranks="over the whole database"),
    **{f"map_database_order_at_{k}": _ORDERED.format(ranks=f"within the first {k} ranks") for k in ORDERED_KS},
    **{f"precision_at_{k}": _PRECISION.format(k=k) for k in PRECISION_KS},
}
"""What each figure of a report means, by its name."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The figures of one evaluation; `CONVENTIONS` says what each means. A figure at k is None for a database < k.

    Attributes:
        n_query: number of queries, all of which count in every mean.
        n_database: number of database items.
        n_bits: code length in bits.
        queries_without_relevant: queries with no relevant item in the database.
        distinct_codes: number of different codes in the database; the fewer, the more ties.
        per_class: mean tie-aware average precision of the queries of each class, by class number; without classes
            that have no query.
        curve_by_radius: "at" (radii in bits), "precision" and "recall" within them, as means over queries.
        tie_aware_map_interval: 95 % bootstrap interval over queries, where `rng` was given.
        convention: the name of the convention that was asked for, with its `k` and its `map_by_convention`.
    """

    n_query: int
    n_database: int
    n_bits: int
    queries_without_relevant: int
    distinct_codes: int
    tie_aware_map: float
    lowest_map: float
    highest_map: float
    map_database_order: float
    map_database_order_at_100: float | None
    map_database_order_at_1000: float | None
    precision_at_1: float | None
    precision_at_10: float | None
    precision_at_100: float | None
    per_class: dict[str, float]
    curve_by_radius: dict[str, list[float]]
    tie_aware_map_interval: tuple[float, float] | None = None
    convention: str | None = None
    k: int | None = None
    map_by_convention: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return every figure by its name, and under "conventions" what each of them means; ready for JSON."""
        figures, conventions = asdict(self), dict(CONVENTIONS)
        if self.convention is None:
            for name in ("convention", "k", "map_by_convention"):
                del figures[name]
        else:
            conventions["map_by_convention"] = convention_named(self.convention).describe(self.k)
        if self.tie_aware_map_interval is None:
            del figures["tie_aware_map_interval"]
        else:
            figures["tie_aware_map_interval"] = list(self.tie_aware_map_interval)
            conventions["tie_aware_map_interval"] = "95 % bootstrap interval of tie_aware_map over queries"
        return {**figures, "conventions": conventions}


def evaluate_codes(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    *,
    n_bits: int,
    convention: str | None = None,
    k: int | None = None,
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
    chosen = None if convention is None else convention_named(convention)
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    harmonic = harmonic_numbers(comparison.n_database)
    columns: dict[str, list[Values]] = {}
    progress("evaluating queries", 0, comparison.n_query)
    done = 0
    for block in comparison.map_blocks(lambda block: _block_values(comparison, block, harmonic)):
        for name, values in block.items():
            columns.setdefault(name, []).append(values)
        done += len(block["n_relevant"])
        progress("evaluating queries", done, comparison.n_query)
    figures = {name: np.concatenate(blocks) for name, blocks in columns.items()}
    report = _report(comparison, figures, query_labels)
    if rng is not None:
        report = replace(report, tie_aware_map_interval=bootstrap_interval(figures["tie_aware_map"], rng=rng))
    if chosen is None:
        return report
    data = (query_codes, query_labels, database_codes, database_labels, n_bits)
    figure = mean(average_precision_by(*data, convention=chosen, k=k))
    return replace(report, convention=convention, k=k, map_by_convention=figure)


def _block_values(comparison: Comparison, block: range, harmonic: Values) -> dict[str, Values]:
    """Return each figure of each query of a block, and the number of relevant items."""
    ordered = comparison.ordered(block, np.array([comparison.n_database, *ORDERED_KS], np.int64))
    items, relevant, found = ordered.items, ordered.relevant, found_average_precision(ordered)
    values = {
        "n_relevant": relevant.sum(axis=1).astype(np.float64),
        "tie_aware_map": expected_average_precision(items, relevant, harmonic),
        "map_database_order": found[:, 0],
        **dict(zip(("lowest_map", "highest_map"), bounds_from(items, relevant, harmonic), strict=True)),
        **dict(zip(("precision", "recall"), radius_figures(items, relevant), strict=True)),
    }
    for column, k in enumerate(ORDERED_KS, start=1):
        values[f"map_database_order_at_{k}"] = found[:, column]
    for k in PRECISION_KS:
        values[f"precision_at_{k}"] = expected_precision(items, relevant, k)
    return values


def _report(comparison: Comparison, values: dict[str, Values], query_labels: npt.ArrayLike) -> Report:
    def at(name: str, k: int) -> float | None:
        return mean(values[f"{name}_at_{k}"]) if k <= comparison.n_database else None

    curve = Curve(np.arange(comparison.n_bits + 1), values["precision"].mean(axis=0), values["recall"].mean(axis=0))
    return Report(
        n_query=comparison.n_query,
        n_database=comparison.n_database,
        n_bits=comparison.n_bits,
        queries_without_relevant=int((values["n_relevant"] == 0).sum()),
        distinct_codes=comparison.distinct_codes(),
        tie_aware_map=mean(values["tie_aware_map"]),
        lowest_map=mean(values["lowest_map"]),
        highest_map=mean(values["highest_map"]),
        map_database_order=mean(values["map_database_order"]),
        map_database_order_at_100=at("map_database_order", 100),
        map_database_order_at_1000=at("map_database_order", 1000),
        precision_at_1=at("precision", 1),
        precision_at_10=at("precision", 10),
        precision_at_100=at("precision", 100),
        per_class=_by_class(values["tie_aware_map"], np.asarray(query_labels)),
        curve_by_radius=curve.to_dict(),
    )


def _by_class(values: Values, labels: npt.NDArray[np.generic]) -> dict[str, float]:
    """Return the mean of each class that has a query, by its number as text, as JSON has it."""
    numbers = np.arange(labels.shape[1]) if labels.ndim == 2 else np.unique(labels)
    means = per_class(values, labels if labels.ndim == 2 else np.searchsorted(numbers, labels))
    return {str(number): float(value) for number, value in zip(numbers, means, strict=True) if not np.isnan(value)}
