"""The arrays of a search structure, and the planner: which search they serve a query by.

They are plain NumPy arrays: nothing here needs a compiler. Kernels count what a plan would look at before they look.
"""

from functools import cache
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

RowNumbers = npt.NDArray[np.intp]
Words = npt.NDArray[np.uint64]
SearchPlan = Literal["numpy", "scan", "rings", "table"]

SMALL_INDEX = 100_000
"""Below so many rows a structure is plain."""
TABLE_BITS = 20
HELPFUL_SHARE = 0.3
"""Share of the codes: where rings leave more than this to look at, none are kept; what they cost is measured then."""
PROBE_COST = 8
"""How many codes are scanned in the time of one probe of the table."""
NARROW_SHARE = {"plain": 4, "rings": 50, "table": 50}
"""A filter that leaves at most one row in so many is served by comparing those rows alone."""

PIVOTS_IN_FILES = "leaders"
"""What search files call the pivots."""

PARTS = 4
"""Parts of the bits of a group, for each of which its cells know the distance from the pivot."""


class Layout(NamedTuple):
    """The arrays, as the kernels read them; those that a layout does not use are empty.

    A *place* is the position of a distinct code; its rows are `rows[offsets[place] : offsets[place + 1]]`. In a plain
    layout `offsets` is empty: each place is its own row. The kernels kept on disk know this class by its name.

    Attributes:
        columns: uint64 `(words, n_places)`, the codes by place.
        offsets: uint32 or int64 `(n_places + 1,)`, where the rows of each place begin.
        rows: uint32 or int64 `(n,)`, by place, ascending within one.
        pivots: uint64 `(words, n_groups)`.
        masks: uint64 `(n_groups, PARTS, words)`: the bits of each part; each bit is in one part of its group.
        group_cells: int64 `(n_groups + 1,)`, where the cells of each group begin.
        cell_starts: int64 `(n_cells + 1,)`, where the places of each cell begin.
        rings: uint16 `(PARTS, n_cells)`: the distance between the pivot and the codes of a cell, part by part.
        spans: uint16 `(2, n_groups)`: the smallest and the largest distance of a group's codes from its pivot.
        table: uint32 `(2 ** n_bits,)`: 1 + the place of the code with that address, 0 where there is none.
        probes: uint32 `(2 ** n_bits,)`: all addresses, by the number of their ones.
    """

    columns: Words
    offsets: npt.NDArray[Any]
    rows: npt.NDArray[Any]
    pivots: Words
    masks: npt.NDArray[np.uint64]
    group_cells: npt.NDArray[np.int64]
    cell_starts: npt.NDArray[np.int64]
    rings: npt.NDArray[np.uint16]
    spans: npt.NDArray[np.uint16]
    table: npt.NDArray[np.uint32]
    probes: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, columns: Words, **arrays: npt.NDArray[Any]) -> Self:
        """Return a layout of these arrays, the others empty; all read-only, so that one compiled kernel serves all."""
        own = {name: read_only(array) for name, array in arrays.items()}
        return cls(read_only(columns), **(_nothing(len(columns)) | own))

    @property
    def n_places(self) -> int:
        """Number of distinct codes; in a plain layout, of rows."""
        return int(self.columns.shape[1])

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """How many rows each distinct code has: int64 `(n_places,)`."""
        starts = self.offsets.astype(np.int64)
        return np.asarray(starts[1:] - starts[:-1], np.int64)

    @property
    def kind(self) -> str:
        """How the codes are laid out: "plain", "rings" or "table"."""
        if self.table.size:
            return "table"
        return "rings" if self.pivots.size else "plain"


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a contiguous view that cannot be written: kernels are compiled once, for arrays that they only read."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


@cache
def _nothing(words: int) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays that a plain layout of codes of so many words has beside its columns: all empty."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "offsets": np.empty(0, np.uint32), "rows": np.empty(0, np.uint32),
        "pivots": np.empty((words, 0), np.uint64), "masks": np.empty((0, PARTS, words), np.uint64),
        "group_cells": np.zeros(1, np.int64), "cell_starts": np.zeros(1, np.int64),
        "rings": np.empty((PARTS, 0), np.uint16), "spans": np.empty((2, 0), np.uint16),
        "table": np.empty(0, np.uint32), "probes": np.empty(0, np.uint32),
    }  # fmt: skip
    return {name: read_only(array) for name, array in arrays.items()}


def plan_for(kind: str, *, does_prune: bool) -> SearchPlan:
    """Return the plan of compiled kernels for a layout.

    Args:
        kind: the layout, "plain", "rings" or "table".
        does_prune: whether a trial of its own codes showed that rings skip most of them.

    Returns:
        "scan": every distinct code, in blocks; "rings" and "table": few codes, counted first: the queries for which
        they would be many are scanned after all.
    """
    if kind == "table":
        return "table"
    return "rings" if kind == "rings" and does_prune else "scan"


def most_probes(n_places: int) -> int:
    """Return how many addresses a query may look up in a table before it is scanned instead."""
    return n_places // PROBE_COST


def is_narrow(kind: str, n_allowed: int, n_rows: int) -> bool:
    """Return whether a filter leaves so few rows that comparing those alone is best."""
    return n_allowed * NARROW_SHARE[kind] <= n_rows or n_rows < SMALL_INDEX
