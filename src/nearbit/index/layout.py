"""The arrays of a search structure. They are plain NumPy arrays: nothing here needs a compiler."""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError
from nearbit.index.search import Words

PARTS = 4
"""Parts of the bits of a group, for each of which its cells know the distance from the leader."""


class Layout(NamedTuple):
    """The arrays, as the kernels read them; those that a layout does not use are empty.

    A *place* is the position of a distinct code; its rows are `rows[offsets[place] : offsets[place + 1]]`. In a plain
    layout `offsets` is empty: each place is its own row. The kernels kept on disk know this class by its name.

    Attributes:
        columns: uint64 `(words, n_places)`, the codes by place.
        offsets: uint32 or int64 `(n_places + 1,)`, where the rows of each place begin.
        rows: uint32 or int64 `(n,)`, by place, ascending within one.
        leaders: uint64 `(words, n_groups)`.
        masks: uint64 `(n_groups, PARTS, words)`: the bits of each part; each bit is in one part of its group.
        group_cells: int64 `(n_groups + 1,)`, where the cells of each group begin.
        cell_starts: int64 `(n_cells + 1,)`, where the places of each cell begin.
        rings: uint16 `(PARTS, n_cells)`: the distance between the leader and the codes of a cell, part by part.
        spans: uint16 `(2, n_groups)`: the smallest and the largest distance of a group's codes from its leader.
        table: uint32 `(2 ** n_bits,)`: 1 + the place of the code with that address, 0 where there is none.
        probes: uint32 `(2 ** n_bits,)`: all addresses, by the number of their ones.
    """

    columns: Words
    offsets: npt.NDArray[Any]
    rows: npt.NDArray[Any]
    leaders: Words
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
        words = len(columns)
        named: dict[str, npt.NDArray[Any]] = {
            "columns": columns,
            "offsets": np.empty(0, np.uint32), "rows": np.empty(0, np.uint32),
            "leaders": np.empty((words, 0), np.uint64), "masks": np.empty((0, PARTS, words), np.uint64),
            "group_cells": np.zeros(1, np.int64), "cell_starts": np.zeros(1, np.int64),
            "rings": np.empty((PARTS, 0), np.uint16), "spans": np.empty((2, 0), np.uint16),
            "table": np.empty(0, np.uint32), "probes": np.empty(0, np.uint32),
        }  # fmt: skip
        named |= arrays
        return cls(**{name: _read_only(named[name]) for name in cls._fields})

    @property
    def n_places(self) -> int:
        """Number of distinct codes; in a plain layout, of rows."""
        return int(self.columns.shape[1])

    @property
    def kind(self) -> str:
        """How the codes are laid out: "plain", "rings" or "table"."""
        if self.table.size:
            return "table"
        return "rings" if self.leaders.size else "plain"

    def check(self, n: int, n_bits: int) -> None:
        """Check types, shapes and that each list of beginnings ascends; contents are not looked at.

        Raises:
            InputError: what does not fit.
        """
        words, n_places, n_groups, n_cells = -(-n_bits // 64), self.n_places, len(self.spans[0]), len(self.rings[0])
        rows = (np.uint32, np.int64)
        _check("columns", self.columns, (words, n_places), np.uint64)
        if self.kind == "plain":
            _check("columns", self.columns, (words, n), np.uint64)
            return
        _check("offsets", self.offsets, (n_places + 1,), *rows)
        _check("rows", self.rows, (n,), *rows)
        _check_starts("offsets", self.offsets, n)
        if self.kind == "table":
            _check("table", self.table, (2**n_bits,), np.uint32)
            _check("probes", self.probes, (2**n_bits,), np.uint32)
            return
        _check("leaders", self.leaders, (words, n_groups), np.uint64)
        _check("masks", self.masks, (n_groups, PARTS, words), np.uint64)
        _check("group_cells", self.group_cells, (n_groups + 1,), np.int64)
        _check("cell_starts", self.cell_starts, (n_cells + 1,), np.int64)
        _check("rings", self.rings, (PARTS, n_cells), np.uint16)
        _check("spans", self.spans, (2, n_groups), np.uint16)
        _check_starts("group_cells", self.group_cells, n_cells)
        _check_starts("cell_starts", self.cell_starts, n_places)


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _check(name: str, array: npt.NDArray[Any], shape: tuple[int, ...], *types: Any) -> None:
    if array.shape != shape or array.dtype not in types:
        wanted = " or ".join(np.dtype(kind).name for kind in types)
        raise InputError(
            f"a search structure with these codes needs {name} as {wanted} {shape}, not {array.dtype} {array.shape}; "
            "build it again"
        )


def _check_starts(name: str, starts: npt.NDArray[Any], last: int) -> None:
    if starts[0] != 0 or starts[-1] != last or (starts[1:] < starts[:-1]).any():
        raise InputError(f"a search structure needs {name} that ascend from 0 to {last}; build it again")
