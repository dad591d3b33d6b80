"""Checks of the arrays of a search structure that come from a file: compiled code reads them without looking.

Whatever is read as a place, a row or a beginning must lie within bounds before a kernel sees it: a file beside an index
may be anyone's. Types and shapes are checked first, then contents, each in one pass. What passes is safe to search;
whether it is also the structure of the rows in the index is what `Index.verify` compares.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import pack
from nearbit.errors import InputError
from nearbit.index.engine.distinct import places_of, row_type
from nearbit.index.engine.layout import PARTS, TABLE_BITS, Layout, Words
from nearbit.index.engine.pivots import MOST_PIVOTS
from nearbit.index.engine.table import addresses_of, probes_of

MOST_BITS = 8192
"""The longest codes that are grouped around pivots; longer ones are scanned."""
LONGEST = 65_535

NAMES = {
    "plain": {"columns"},
    "table": {"columns", "places", "offsets", "rows", "table", "probes"},
    "rings": {
        "columns", "places", "offsets", "rows", "leaders", "masks", "group_cells", "cell_starts", "rings", "spans",
    },
}  # fmt: skip
"""The arrays of each kind of layout, beside what is not one of its own."""


def check_structure(layout: Layout, places: npt.NDArray[Any], names: set[str], n_bits: int) -> None:
    """Check types, shapes and contents of all arrays of a structure.

    Args:
        layout: the arrays.
        places: the place of each row; empty for a plain layout.
        names: the arrays that came.
        n_bits: code length in bits.

    Raises:
        InputError: what does not fit.
    """
    longest = {"plain": LONGEST, "table": TABLE_BITS, "rings": MOST_BITS}[layout.kind]
    if n_bits > longest:
        raise _unfit(f"at most {longest} bits for {layout.kind}, not {n_bits}")
    if names != NAMES[layout.kind]:
        raise _unfit(f"{sorted(NAMES[layout.kind])} for {layout.kind}, not {sorted(names)}")
    _check("columns", layout.columns, (-(-n_bits // 64), layout.n_places), np.uint64)
    check_tails("columns", layout.columns[-1], n_bits)
    if layout.kind == "plain":
        return
    _check_rows(layout, places)
    if layout.kind == "table":
        _check_table(layout, n_bits)
    else:
        _check_rings(layout)


def check_tails(name: str, last_words: Words, n_bits: int) -> None:
    """Raise `InputError` where the last word of a code has a bit beyond the code length."""
    used = np.zeros(8, np.uint8)
    last = pack(np.ones((1, n_bits - (n_bits - 1) // 64 * 64), np.int8))[0]
    used[: len(last)] = last
    if (last_words & ~used.view("<u8").astype(np.uint64)[0]).any():
        raise _unfit(f"{name} whose bits beyond the code length are 0")


def _check_rows(layout: Layout, places: npt.NDArray[Any]) -> None:
    """Check that each row is at exactly one place, in order within it, and that both ways lead to each other."""
    n, n_places = len(places), layout.n_places
    kind = row_type(n)
    _check("offsets", layout.offsets, (n_places + 1,), kind)
    _check("rows", layout.rows, (n,), kind)
    _check("places", places, (n,), kind)
    _check_starts("offsets", layout.offsets, n)
    _check_below("rows", layout.rows, n)
    _check_below("places", places, n_places)
    is_there = np.zeros(n, np.bool_)
    is_there[layout.rows] = True
    if not is_there.all() or (places_of(layout) != places).any():
        raise _unfit("rows and places that lead to each other")
    falls = np.flatnonzero(layout.rows[1:] < layout.rows[:-1]) + 1
    if not np.isin(falls, layout.offsets, assume_unique=True).all():
        raise _unfit("rows that ascend within each place")


def _check_table(layout: Layout, n_bits: int) -> None:
    _check("table", layout.table, (2**n_bits,), np.uint32)
    _check("probes", layout.probes, (2**n_bits,), np.uint32)
    wanted = np.zeros(2**n_bits, np.uint32)
    wanted[addresses_of(layout.columns[0], n_bits)] = np.arange(1, layout.n_places + 1)
    if (layout.table != wanted).any():
        raise _unfit("a table of the places of its codes")
    if (layout.probes != probes_of(n_bits)).any():
        raise _unfit("probes that are all addresses, by the number of their ones")


def _check_rings(layout: Layout) -> None:
    words, n_groups, n_cells = len(layout.columns), len(layout.group_cells) - 1, len(layout.cell_starts) - 1
    _check("group_cells", layout.group_cells, (n_groups + 1,), np.int64)
    _check("cell_starts", layout.cell_starts, (n_cells + 1,), np.int64)
    _check("leaders", layout.pivots, (words, n_groups), np.uint64)
    _check("masks", layout.masks, (n_groups, PARTS, words), np.uint64)
    _check("rings", layout.rings, (PARTS, n_cells), np.uint16)
    _check("spans", layout.spans, (2, n_groups), np.uint16)
    _check_starts("group_cells", layout.group_cells, n_cells)
    _check_starts("cell_starts", layout.cell_starts, layout.n_places)
    if n_groups > MOST_PIVOTS:
        raise _unfit(f"at most {MOST_PIVOTS} leaders, not {n_groups}")
    whole = np.bitwise_or.reduce(layout.masks, axis=1) == np.uint64(2**64 - 1)
    if not whole.all() or (np.bitwise_count(layout.masks).sum(axis=(1, 2)) != 64 * words).any():
        raise _unfit("masks that put each bit into one part")


def _check(name: str, array: npt.NDArray[Any], shape: tuple[int, ...], kind: npt.DTypeLike) -> None:
    if array.shape != shape or array.dtype != kind:
        raise _unfit(f"{name} as {np.dtype(kind).name} {shape}, not {array.dtype} {array.shape}")


def _check_below(name: str, numbers: npt.NDArray[Any], bound: int) -> None:
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < bound:
        raise _unfit(f"{name} from 0 to {bound - 1}")


def _check_starts(name: str, starts: npt.NDArray[Any], last: int) -> None:
    if not len(starts) or starts[0] != 0 or starts[-1] != last or not (starts[1:] > starts[:-1]).all():
        raise _unfit(f"{name} that ascend from 0 to {last}")


def _unfit(wanted: str) -> InputError:
    return InputError(f"a search structure with these codes needs {wanted}; build it again")
