"""What a comparison shows: figures over seeds, the best at each length, and which differences are more than chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from nearbit.compare.bootstrap import N_SAMPLES
from nearbit.compare.folder import ComparisonFolder
from nearbit.compare.significance import Difference, differences_of
from nearbit.compare.statistics import Group, Row, Spread, figure_of, groups_of, holm, spread_of
from nearbit.metrics import FIGURES
from nearbit.metrics.cosine import WITHOUT_CODES

PRIMARY = f"report.{FIGURES[0].name}"
SIGNIFICANT = 0.05


class Tested(NamedTuple):
    """A difference, and its p adjusted by Holm's procedure for all others it is read with."""

    difference: Difference
    adjusted: float

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name, ready for JSON."""
        return {**self.difference.to_dict(), "p_adjusted": self.adjusted}


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """All rows at one length.

    Attributes:
        n_bits: the length.
        groups: the cells of each row.
        best: the rows of the largest mean; none while no cell is done.
        behind: the best row (the first of them) minus each other, adjusted for this column.
        pairs: rows that differ in one thing: the method, or the head of one method. Baselines, which have no head, are
            beside every row. Adjusted for this column.
        notes: why pairs were left out.
    """

    n_bits: int
    groups: Mapping[Row, Group]
    best: tuple[Row, ...]
    behind: tuple[Tested, ...]
    pairs: tuple[Tested, ...]
    notes: tuple[str, ...]

    def near_best(self) -> set[Row]:
        """Return the rows that are not significantly below the best one.

        Where seeds are missing, the best mean can be that of a row which is below another on the seeds of both.
        """
        return {
            item.difference.second
            for item in self.behind
            if item.adjusted >= SIGNIFICANT or item.difference.difference <= 0
        }

    def untested(self) -> list[Row]:
        """Return the rows that have a figure and could not be compared with the best one."""
        tested = {item.difference.second for item in self.behind}
        return [
            row
            for row, group in self.groups.items()
            if group.values(PRIMARY) and row not in self.best and row not in tested
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """What a comparison shows, by length.

    Attributes:
        comparison: what was read.
        rows: every row that is wanted, in order.
        columns: one for each length.
    """

    comparison: ComparisonFolder
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]

    def groups(self) -> list[Group]:
        """Return every group: row by row, then by length."""
        return [column.groups[row] for row in self.rows for column in self.columns]

    def counts(self) -> dict[str, int]:
        """Return how many cells are done, failed and missing."""
        found = [result.status for result in self.comparison.results]
        return {status: found.count(status) for status in ("done", "failed", "missing")}

    def notes(self) -> list[str]:
        """Return why pairs were left out, each once."""
        return list(dict.fromkeys(note for column in self.columns for note in column.notes))

    def without_codes(self) -> dict[str, Spread]:
        """Return over seeds what float features give without codes, by the name of the figure."""
        known = self.comparison.about.get("references", {})
        references = [known[str(seed)] for seed in self.comparison.about["seeds"] if str(seed) in known]
        spreads = {
            name: spread_of([value for one in references if (value := figure_of(one, name)) is not None])
            for name in WITHOUT_CODES
        }
        return {name: spread for name, spread in spreads.items() if spread is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return all statistics, ready for JSON; no value of a single query is among them."""
        done = [result for result in self.comparison.results if result.status == "done"]
        return {
            "format": "nearbit-comparison-summary",
            "version": 1,
            "about": dict(self.comparison.about),
            "cells": self.counts(),
            "split_hashes": sorted({str(result.facts.get("split_hash")) for result in done}),
            "conventions": done[0].facts["report"].get("conventions", {}) if done else {},
            "without_codes": {name: spread.to_dict() for name, spread in self.without_codes().items()},
            "groups": [group.to_dict() for group in self.groups()],
            "best": [_best(column) for column in self.columns],
            "differences": [item.to_dict() for column in self.columns for item in column.pairs],
            "notes": self.notes(),
        }


def find(comparison: ComparisonFolder, *, seed: int = 0, n_samples: int = N_SAMPLES) -> Findings:
    """Work out what a comparison shows, as far as it has run.

    Args:
        comparison: of `read_folder`.
        seed: of the bootstrap; every length has a generator of its own.
        n_samples: of the bootstrap.

    Returns:
        the findings. Deterministic.
    """
    by_length: dict[int, dict[Row, Group]] = {}
    for group in groups_of(comparison.results):
        by_length.setdefault(group.n_bits, {})[group.row] = group
    columns = [
        _column(n_bits, groups, np.random.default_rng([seed, n_bits]), n_samples)
        for n_bits, groups in by_length.items()
    ]
    rows = dict.fromkeys(row for groups in by_length.values() for row in groups)
    return Findings(comparison=comparison, rows=tuple(rows), columns=tuple(columns))


def differ_in_one_thing(first: Row, second: Row) -> bool:
    """Say whether two rows are worth a line of their own beside each other; see `Column.pairs`.

    Example:
        >>> differ_in_one_thing(Row("crh", "linear"), Row("shc", "hidden"))
        False
    """
    return first.method == second.method or first.head == second.head or "-" in (first.head, second.head)


def _column(n_bits: int, groups: Mapping[Row, Group], rng: np.random.Generator, n_samples: int) -> Column:
    means: dict[Row, Spread] = {}
    for row, group in groups.items():
        spread = group.spread(PRIMARY)
        if spread is not None:
            means[row] = spread
    top = max((spread.mean for spread in means.values()), default=0.0)
    best = [row for row, spread in means.items() if spread.mean == top]
    against = [(best[0], row) for row in means if row != best[0]] if best else []
    beside = [pair for pair in combinations(means, 2) if differ_in_one_thing(*pair)]
    wanted = list(dict.fromkeys(against + beside))
    found, notes = differences_of([(groups[a], groups[b]) for a, b in wanted], rng=rng, n_samples=n_samples)
    known = {(item.first, item.second): item for item in found}
    return Column(
        n_bits=n_bits,
        groups=groups,
        best=tuple(best),
        behind=_tested(known, against),
        pairs=_tested(known, beside),
        notes=tuple(notes),
    )


def _tested(known: Mapping[tuple[Row, Row], Difference], family: Sequence[tuple[Row, Row]]) -> tuple[Tested, ...]:
    differences = [known[pair] for pair in family if pair in known]
    adjusted = holm([item.p for item in differences])
    return tuple(Tested(item, p) for item, p in zip(differences, adjusted, strict=True))


def _best(column: Column) -> dict[str, Any]:
    return {
        "n_bits": column.n_bits,
        "rows": [row._asdict() for row in column.best],
        "behind": [item.to_dict() for item in column.behind],
    }
