"""Asymmetric search: the nearest items by weighted distance, exactly, on the structure of the plain search.

With query outputs w and an item's signs s the weighted distance is the sum of |w_b| over the bits b where s_b is not
the sign of w_b; the inner product of w and s is the sum of all |w_b| less twice that. Nothing is stored for it.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from nearbit.compiled import WEIGHTED
from nearbit.index.engine.layout import (
    Layout,
    RowNumbers,
    Words,
    is_narrow,
    most_probes,
    plan_for,
)
from nearbit.index.engine.structure import Marks, Structure
from nearbit.index.engine.weighted.plain_weighing import SECONDS_A_BYTE, SECONDS_A_QUERY, weigh_plainly
from nearbit.index.engine.weighted.weights import Weighted, Whole
from nearbit.index.live.snapshot import Snapshot, Subset
from nearbit.index.results import Hits, merged, no_hits, stacked
from nearbit.threads import n_threads

MOST_SLOTS = 1 << 21
"""Places for results that a block of queries has at most; a query that wants more has a block of its own."""
QUERIES_PER_BLOCK, QUERIES_PER_SCAN = 256, 32
"""Queries that are searched by one call, at most; those that are compared with one block of codes."""
KEY_DIGITS = 62
"""Binary digits of the largest key; NumPy searches where it would be larger."""
UNLIMITED_FIRST = 1024
"""How many rows are looked for first where there is no k."""


def search(snapshot: Snapshot, only: Subset | None, queries: Weighted, k: int | None, radius: float | None) -> Hits:
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
    hits = found.numbered(main.ids)
    words = snapshot.delta.words if only is None else snapshot.delta.words[only.delta]
    if len(words):
        ids = snapshot.delta.ids if only is None else snapshot.delta.ids[only.delta]
        hits = merged([hits, _among(words, queries, k, hits.lowered(limits, k)).numbered(ids)], k)
    return replace(hits, weighted=queries.in_reals(hits.queries, np.asarray(hits.weighted)))


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
            return _among(words[allowed], queries, k, limits).numbered(allowed)
        excluded = np.ones(len(structure), np.bool_)
        excluded[allowed] = False
    if not len(structure) or not len(queries):
        return _nothing(len(queries))
    plan = plan_for(layout.kind, does_prune=structure.does_prune)
    return _found(layout, plan, words, queries, k, limits, excluded)


def _among(words: Words, queries: Weighted, k: int | None, limits: Whole) -> Hits:
    """Return the nearest of some codes; those are numbered in their order."""
    if not len(words) or not len(queries):
        return _nothing(len(queries))
    return _found(Layout.of(words.T), "scan", words, queries, k, limits, None)


def _found(
    layout: Layout, plan: str, words: Words, queries: Weighted, k: int | None, limits: Whole, excluded: Marks | None
) -> Hits:
    """Return the nearest rows, by NumPy until the kernels are there, and where they have no keys for them."""
    left = None if excluded is None else np.flatnonzero(~excluded)
    pieces = WEIGHTED.pieces(len(queries), SECONDS_A_QUERY + SECONDS_A_BYTE * words.nbytes)
    if not has_keys(queries, len(words)):
        pieces = iter([(slice(0, len(queries)), False)])
    parts = []
    for piece, is_compiled in pieces:
        some, within = queries.part(piece), limits[piece]
        if is_compiled:
            parts.append(_compiled(layout, words, plan, some, k, within, excluded))
        elif left is None:
            parts.append(weigh_plainly(words, some, k, within))
        else:
            parts.append(weigh_plainly(words[left], some, k, within).numbered(left))
    return stacked(parts)


def _compiled(
    layout: Layout, words: Words, plan: str, queries: Weighted, k: int | None, limits: Whole, excluded: Marks | None
) -> Hits:
    """Return the nearest rows by compiled search; without `k`, with more and more room until all have enough."""
    marks = np.empty(0, np.bool_) if excluded is None else excluded.view()
    marks.flags.writeable = False
    n_rows = len(words)
    room = min(n_rows, UNLIMITED_FIRST if k is None else k)
    hits = _in_blocks(layout, words, plan, queries, room, limits, marks)
    while k is None and room < n_rows and (short := np.flatnonzero(hits.sizes == room)).size:
        room = min(n_rows, 8 * room)
        more = _in_blocks(layout, words, plan, queries.part(short), room, limits[short], marks)
        begins, sizes = hits.offsets[:-1].copy(), hits.sizes
        begins[short], sizes[short] = len(hits.ids) + more.offsets[:-1], more.sizes
        hits = stacked([hits, more]).picked(begins, sizes)
    return hits


def _in_blocks(
    layout: Layout, words: Words, plan: str, queries: Weighted, room: int, limits: Whole, marks: Marks
) -> Hits:
    """Return the nearest rows; blocks of queries go to threads, or ranges of codes where a few queries are scanned."""
    from nearbit.index.engine.parallel import PAIRS_PER_THREAD, QUERIES_PER_THREAD, ranges_of, shared_out

    threads, n_query = n_threads(), len(queries)
    most = max(1, min(QUERIES_PER_SCAN if plan == "scan" else QUERIES_PER_BLOCK, MOST_SLOTS // room))
    count = max(-(-n_query // most), min(threads, n_query // QUERIES_PER_THREAD))
    blocks = [slice(*ends) for ends in ranges_of(n_query, count, count)]
    worth = layout.n_places * n_query // PAIRS_PER_THREAD if plan == "scan" and len(blocks) < threads else 1

    if len(blocks) == 1 and worth < 2:
        return _of_block(layout, words, plan, (0, layout.n_places), queries, room, limits, marks)

    def work(job: tuple[slice, tuple[int, int]]) -> Hits:
        block, places = job
        return _of_block(layout, words, plan, places, queries.part(block), room, limits[block], marks)

    ranges = ranges_of(layout.n_places, worth, threads)
    found = shared_out(work, [(block, places) for block in blocks for places in ranges], threads)
    return stacked([merged(found[at : at + len(ranges)], room) for at in range(0, len(found), len(ranges))])


def _of_block(
    layout: Layout,
    words: Words,
    plan: str,
    places: tuple[int, int],
    queries: Weighted,
    room: int,
    limits: Whole,
    marks: Marks,
) -> Hits:
    """Return the nearest rows of a block of queries."""
    from nearbit.index.engine.weighted import weighted_calls as calls

    digits = row_digits(len(words))
    asked: Any = tuple(np.ascontiguousarray(one) for one in (queries.words, queries.weights, queries.steps, limits))
    codes, weights, steps, most = asked
    if plan == "rings":
        sizes, keys = calls.search_rings(
            layout, codes, weights, steps, most, np.ascontiguousarray(queries.orders), digits, room, marks
        )
    elif plan == "table":
        from nearbit.index.engine.table import addresses_of

        addresses, give_up = addresses_of(queries.words[:, 0], queries.n_bits), most_probes(layout.n_places)
        sizes, keys = calls.search_table(layout, addresses, codes, weights, steps, most, digits, room, marks, give_up)
    else:
        sizes, keys = calls.scan(layout, codes, weights, steps, most, *places, digits, room, marks)
    return _ranked(keys, sizes, digits, words, queries.words)


def _ranked(keys: Whole, sizes: Whole, digits: int, words: Words, queries: Words) -> Hits:
    """Return the hits that keys `(q, room)` stand for, of which the first `sizes` of each query count, in no order."""
    filled = np.arange(keys.shape[1]) < sizes[:, None]
    keys = np.where(filled, keys, np.iinfo(np.int64).max)
    keys.sort(axis=1)
    keys = keys[filled]
    rows = keys & ((1 << digits) - 1)
    differing = words.take(rows, axis=0)
    differing ^= np.repeat(queries, sizes, axis=0)
    bits = np.bitwise_count(differing).sum(axis=1, dtype=np.int32)
    return Hits.in_sequence(sizes, rows, bits, keys >> digits)


def has_keys(queries: Weighted, n_rows: int) -> bool:
    """Return whether a weighted distance and a row fit into one key; below 2 ** 38 bits of codes in all they do."""
    return int(queries.steps[:, -1].max()).bit_length() + row_digits(n_rows) <= KEY_DIGITS


def row_digits(n_rows: int) -> int:
    """Return how many of the lowest bits of a key hold a row."""
    return max(n_rows - 1, 0).bit_length()


def _nothing(n_query: int) -> Hits:
    return no_hits(n_query, np.empty(0, np.int64))
