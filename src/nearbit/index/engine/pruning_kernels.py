"""Compiled searches that look at few codes: rings around pivots, and a table of all addresses.

Both count before they scan: where too many codes would be looked at, they give a query up, and the caller scans plainly
with the limit found so far. Nothing here checks its arguments; `structure` does.
"""

from typing import Any

import numpy as np

from nearbit.index.engine.ranking_kernels import FARTHEST, LIMIT, TOTAL, TOUCHED, rank
from nearbit.index.engine.scan_kernels import (
    CHUNK,
    FAR,
    FULL,
    SMALL,
    admit,
    distances,
    gather,
    room,
    smallest,
)
from nearbit.jit import MINUS, ONE, ZERO, kernel, lean, ones

FEW = 64
"""Runs of at most so many codes are compared one by one."""
MANY_GROUPS, GROUP_STEP = 64, 8
"""Of more groups than that, one in so many tells how many codes are near enough to be looked at."""
GIVEN_UP = -1
"""The size of the results of a query that was given up."""


@lean
def _gap(a: Any, b: Any) -> Any:
    """Return the difference between two uint16, in a form that the compiler turns into vectors of 16 bits."""
    larger, smaller = (a, b) if a > b else (b, a)
    return np.uint16(larger - smaller)


@lean
def fill_cell_bounds(query: Any, group: int, pivots: Any, masks: Any, rings: Any, start: int, out: Any) -> None:
    """Fill `out` with the least distance that the codes of a group's cells, from cell `start` on, can have.

    |d(query, pivot) - d(pivot, code)| is at most d(query, code), on each part of the bits; the parts add up.
    """
    a, b, c, d = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for word in range(query.size):
        bits = query[word] ^ pivots[word, group]
        a += ones(bits & masks[group, 0, word])
        b += ones(bits & masks[group, 1, word])
        c += ones(bits & masks[group, 2, word])
        d += ones(bits & masks[group, 3, word])
    stop = start + out.size
    x, y, z, v = rings[0][start:stop], rings[1][start:stop], rings[2][start:stop], rings[3][start:stop]
    e, f, g, h = np.uint16(a), np.uint16(b), np.uint16(c), np.uint16(d)
    for i in range(out.size):
        out[i] = np.uint16(_gap(x[i], e) + _gap(y[i], f) + _gap(z[i], g) + _gap(v[i], h))


@lean
def fill_group_bounds(to_pivots: Any, spans: Any, out: Any) -> None:
    """Fill `out` with the least distance that a code of each group can have."""
    inner, outer = spans[0], spans[1]
    for group in range(out.size):
        distance, least = to_pivots[group], np.uint16(0)
        if distance > outer[group]:
            least = np.uint16(distance - outer[group])
        elif distance < inner[group]:
            least = np.uint16(inner[group] - distance)
        out[group] = least


@lean
def _next_bound(bounds: Any, done: int) -> Any:
    """Return the smallest bound above `done`."""
    least = FAR
    for group in range(bounds.size):
        bound = bounds[group]
        if bound > done and bound < least:
            least = bound
    return np.int64(least)


@lean
def _scan_few(start: int, stop: int, query: Any, columns: Any, limit: int, places: Any, near: Any, end: int) -> Any:
    """Append the places of a short run that are within the limit; return where they end."""
    for place in range(start, stop):
        distance = ones(columns[0, place] ^ query[0])
        for word in range(1, query.size):
            distance += ones(columns[word, place] ^ query[word])
        places[end], near[end] = place, distance
        end += 1 if distance <= np.uint64(limit) else 0
    return end


@lean
def _scan_run(
    start: int, stop: int, query: Any, columns: Any, offsets: Any, rows: Any, excluded: Any, k: int,
    values: Any, places: Any, near: Any, end: int, counts: Any, state: Any,
) -> Any:  # fmt: skip
    """Compare a query with the places from `start` to `stop`; return where the candidates end, or FULL."""
    state[TOUCHED] += stop - start
    if stop - start <= FEW:
        end = room(places, near, end, state[FARTHEST])
        if end == FULL:
            return FULL
        last = _scan_few(start, stop, query, columns, state[LIMIT], places, near, end)
        return end if last == end else admit(end, last, places, near, offsets, rows, excluded, k, counts, state)
    for low in range(start, stop, CHUNK):
        part = values[: min(CHUNK, stop - low)]
        distances(query, columns, low, part)
        if smallest(part) <= state[LIMIT]:
            end = room(places, near, end, state[FARTHEST])
            if end == FULL:
                return FULL
            last = gather(values, part.size, low, state[LIMIT], places, near, end)
            end = admit(end, last, places, near, offsets, rows, excluded, k, counts, state)
    return end


@lean
def _visit(
    group: int, above: int, upto: int, query: Any, layout: Any, excluded: Any, k: int,
    values: Any, bounds: Any, places: Any, near: Any, end: int, counts: Any, state: Any,
) -> Any:  # fmt: skip
    """Scan the cells of a group whose bound is above one number, at most another, and within the limit.

    Returns:
        where the candidates end, or FULL.
    """
    cell_starts, last = layout.cell_starts, layout.group_cells[group + 1]
    for low in range(layout.group_cells[group], last, SMALL):
        part = bounds[: min(SMALL, last - low)]
        fill_cell_bounds(query, group, layout.pivots, layout.masks, layout.rings, low, part)
        most = min(state[LIMIT], upto)
        if smallest(part) > most:
            continue
        cell = 0
        while cell < part.size:
            if not above < part[cell] <= most:
                cell += 1
                continue
            first = cell
            while cell < part.size and above < part[cell] <= most:
                cell += 1
            end = _scan_run(
                cell_starts[low + first], cell_starts[low + cell], query, layout.columns, layout.offsets, layout.rows,
                excluded, k, values, places, near, end, counts, state,
            )  # fmt: skip
            if end == FULL:
                return FULL
            most = min(state[LIMIT], upto)
    return end


@lean
def _is_much(query: Any, layout: Any, group_bounds: Any, done: int, limit: int, give_up: int, bounds: Any) -> Any:
    """Return whether about more than `give_up` codes, in the groups beyond `done`, may be within the limit.

    Where many groups may hold some, the cells of a few of them are looked at, and the others taken to be like them.
    """
    group_cells, cell_starts, whole, seen, found, number = layout.group_cells, layout.cell_starts, 0, 0, 0, 0
    for group in range(group_bounds.size):
        if done < group_bounds[group] <= limit:
            whole += cell_starts[group_cells[group + 1]] - cell_starts[group_cells[group]]
            number += 1
    if whole <= give_up:
        return False
    step = GROUP_STEP if number > MANY_GROUPS else 1
    for group in range(group_bounds.size):
        if not done < group_bounds[group] <= limit:
            continue
        number += 1
        if number % step:
            continue
        stop = group_cells[group + 1]
        seen += cell_starts[stop] - cell_starts[group_cells[group]]
        for low in range(group_cells[group], stop, SMALL):
            part = bounds[: min(SMALL, stop - low)]
            fill_cell_bounds(query, group, layout.pivots, layout.masks, layout.rings, low, part)
            if smallest(part) <= limit:
                for cell in range(part.size):
                    if part[cell] <= limit:
                        found += cell_starts[low + cell + 1] - cell_starts[low + cell]
    return found * whole > give_up * seen


@kernel
def nearest_pivots(queries: Any, pivots: Any, to_pivots: Any, near: Any) -> None:
    """Fill `near`, int64, with the nearest pivot of each query, the first of equals; `to_pivots` is room for those."""
    for q in range(queries.shape[0]):
        distances(queries[q], pivots, ZERO, to_pivots)
        near[q] = nearest(to_pivots)


@lean
def nearest(to_pivots: Any) -> Any:
    """Return the number of the smallest distance, the first of equals."""
    least = smallest(to_pivots)
    for number in range(to_pivots.size):
        if to_pivots[number] == least:
            return number
    return 0


@lean
def _search_groups(
    query: Any, n_bits: int, layout: Any, excluded: Any, k: int, give_up: int,
    to_pivots: Any, group_bounds: Any, values: Any, bounds: Any, places: Any, near: Any, counts: Any, state: Any,
) -> Any:  # fmt: skip
    """Search one query: the nearest pivot's group ring by ring, then the others by their bound.

    Returns:
        where the candidates end, GIVEN_UP or FULL.
    """
    end, above, upto = ZERO, MINUS, ZERO
    distances(query, layout.pivots, ZERO, to_pivots)
    home = nearest(to_pivots)
    fill_group_bounds(to_pivots, layout.spans, group_bounds)
    while above < state[LIMIT]:
        end = _visit(home, above, upto, query, layout, excluded, k, values, bounds, places, near, end, counts, state)
        if end == FULL:
            return FULL
        above, upto = upto, max(2 * upto, (n_bits + 63) // 64)
    group_bounds[home] = FAR
    is_little, done = False, MINUS
    least = _next_bound(group_bounds, done)
    while least <= state[LIMIT]:
        if not is_little and _is_much(query, layout, group_bounds, done, state[LIMIT], give_up, bounds):
            return GIVEN_UP
        is_little = True
        for group in range(group_bounds.size):
            if group_bounds[group] == least and least <= state[LIMIT]:
                end = _visit(
                    group,
                    MINUS,
                    n_bits,
                    query,
                    layout,
                    excluded,
                    k,
                    values,
                    bounds,
                    places,
                    near,
                    end,
                    counts,
                    state,
                )
                if end == FULL:
                    return FULL
        done = least
        least = _next_bound(group_bounds, done)
    return end


@lean
def _begin(limit: int, counts: Any, state: Any) -> None:
    """Make histogram and state those of a search that has found nothing yet."""
    for distance in range(counts.size):
        counts[distance] = 0
    state[LIMIT] = state[FARTHEST] = limit
    state[TOTAL] = state[TOUCHED] = 0


@lean
def _take(
    q: int, end: int, at: int, layout: Any, excluded: Any, k: int, limits: Any, begins: Any, sizes: Any, touched: Any,
    places: Any, near: Any, counts: Any, state: Any, out_rows: Any, out_distances: Any,
) -> Any:  # fmt: skip
    """Fill in what a query found; return where the results of the next one begin, or FULL."""
    touched[q] = state[TOUCHED]
    if end == GIVEN_UP:
        sizes[q], limits[q] = GIVEN_UP, state[FARTHEST]
        return at
    begins[q], sizes[q] = at, min(state[TOTAL], k)
    stop = at + sizes[q]
    if stop > out_rows.size:
        return FULL
    rank(
        places, near, end, layout.offsets, layout.rows, excluded, counts, state,
        out_rows[at:stop], out_distances[at:stop],
    )  # fmt: skip
    return stop


@lean
def _probe(
    address: int, n_bits: int, layout: Any, excluded: Any, k: int, give_up: int,
    places: Any, near: Any, counts: Any, state: Any,
) -> Any:  # fmt: skip
    """Look all addresses at distance 0 up, then those at 1, … until the k-th row is found.

    Returns:
        where the candidates end, GIVEN_UP or FULL.
    """
    start, size, end, distance = ZERO, ONE, ZERO, ZERO
    while distance <= state[LIMIT] and distance <= n_bits:
        if start + size > give_up:
            return GIVEN_UP
        for low in range(start, start + size, CHUNK):
            end = room(places, near, end, state[FARTHEST])
            if end == FULL:
                return FULL
            last = end
            for probe in layout.probes[low : min(low + CHUNK, start + size)]:
                number = np.int64(layout.table[np.int64(address) ^ np.int64(probe)])
                places[last], near[last] = number - 1, distance
                last += number > 0
            end = admit(end, last, places, near, layout.offsets, layout.rows, excluded, k, counts, state)
        start += size
        state[TOUCHED] = start
        size = size * (n_bits - distance) // (distance + 1)
        distance += 1
    return end


@kernel
def search_rings(
    layout: Any, number: int, at: int, order: Any, queries: Any, limits: Any, n_bits: int, k: int, excluded: Any,
    give_up: int, to_pivots: Any, group_bounds: Any, values: Any, bounds: Any, places: Any, near: Any, counts: Any,
    state: Any, begins: Any, sizes: Any, touched: Any, out_rows: Any, out_distances: Any,
) -> Any:  # fmt: skip
    """Search queries by rings, in an order in which those with a common nearest pivot follow each other.

    While its group is in the cache, that is. Where there is too little room it says so, and goes on with that query in
    the next call.

    Args:
        layout: the arrays, with pivots.
        number: how many queries of the order are done.
        at: where the results of the next one begin.
        order: int64 `(n_query,)`.
        queries: uint64 `(n_query, words)`.
        limits: int64 `(n_query,)`, the largest distance of results; for queries given up, lowered to what was found.
        n_bits: code length in bits.
        k: the most rows of a query; NO_LIMIT for all.
        excluded: bool `(n,)`, or empty: rows that are not there.
        give_up: a query that would look at more codes than this, beyond the first group, is given up.
        to_pivots: uint16 `(n_groups,)`.
        group_bounds: uint16 `(n_groups,)`.
        values: uint16 `(CHUNK,)`.
        bounds: uint16 `(SMALL,)`.
        places: int64, room for candidates.
        near: uint16, as much.
        counts: int64 `(n_bits + 1,)`.
        state: int64 `(STATES,)`.
        begins: int64 `(n_query,)`, filled: where the results of each query begin.
        sizes: int64 `(n_query,)`, filled: GIVEN_UP for those given up.
        touched: int64 `(n_query,)`, filled: codes looked at.
        out_rows: int64, filled with rows.
        out_distances: int32, filled with their distances.

    Returns:
        how many queries are done, where their results end, and whether it was the candidates that had no room.
    """
    while number < order.size:
        q = order[number]
        _begin(limits[q], counts, state)
        end = _search_groups(
            queries[q], n_bits, layout, excluded, k, give_up,
            to_pivots, group_bounds, values, bounds, places, near, counts, state,
        )  # fmt: skip
        if end == FULL:
            return number, at, True
        stop = _take(
            q, end, at, layout, excluded, k, limits, begins, sizes, touched,
            places, near, counts, state, out_rows, out_distances,
        )  # fmt: skip
        if stop == FULL:
            return number, at, False
        number, at = number + 1, stop
    return number, at, False


@kernel
def search_table(
    layout: Any, number: int, at: int, addresses: Any, limits: Any, n_bits: int, k: int, excluded: Any, give_up: int,
    places: Any, near: Any, counts: Any, state: Any, begins: Any, sizes: Any, touched: Any, out_rows: Any,
    out_distances: Any,
) -> Any:  # fmt: skip
    """Search queries by address: all addresses at distance 0, then at 1, … until the k-th row is found.

    Args and returns are those of `search_rings`; `addresses` are int64 `(n_query,)`, and a query that would look up
    more of them than `give_up` is given up.
    """
    while number < addresses.size:
        _begin(limits[number], counts, state)
        end = _probe(addresses[number], n_bits, layout, excluded, k, give_up, places, near, counts, state)
        if end == FULL:
            return number, at, True
        stop = _take(
            number, end, at, layout, excluded, k, limits, begins, sizes, touched,
            places, near, counts, state, out_rows, out_distances,
        )  # fmt: skip
        if stop == FULL:
            return number, at, False
        number, at = number + 1, stop
    return number, at, False
