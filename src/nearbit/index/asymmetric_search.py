"""Asymmetric search: the nearest items by weighted distance, exactly, on the structure of the plain search.

With query outputs w and an item's signs s the weighted distance is the sum of |w_b| over the bits b where s_b is not
the sign of w_b; the inner product of w and s is the sum of all |w_b| less twice that. Nothing is stored for it.
"""

import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.codes import Distances
from nearbit.index.engine.brute_force import RowNumbers, Words
from nearbit.index.engine.layout import Layout
from nearbit.index.engine.planner import FEW_PAIRS, SMALL_INDEX, give_up_at, is_narrow, plan_for
from nearbit.index.engine.structure import Marks, Structure
from nearbit.index.engine.weights import Weighted, Whole, weighted_distances
from nearbit.index.live.snapshot import Snapshot, Subset
from nearbit.index.results import PADDING, Ids, Results
from nearbit.threads import n_threads

MOST_SLOTS = 1 << 21
"""Places for results that a block of queries has at most; a query that wants more has a block of its own."""
QUERIES_PER_BLOCK = 32
UNLIMITED_FIRST = 1024
"""How many rows are looked for first where there is no k."""


@dataclass(frozen=True, eq=False)
class Hits:
    """What a search found, in rank order for each query: by weighted distance, then by id.

    Attributes:
        queries: `(total,)`, ascending.
        ids: int64 `(total,)`; rows, where only a structure was searched.
        weighted: int64 `(total,)`, in units of the query.
        distances: int32 `(total,)`, in bits.
    """

    queries: RowNumbers
    ids: Ids
    weighted: Whole
    distances: Distances


def search(snapshot: Snapshot, only: Subset | None, queries: Weighted, k: int | None, radius: float | None) -> Results:
    """Return the nearest items of each query by weighted distance, then by id.

    Args:
        snapshot: the items.
        only: those to look at; None for all.
        queries: the queries.
        k: the most items of a query; None for no limit.
        radius: the largest weighted distance; None for no limit.
    """
    limits, main = queries.limits(radius), snapshot.main
    rows = None if only is None else only.main
    found = nearest_rows(main.structure, main.words, queries, k, limits, allowed=rows, excluded=snapshot.tombstones)
    hits = Hits(found.queries, main.ids[found.ids], found.weighted, found.distances)
    words = snapshot.delta.words if only is None else snapshot.delta.words[only.delta]
    if len(words):
        ids = snapshot.delta.ids if only is None else snapshot.delta.ids[only.delta]
        delta = _among(words, queries, k, lowered(limits, hits, k))
        hits = together([hits, Hits(delta.queries, ids[delta.ids], delta.weighted, delta.distances)], k)
    return _results(hits, queries, k)


def nearest_rows(
    structure: Structure,
    words: Words,
    queries: Weighted,
    k: int | None,
    limits: Whole,
    *,
    allowed: RowNumbers | None = None,
    excluded: Marks | None = None,
) -> Hits:
    """Return the nearest rows of each query, ranked by weighted distance, then by row; exact.

    Args:
        structure: of the codes.
        words: uint64 `(n, words)`, the codes by row.
        queries: the queries.
        k: the most rows of a query; None for no limit.
        limits: int64 `(q,)`, the largest weighted distance, in units.
        allowed: the only rows to look at, ascending; None for all.
        excluded: bool `(n,)`, rows that are not there; None for none.
    """
    layout = structure.layout
    if allowed is not None:
        if excluded is not None:
            allowed = allowed[~excluded[allowed]]
        if is_narrow(layout.kind, len(allowed), len(structure)):
            return _of_rows(allowed, _among(words[allowed], queries, k, limits))
        excluded = np.ones(len(structure), np.bool_)
        excluded[allowed] = False
    if not len(structure) or not len(queries):
        return _nothing()
    plan = plan_for(layout.kind, does_prune=structure.does_prune, n_rows=len(structure), n_query=len(queries))
    if plan == "numpy":
        left = np.arange(len(structure)) if excluded is None else np.flatnonzero(~excluded)
        return _of_rows(left, _among(words[left], queries, k, limits))
    return _compiled(layout, plan, queries, k, limits, len(structure), excluded)


def together(parts: list[Hits], k: int | None) -> Hits:
    """Return the hits of several parts, ranked, at most `k` a query; no id is in two of them for one query."""
    queries, ids, weighted, distances = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("queries", "ids", "weighted", "distances")
    )
    order = np.lexsort((ids, weighted, queries))
    if k is not None:
        ordered = queries[order]
        order = order[np.arange(len(order)) - np.searchsorted(ordered, ordered) < k]
    return Hits(queries[order], ids[order], weighted[order], distances[order])


def lowered(limits: Whole, hits: Hits, k: int | None) -> Whole:
    """Return the weighted distances beyond which nothing can come among the first `k` of each query."""
    if k is None:
        return limits
    starts = np.searchsorted(hits.queries, np.arange(len(limits) + 1))
    full = np.diff(starts) >= k
    new = limits.copy()
    new[full] = np.minimum(limits[full], hits.weighted[starts[:-1][full] + k - 1])
    return new


def _among(words: Words, queries: Weighted, k: int | None, limits: Whole) -> Hits:
    """Return the nearest of some codes; those are numbered in their order."""
    if not len(words) or not len(queries):
        return _nothing()
    is_loaded = "nearbit.index.engine.weighted_kernels" in sys.modules
    if is_loaded or len(words) >= SMALL_INDEX or len(words) * len(queries) > FEW_PAIRS:
        return _compiled(Layout.of(words.T), "scan", queries, k, limits, len(words), None)
    parts = []
    for number in range(len(queries)):
        bits = np.bitwise_count(words ^ queries.words[number]).sum(axis=1, dtype=np.int32)
        rows = np.flatnonzero(queries.steps[number][bits] <= limits[number])
        distances = weighted_distances(queries, number, words[rows])
        within = distances <= limits[number]
        if k is not None and k < len(rows):
            within &= distances <= np.partition(distances, k - 1)[k - 1]
        rows, distances = rows[within], distances[within]
        parts.append(Hits(np.full(len(rows), number), rows.astype(np.int64), distances, bits[rows]))
    return together(parts, k)


def _compiled(
    layout: Layout, plan: str, queries: Weighted, k: int | None, limits: Whole, n_rows: int, excluded: Marks | None
) -> Hits:
    """Return the nearest rows by compiled search; without `k`, with more and more room until all have enough."""
    marks = np.empty(0, np.bool_) if excluded is None else excluded.view()
    marks.flags.writeable = False
    room = min(n_rows, UNLIMITED_FIRST if k is None else k)
    asked, parts = np.arange(len(queries)), []
    while len(asked):
        hits = _in_blocks(layout, plan, queries.part(asked), room, limits[asked], marks)
        is_short = np.bincount(hits.queries, minlength=len(asked)) == room
        if k is not None or room == n_rows:
            is_short[:] = False
        done = ~is_short[hits.queries]
        parts.append(Hits(asked[hits.queries][done], hits.ids[done], hits.weighted[done], hits.distances[done]))
        asked, room = asked[is_short], min(n_rows, 8 * room)
    return parts[0] if len(parts) == 1 else together(parts, None)


def _in_blocks(layout: Layout, plan: str, queries: Weighted, room: int, limits: Whole, marks: Marks) -> Hits:
    """Return the nearest rows; blocks of queries go to threads, or ranges of codes where a few queries are scanned."""
    from nearbit.index.engine.parallel import PAIRS_PER_THREAD, ranges_of, shared_out

    threads = n_threads()
    size = max(1, min(QUERIES_PER_BLOCK, MOST_SLOTS // room))
    blocks = [slice(start, start + size) for start in range(0, len(queries), size)]
    worth = layout.n_places * len(queries) // PAIRS_PER_THREAD if plan == "scan" and len(blocks) < threads else 1

    def work(job: tuple[slice, tuple[int, int]]) -> Hits:
        block, places = job
        return _of_block(layout, plan, places, queries.part(block), block.start, room, limits[block], marks)

    ranges = ranges_of(layout.n_places, worth, threads)
    found = shared_out(work, [(block, places) for block in blocks for places in ranges], threads)
    return _joined(found) if len(ranges) == 1 else together(found, room)


def _of_block(
    layout: Layout,
    plan: str,
    places: tuple[int, int],
    queries: Weighted,
    first: int,
    room: int,
    limits: Whole,
    marks: Marks,
) -> Hits:
    """Return the nearest rows of a block of queries, which are numbered from `first` on."""
    from nearbit.index.engine import weighted_kernels as kernels

    words, weights, steps = (np.ascontiguousarray(one) for one in (queries.words, queries.weights, queries.steps))
    if plan == "rings":
        orders = np.ascontiguousarray(queries.orders)
        made = kernels.search_rings(layout, words, weights, orders, steps, limits, room, marks)
    elif plan == "table":
        from nearbit.index.engine.table import addresses_of

        addresses, give_up = addresses_of(queries.words[:, 0], steps.shape[1] - 1), give_up_at("table", layout.n_places)
        made = kernels.search_table(layout, addresses, words, weights, steps, limits, room, marks, give_up)
    else:
        made = kernels.scan(layout, *places, words, weights, steps, limits, room, marks)
    sizes, far, rows, _ = made
    filled = np.arange(room) < sizes[:, None]
    packed = rows[filled]
    numbers = np.repeat(np.arange(first, first + len(sizes)), sizes)
    bits = (packed & ((1 << kernels.BITS_OF_ROW) - 1)).astype(np.int32)
    return Hits(numbers, packed >> kernels.BITS_OF_ROW, far[filled], bits)


def _joined(parts: list[Hits]) -> Hits:
    """Return the hits of blocks of queries that follow each other."""
    if len(parts) == 1:
        return parts[0]
    names = ("queries", "ids", "weighted", "distances")
    return Hits(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _of_rows(rows: RowNumbers, hits: Hits) -> Hits:
    """Return hits among some rows by the numbers of these."""
    return Hits(hits.queries, rows[hits.ids].astype(np.int64), hits.weighted, hits.distances)


def _nothing() -> Hits:
    return Hits(np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))


def _results(hits: Hits, queries: Weighted, k: int | None) -> Results:
    """Return hits as one table, padded with -1 to `k` columns, or to the longest row."""
    counts = np.bincount(hits.queries, minlength=len(queries))
    width = k if k is not None else int(counts.max(initial=0))
    filled = np.arange(width) < counts[:, None]
    ids = np.full(filled.shape, PADDING, np.int64)
    distances = np.full(filled.shape, PADDING, np.int32)
    reals: npt.NDArray[np.float64] = np.full(filled.shape, float(PADDING))
    ids[filled], distances[filled] = hits.ids, hits.distances
    reals[filled] = queries.in_reals(hits.queries, hits.weighted)
    return Results(ids, distances, reals)
