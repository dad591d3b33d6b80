"""The search structure of a set of codes: exact nearest rows, by the plan that looks at the fewest codes."""

from collections.abc import Mapping
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Distances, check_n_bits
from nearbit.compiled import BUILDING, SEARCH
from nearbit.errors import InputError
from nearbit.index.engine.costs import Costs, measure
from nearbit.index.engine.layout import (
    PIVOTS_IN_FILES,
    SMALL_INDEX,
    TABLE_BITS,
    Layout,
    RowNumbers,
    SearchPlan,
    Words,
    is_narrow,
    plan_for,
)
from nearbit.index.engine.layout_checks import LONGEST, MOST_BITS, check_structure
from nearbit.index.engine.plain_search import search_plainly, seconds_of
from nearbit.index.results import Hits, Ids, no_hits, ranked, stacked
from nearbit.threads import n_threads

Marks = npt.NDArray[np.bool_]

DISTINCT_SHARE = 0.8
"""Where more of the rows than this have codes of their own and rings do not help, the layout is plain."""

SAMPLED_FROM = 250_000
"""From so many codes on a sample is looked at first: for fewer, rings are built as soon."""

SECONDS_A_ROW = 1e-6
"""What a provisional structure is taken to cost for each row: so much work begins to load or compile the builder."""

PROVISIONAL = 2
"""In files, in place of whether rings prune (0 or 1): a plain structure for which rings were not tried."""

PAIRS_PER_BLOCK = 4_000_000
"""How many distances the plain search computes at a time: 20 MB."""


@final
class Structure:
    """Finds the nearest rows of the codes that it was built from; `build_structure` makes it.

    It is never changed after it was made: threads share it. Rows are numbered 0 … n - 1.
    """

    def __init__(
        self,
        layout: Layout,
        places: npt.NDArray[Any],
        n_bits: int,
        *,
        does_prune: bool,
        is_provisional: bool = False,
    ) -> None:
        """Keep the arrays; `places` are the places by row, empty for a plain layout.

        It is provisional where kernels would have laid the codes out for fewer looks, had they been there.
        """
        self._layout = layout
        self._places = places
        self._n_bits = n_bits
        self._does_prune = does_prune
        self.is_provisional = is_provisional
        self._costs: Costs | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._layout.n_places if self._layout.kind == "plain" else len(self._places)

    @property
    def layout(self) -> Layout:
        """The arrays, read-only."""
        return self._layout

    @property
    def does_prune(self) -> bool:
        """Whether rings spare most codes a look."""
        return self._does_prune

    @property
    def costs(self) -> Costs:
        """What queries cost on this machine, by rings and by a scan; measured when it is asked for first."""
        if self._costs is None:
            self._costs = measure(self._layout, self._n_bits)
        return self._costs

    def nearest(
        self,
        queries: Words,
        *,
        k: int | None,
        radius: int | None,
        allowed: RowNumbers | None = None,
        excluded: Marks | None = None,
        plan: SearchPlan | None = None,
    ) -> Hits:
        """Return the nearest rows of each query, ranked by distance, then by row; exact, whatever the plan.

        Args:
            queries: uint64 `(q, words)`.
            k: the most rows of a query; None for no limit.
            radius: the largest distance, in bits; None for no limit.
            allowed: the only rows to look at, ascending; None for all.
            excluded: bool `(n,)`, rows that are not there; None for none.
            plan: one that the layout serves, in place of the planner's; every plan finds the same.
        """
        limit = self._n_bits if radius is None else min(radius, self._n_bits)
        if allowed is not None:
            if excluded is not None:
                allowed = allowed[~excluded[allowed]]
            if is_narrow(self._layout.kind, len(allowed), len(self)):
                return self._among(allowed, queries, k, limit)
            excluded = np.ones(len(self), np.bool_)
            excluded[allowed] = False
        if not len(queries) or not len(self):
            return no_hits(len(queries))
        layout = self._layout
        return self._found(layout, self._places, queries, k, limit, excluded, plan)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that `from_arrays` makes the structure of again: all that are not empty, by name."""
        named: dict[str, npt.NDArray[Any]] = dict(self._layout._asdict())
        named[PIVOTS_IN_FILES] = named.pop("pivots")
        if self._layout.kind != "rings":
            del named["group_cells"], named["cell_starts"]
        own = {
            "places": self._places,
            "does_prune": np.array([PROVISIONAL if self.is_provisional else self._does_prune], np.uint8),
        }
        return {name: array for name, array in (named | own).items() if array.size or name == "columns"}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], n_bits: int) -> Self:
        """Return the structure that `arrays()` was taken from; the arrays may be read-only memory maps.

        Types, shapes and contents are checked: whatever array passes, a search reads nothing out of bounds.

        Raises:
            InputError: an array is missing, too many, of another type or shape, or holds what cannot be.
        """
        columns, does_prune = arrays.get("columns"), arrays.get("does_prune")
        if columns is None or does_prune is None:
            raise InputError(f"a search structure needs columns and does_prune, not {sorted(arrays)}; build it again")
        if columns.ndim != 2 or does_prune.shape != (1,) or columns.shape[0] != -(-check_n_bits(n_bits) // 64):
            raise InputError(
                f"a search structure of {n_bits} bits needs columns as uint64 ({-(-n_bits // 64)}, n) and one mark "
                f"does_prune, not {columns.shape} and {does_prune.shape}; build it again"
            )
        named = {"pivots" if name == PIVOTS_IN_FILES else name: array for name, array in arrays.items()}
        own = {name: array for name, array in named.items() if name in Layout._fields and name != "columns"}
        layout, places = Layout.of(columns, **own), arrays.get("places", np.empty(0, np.uint32))
        check_structure(layout, places, set(arrays) - {"does_prune"}, n_bits)
        is_provisional = layout.kind == "plain" and does_prune[0] == PROVISIONAL
        return cls(layout, places, n_bits, does_prune=does_prune[0] == 1, is_provisional=is_provisional)

    def describe(self) -> dict[str, Any]:
        """Return facts for people and machines: the layout, the plan for one query, counts and bytes."""
        layout = self._layout
        return {
            "layout": layout.kind,
            "plan": plan_for(layout.kind, does_prune=self._does_prune),
            "rows": len(self),
            "distinct_codes": None if layout.kind == "plain" else layout.n_places,
            "leaders": layout.pivots.shape[1],
            "cells": layout.rings.shape[1],
            "bytes": sum(array.nbytes for array in self.arrays().values()),
        }

    def _among(self, rows: RowNumbers, queries: Words, k: int | None, limit: int) -> Hits:
        """Return the nearest of some rows: their codes alone are compared."""
        places = rows if self._layout.kind == "plain" else self._places[rows]
        if not len(rows) or not len(queries):
            return no_hits(len(queries))
        layout, nowhere = Layout.of(self._layout.columns[:, places]), np.empty(0, np.uint32)
        return self._found(layout, nowhere, queries, k, limit, None, None).numbered(rows)

    def _found(
        self, layout: Layout, places: npt.NDArray[Any], queries: Words, k: int | None, limit: int,
        excluded: Marks | None, plan: SearchPlan | None,
    ) -> Hits:  # fmt: skip
        """Return the nearest rows by one plan; where none is given, by NumPy until the kernels are there."""
        seconds, parts = seconds_of(layout, len(places)), []
        for piece, is_compiled in SEARCH.pieces(len(queries), seconds) if plan is None else [(slice(None), True)]:
            some = queries[piece]
            if is_compiled and plan != "numpy":
                parts.append(self._compiled(plan, layout, some, k, limit, excluded))
            else:
                parts.append(search_plainly(layout, places, some, k, limit, excluded))
        return stacked(parts)

    def _compiled(
        self, plan: SearchPlan | None, layout: Layout, queries: Words, k: int | None, limit: int, excluded: Marks | None
    ) -> Hits:
        """Return the nearest rows of each query by compiled kernels: by a plan that is given, else the cheapest."""
        from nearbit.index.engine import parallel

        marks = np.empty(0, np.bool_) if excluded is None else excluded.view()
        marks.flags.writeable = False
        limits = np.full(len(queries), limit, np.int64)
        common = layout, np.array(queries, order="C"), limits, self._n_bits, k, marks, n_threads()
        chosen = plan or plan_for(layout.kind, does_prune=self._does_prune)
        if chosen == "table":
            return parallel.by_table(*common)
        if chosen == "rings":
            cost = self.costs.of(len(queries))
            if cost.does_prune or plan == "rings":
                return parallel.by_rings(*common, cost.give_up_at(layout.n_places))
        return parallel.by_scan(*common)


def build_structure(
    words: Words,
    n_bits: int,
    *,
    pivots: Words | None = None,
    threads: int | None = None,
    layout: str | None = None,
) -> Structure:
    """Build the search structure of codes. The result depends on the arguments only, not on the number of threads.

    But where the kernels that build one are not there yet, many codes get a plain one, which is provisional.

    Args:
        words: uint64 `(n, words)`, the codes by row.
        n_bits: code length in bits.
        pivots: codes uint64 `(m, words)` near which many others lie, such as centers; None to find some.
        threads: how many to use; None for `NEARBIT_THREADS`, else all cores.
        layout: "plain", "rings" or "table" in place of the one that suits the codes best.

    Raises:
        InputError: words of another type or shape than `n_bits` asks for, or codes too long for this layout.
    """
    n_bits = check_n_bits(n_bits)
    if words.dtype != np.uint64 or words.ndim != 2 or words.shape[1] != -(-n_bits // 64) or n_bits > LONGEST:
        raise InputError(
            f"codes of {n_bits} bits (at most {LONGEST}) must come as uint64 (n, {-(-n_bits // 64)}), "
            f"not {words.dtype} {words.shape}"
        )
    kind = layout or _kind(len(words), n_bits)
    if kind == "plain" or not len(words):
        return _plain(words, n_bits)
    if layout is None and kind == "rings" and not _are_builders_there(len(words)):
        return _plain(words, n_bits, is_provisional=True)
    from nearbit.index.engine.distinct import distinct_codes, places_of

    if layout is None and kind == "rings" and pivots is None and _are_scattered(words, n_bits):
        return _plain(words, n_bits)
    distinct = distinct_codes(words)
    if kind == "table":
        from nearbit.index.engine.table import table_layout

        made, does_prune = table_layout(distinct, n_bits), False
    else:
        from nearbit.index.engine.rings import does_help, ring_layout

        made = ring_layout(distinct, n_bits, pivots, threads or n_threads())
        does_prune = layout == "rings" or does_help(made, n_bits)
        if not does_prune and made.n_places > DISTINCT_SHARE * len(words):
            return _plain(words, n_bits)
    return Structure(made, places_of(made), n_bits, does_prune=does_prune)


def brute_force_search(queries: Words, words: Words, ids: Ids, *, k: int | None, limits: Distances) -> Hits:
    """Return what lies near each query, found by comparing it with every item.

    Args:
        queries: uint64 `(q, words)`.
        words: uint64 `(n, words)`, the codes.
        ids: int64 `(n,)`.
        k: at least the `k` nearest of a query are kept, with all that are as near as the last of them; None for all.
        limits: int32 `(q,)`, the largest distance that counts for each query, in bits.
    """
    numbers, rows, distances = [np.empty(0, np.intp)], [np.empty(0, np.intp)], [np.empty(0, np.int32)]
    step = max(1, PAIRS_PER_BLOCK // max(1, len(words)))
    for start in range(0, len(queries), step):
        block = _distances(queries[start : start + step], words)
        allowed = limits[start : start + step]
        if k is not None and k < len(words):
            allowed = np.minimum(allowed, np.partition(block, k - 1, axis=1)[:, k - 1])
        query, row = np.nonzero(block <= allowed[:, None])
        numbers.append(query + start)
        rows.append(row)
        distances.append(block[query, row])
    return ranked(np.concatenate(numbers), ids[np.concatenate(rows)], np.concatenate(distances), len(queries))


def _plain(words: Words, n_bits: int, *, is_provisional: bool = False) -> Structure:
    nowhere = np.empty(0, np.uint32)
    return Structure(Layout.of(words.T), nowhere, n_bits, does_prune=False, is_provisional=is_provisional)


def _are_scattered(words: Words, n_bits: int) -> bool:
    """Return whether many codes are nearly all distinct, and a sample of them without clusters."""
    from nearbit.index.engine.distinct import distinct_share
    from nearbit.index.engine.rings import are_clustered

    if len(words) < SAMPLED_FROM or distinct_share(words) <= DISTINCT_SHARE:
        return False
    return not are_clustered(words, n_bits)


def _are_builders_there(n: int) -> bool:
    """Return whether the kernels that build rings for `n` codes, and those that try them, are there."""
    return BUILDING.serves(SECONDS_A_ROW * n) and SEARCH.serves(SECONDS_A_ROW * n)


def _kind(n: int, n_bits: int) -> str:
    """Return the layout to try."""
    if n < SMALL_INDEX or n_bits > MOST_BITS:
        return "plain"
    return "table" if n_bits <= TABLE_BITS else "rings"


def _distances(queries: Words, words: Words) -> Distances:
    total: Distances = np.bitwise_count(queries[:, None, 0] ^ words[None, :, 0]).astype(np.int32)
    for word in range(1, words.shape[1]):
        total += np.bitwise_count(queries[:, None, word] ^ words[None, :, word])
    return total
