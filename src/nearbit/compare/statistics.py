"""Cells of equal method, head and length taken together: counts, means and deviations over seeds of any figure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nearbit.compare.folder import CellResult

FEW_QUERIES, FEW_OF_A_CLASS = 200, 5
"""Fewer queries, or training images of a class, make a comparison one of small sets."""
USUAL_DEVIATION = 0.35
"""Of average precision over queries, about: between .3 and .4 unless nearly all queries go well or badly."""


class Row(NamedTuple):
    """What has one line in a table: a method with a head ("-" for a baseline)."""

    method: str
    head: str

    @property
    def name(self) -> str:
        """The method, with its head where it has one."""
        return self.method if self.head == "-" else f"{self.method}, {self.head}"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure over seeds: `n` values, their mean, and their sample deviation (divisor n - 1; None for one value)."""

    n: int
    mean: float
    deviation: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers by name, ready for JSON."""
        return {"n": self.n, "mean": self.mean, "deviation": self.deviation}


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """The cells of one row at one length, one for each seed that is wanted."""

    row: Row
    n_bits: int
    results: tuple[CellResult, ...]

    def of_status(self, status: str) -> list[CellResult]:
        """Return the cells that are "done", "failed" or "missing"."""
        return [result for result in self.results if result.status == status]

    def values(self, figure: str) -> list[float]:
        """Return a figure (see `figure_of`) of each cell that is done and has it."""
        found = (figure_of(result.facts, figure) for result in self.of_status("done"))
        return [value for value in found if value is not None]

    def spread(self, figure: str) -> Spread | None:
        """Return a figure over seeds; None where no cell has it."""
        return spread_of(self.values(figure))

    def failures(self) -> list[tuple[str, int]]:
        """Return each reason for which cells failed, on one line, with how many did."""
        reasons = [reason_of(result) for result in self.of_status("failed")]
        return [(reason, reasons.count(reason)) for reason in dict.fromkeys(reasons)]

    def to_dict(self) -> dict[str, Any]:
        """Return the counts and every figure over seeds, ready for JSON."""
        names = dict.fromkeys(name for result in self.of_status("done") for name in scalars_of(result.facts))
        return {
            "method": self.row.method,
            "head": self.row.head,
            "n_bits": self.n_bits,
            **{status: len(self.of_status(status)) for status in ("done", "failed", "missing")},
            "failures": [{"reason": reason, "cells": count} for reason, count in self.failures()],
            "figures": {name: spread.to_dict() for name in names if (spread := self.spread(name)) is not None},
        }


def groups_of(results: Iterable[CellResult]) -> list[Group]:
    """Return the cells in groups of equal method, head and length, in the order of the first of each."""
    cells: dict[tuple[Row, int], list[CellResult]] = {}
    for result in results:
        cell = result.cell
        cells.setdefault((Row(cell.method, cell.head), cell.n_bits), []).append(result)
    return [Group(row=row, n_bits=n_bits, results=tuple(own)) for (row, n_bits), own in cells.items()]


def data_notes(about: Mapping[str, Any]) -> list[str]:
    """Return what is to be said of the split, and where sets are so small that chance may look like a difference.

    Args:
        about: the JSON of `comparison.json`; what is not in it is not judged.
    """
    sizes, dataset = about.get("split", {}).get("sizes", {}), about.get("dataset", {})
    notes = [str(note) for note in about.get("split", {}).get("notes", [])]
    queries = sizes.get("query")
    if queries and queries < FEW_QUERIES:
        moved = 1.96 * USUAL_DEVIATION / queries**0.5
        notes.append(
            f"A small set: {queries} queries. With other images of the kind a figure of one seed would move by about "
            f"±{moved:.2f}; more queries (--query) or more seeds tell methods apart that are closer."
        )
    of_a_class = sizes.get("train", 0) * dataset.get("labels_per_image", 1) / max(1, dataset.get("classes", 1))
    if 0 < of_a_class < FEW_OF_A_CLASS:
        notes.append(
            f"A small set: {of_a_class:.1f} training images a class. Trainings on so few differ much from seed to "
            "seed: run five seeds or more."
        )
    return notes


def spread_of(values: Sequence[float]) -> Spread | None:
    """Return the number, mean and sample deviation of values; None where there are none.

    Example:
        >>> spread_of([1.0, 3.0, 5.0])
        Spread(n=3, mean=3.0, deviation=2.0)
    """
    if not values:
        return None
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    if deviation and len(set(values)) == 1:
        deviation = 0.0  # what rounding leaves of equal values is no deviation
    return Spread(n=len(values), mean=float(np.mean(values)), deviation=deviation)


def figure_of(facts: Mapping[str, Any], figure: str) -> float | None:
    """Return a number among the facts of a cell by its path, such as "report.tie_aware_map" or "seconds.training".

    Returns:
        None where it is not there, or not a number.

    Example:
        >>> figure_of({"seconds": {"training": 2.5}}, "seconds.training")
        2.5
    """
    found: Any = facts
    for step in figure.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return float(found) if _is_number(found) else None


def scalars_of(facts: Mapping[str, Any]) -> dict[str, float]:
    """Return every number among the facts of a cell by its path; those within lists are left out."""
    inner = {
        f"{part}.{name}": float(value)
        for part in ("report", "health", "certificate", "seconds")
        for name, value in (facts.get(part) or {}).items()
        if _is_number(value)
    }
    also = {
        f"also.{protocol}.{name}": float(value)
        for protocol, figures in (facts.get("also") or {}).items()
        for name, value in figures.items()
        if _is_number(value)
    }
    outer = {name: float(value) for name, value in facts.items() if _is_number(value)}
    return inner | also | outer


def reason_of(result: CellResult) -> str:
    """Return why a cell failed, on one line."""
    return " ".join(str(result.facts.get("error") or "no reason was recorded").split())


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being looked at together (Holm's step-down procedure), in the order given.

    Where differences with an adjusted value below 0.05 are called real, at most 5 % of such families hold a mistake.

    Args:
        values: p-values of one family.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    array = np.asarray(values, np.float64)
    order = np.argsort(array, kind="stable")
    stepped = np.maximum.accumulate(array[order] * np.arange(len(array), 0, -1))
    adjusted = np.empty_like(array)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
