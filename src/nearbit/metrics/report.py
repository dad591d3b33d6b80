"""One evaluation of codes: the tie-aware figures, the field's figures beside them, and what each of them means."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import check_codes
from nearbit.errors import InputError, did_you_mean
from nearbit.keywords import generator_of, suggesting
from nearbit.metrics.averages import bootstrap_interval, mean, per_class
from nearbit.metrics.block import Block
from nearbit.metrics.conventions import convention_named, counted_by
from nearbit.metrics.counting.comparison import Comparison, Counts, Values, check_k, compare
from nearbit.metrics.figures import (
    CONVENTION,
    FIGURES,
    MAP_KS,
    PRECISION_KS,
    RECALL_KS,
    Figure,
    Group,
    by_convention,
    figures_asked,
)
from nearbit.metrics.graded import Grades
from nearbit.metrics.precision import Curve, radius_figures
from nearbit.metrics.scored import asymmetric_figures
from nearbit.metrics.tie_aware import harmonic_numbers
from nearbit.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class Report:
    """The figures of one evaluation; "conventions" of `to_dict` says what each means.

    Each figure is an attribute, too: `report.tie_aware_map`. It is None where it counts more ranks than the database
    has items, or needs something that was not given.

    Attributes:
        n_query: number of queries, all of which count in every mean.
        n_database: number of database items.
        n_bits: code length in bits.
        queries_without_relevant: queries with no relevant item in the database.
        distinct_codes: number of different codes in the database; the fewer, the more ties.
        figures: the value of each of `nearbit.metrics.figures.FIGURES` that was computed, by name, and
            `map_by_convention` where a convention was asked for.
        meanings: the definition of each of them in words, by name.
        per_class: mean tie-aware average precision of the queries of each class, by class number (of a model: by
            name); without classes that have no query.
        curve_by_radius: "at" (radii in bits), "precision" and "recall" within them, as means over queries.
        curve_by_rank: "at" (ranks 1, 2, 5, 10, …), expected "precision" and "recall" at them, as means over queries.
        tie_aware_map_interval: 95 % bootstrap interval over queries, where `rng` was given.
        convention: the name of the convention that was asked for, with its `k`.
        per_query: the values of each figure, float64 `(n_query,)`, whose mean it is; NaN for a query that the
            convention drops. Not in `to_dict`.
    """

    n_query: int
    n_database: int
    n_bits: int
    queries_without_relevant: int
    distinct_codes: int
    figures: Mapping[str, float | None]
    meanings: Mapping[str, str] = field(repr=False)
    per_class: dict[str, float]
    curve_by_radius: dict[str, list[float]]
    curve_by_rank: dict[str, list[float]]
    tie_aware_map_interval: tuple[float, float] | None = None
    convention: str | None = None
    k: int | None = None
    per_query: Mapping[str, Values] = field(repr=False, compare=False)

    def __getattr__(self, name: str) -> Any:
        """Return a figure by its name."""
        known = [*(figure.name for figure in FIGURES), CONVENTION]
        if name not in known:
            raise AttributeError(f"a report has no {name!r}.{did_you_mean(name, known)}")
        return self.figures.get(name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.figures]

    def to_dict(self) -> dict[str, Any]:
        """Return every figure by its name, and under "conventions" what each of them means; ready for JSON."""
        counts = ("n_query", "n_database", "n_bits", "queries_without_relevant", "distinct_codes")
        parts = ("per_class", "curve_by_radius", "curve_by_rank")
        values = {name: getattr(self, name) for name in counts} | dict(self.figures)
        values |= {name: dict(getattr(self, name)) for name in parts}
        conventions = dict(self.meanings)
        if self.tie_aware_map_interval is not None:
            values["tie_aware_map_interval"] = list(self.tie_aware_map_interval)
            conventions["tie_aware_map_interval"] = "95 % bootstrap interval of tie_aware_map over queries"
        if self.convention is not None:
            values |= {"convention": self.convention, "k": self.k}
        return {**values, "conventions": conventions}


@suggesting
def evaluate_codes(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    *,
    n_bits: int,
    figures: Iterable[str] | None = None,
    convention: str | None = None,
    k: int | None = None,
    grades: Grades | None = None,
    rng: np.random.Generator | None = None,
    seed: int | None = None,
    query_outputs: npt.ArrayLike | None = None,
    progress: Progress = silent,
) -> Report:
    """Evaluate a search by codes: every query ranks the whole database by Hamming distance.

    Args:
        query_codes: uint8 `(n_query, ceil(n_bits / 8))`, from any source.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_codes: uint8 `(n_database, ceil(n_bits / 8))`.
        database_labels: labels of the database, in the form of `query_labels`.
        n_bits: code length in bits.
        figures: the kinds of figures that are wanted (see `nearbit.metrics.KINDS`), or names of single ones; None for
            all. The primary figure, the curves and the mean of each class are in every report.
        convention: name of a convention whose mean average precision is reported too; see `CONVENTIONS_BY_NAME`.
        k: how many ranks that convention counts; None for all.
        grades: of a hierarchy of classes, for one label an item; adds the figures that need them.
        rng: where given, the source of randomness of a bootstrap interval of the primary figure.
        seed: a whole number, in the place of `rng`.
        query_outputs: float `(n_query, n_bits)`, the real outputs whose signs the query codes are; adds the asymmetric
            figures.
        progress: told the queries done.

    Returns:
        The report. Deterministic; the memory does not grow with queries × database.

    Raises:
        InputError: a wrong type, shape or length, set tail bits, no query, an empty database, an unknown figure or
            convention, a `k` without one, or figures without what they need or the other way round.
    """
    asked = figures_asked(figures)
    if figures is not None:
        _check_needed(asked, "hierarchy", "grades", grades)
        _check_needed(asked, "asymmetric", "query_outputs", query_outputs)
    if k is not None and convention is None:
        raise InputError("k counts the ranks of a convention: name one, or leave k out")
    rng = generator_of(rng, seed, needed=False)
    k = None if k is None else check_k(k)
    chosen = None if convention is None else convention_named(convention)
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    ranked: dict[Group, bool] = {"distance": True, "hierarchy": grades is not None}
    wanted: list[Figure[Block, Values]] = [one for one in asked if ranked.get(one.group, False)]
    wanted += [] if chosen is None else [by_convention(chosen, k)]
    values, curves = _by_distance(comparison, wanted, grades, k, progress)
    n_relevant = values.pop("n_relevant")
    if query_outputs is not None:
        of_outputs = [one for one in asked if one.group == "asymmetric"]
        values |= _by_outputs(comparison, of_outputs, query_outputs, database_codes)
    if chosen is not None:
        counted = counted_by(chosen, values[CONVENTION], query_labels)
        values[CONVENTION] = np.where(counted, values[CONVENTION], np.nan)
    computed = [figure for figure in (*FIGURES, *wanted) if figure.name in values]
    return Report(
        n_query=comparison.n_query,
        n_database=comparison.n_database,
        n_bits=comparison.n_bits,
        queries_without_relevant=int((n_relevant == 0).sum()),
        distinct_codes=comparison.distinct_codes(),
        figures={one.name: _mean(values[one.name], one, comparison.n_database) for one in computed},
        meanings={one.name: one.means for one in computed},
        per_class=_by_class(values["tie_aware_map"], np.asarray(query_labels)),
        curve_by_radius=curves["radius"].to_dict(),
        curve_by_rank=curves["rank"].to_dict(),
        tie_aware_map_interval=None if rng is None else bootstrap_interval(values["tie_aware_map"], rng=rng),
        convention=convention,
        k=k,
        per_query=values,
    )


def _by_distance(
    comparison: Comparison,
    figures: Sequence[Figure[Block, Values]],
    grades: Grades | None,
    k: int | None,
    progress: Progress,
) -> tuple[dict[str, Values], dict[str, Curve]]:
    """Return figures and "n_relevant" of each query `(n_query,)`, and the curves by "radius" and by "rank" as means.

    Queries of equal codes and labels are worked on once.
    """
    distinct, of_query = comparison.once()
    sizes = np.bincount(of_query).astype(np.float64)
    limits = np.array([comparison.n_database, *MAP_KS, *([] if k is None else [k])], np.int64)
    harmonic, ranks = harmonic_numbers(comparison.n_database), _ranks(comparison.n_database)
    at = np.array([*ranks, *PRECISION_KS, *RECALL_KS], np.int64)
    kinds = {figure.kind for figure in figures}

    def of_block(queries: range) -> tuple[dict[str, Values], list[Values]]:
        block = Block(
            distinct,
            queries,
            limits,
            at,
            harmonic,
            grades,
            in_order="database-order" in kinds,
            by_shared="ndcg" in kinds,
        )
        columns = {figure.name: figure.of(block) for figure in figures}
        hits = block.hits[:, : len(ranks)]
        curves = (*radius_figures(*block.histograms), hits / ranks, hits / block.total[:, None])
        own = sizes[queries.start : queries.stop]
        return columns | {"n_relevant": block.near[1].sum(axis=1)}, [own @ values for values in curves]

    blocks, done = [], 0
    progress("evaluating queries", 0, comparison.n_query)
    for block in distinct.map_blocks(of_block):
        blocks.append(block)
        done += len(block[0]["n_relevant"])
        progress("evaluating queries", int(sizes[:done].sum()), comparison.n_query)
    values = {name: np.concatenate([columns[name] for columns, _ in blocks])[of_query] for name in blocks[0][0]}
    sums = [np.sum(parts, axis=0) / comparison.n_query for parts in zip(*(curves for _, curves in blocks), strict=True)]
    radii = np.arange(comparison.n_bits + 1)
    return values, {"radius": Curve(radii, sums[0], sums[1]), "rank": Curve(ranks, sums[2], sums[3])}


def _ranks(n_database: int) -> Counts:
    """Return the ranks of the curve by rank: 1, 2, 5, 10, … and the size of the database."""
    steps = [step * 10**power for power in range(len(str(n_database))) for step in (1, 2, 5)]
    return np.array([*(rank for rank in steps if rank < n_database), n_database], np.int64)


def _check_needed(asked: Sequence[Figure[Any, Any]], kind: Group, name: str, given: object) -> None:
    """Refuse figures that lack what they need, and what no figure that is asked for needs."""
    needed = any(one.group == kind for one in asked)
    if needed and given is None:
        raise InputError(f"figures of the kind {kind!r} need {name}: give them, or leave these figures out")
    if given is not None and not needed:
        raise InputError(f"{name} would do nothing without figures of the kind {kind!r}: ask for them, or leave it out")


def _by_outputs(
    comparison: Comparison, figures: Sequence[Figure[Any, Any]], outputs: npt.ArrayLike, database_codes: npt.ArrayLike
) -> dict[str, Values]:
    """Return the asymmetric figures of each query."""
    codes = check_codes(database_codes, comparison.n_bits, name="database_codes")
    values = asymmetric_figures(
        outputs, codes, comparison.n_bits, comparison.relevance, [figure.of for figure in figures]
    )
    return dict(zip((figure.name for figure in figures), values.T, strict=True))


def _mean(values: Values, figure: Figure[Any, Any], n_database: int) -> float | None:
    """Return the mean of a figure over the queries that it counts; None in a database that is too small for it."""
    if figure.k > n_database:
        return None
    return mean(values[~np.isnan(values)] if figure.name == CONVENTION else values)


def _by_class(values: Values, labels: npt.NDArray[np.generic]) -> dict[str, float]:
    """Return the mean of each class that has a query, by its number as text, as JSON has it."""
    numbers = np.arange(labels.shape[1]) if labels.ndim == 2 else np.unique(labels)
    means = per_class(values, labels if labels.ndim == 2 else np.searchsorted(numbers, labels))
    return {str(number): float(value) for number, value in zip(numbers, means, strict=True) if not np.isnan(value)}
