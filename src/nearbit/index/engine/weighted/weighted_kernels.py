"""Compiled searches by weighted distance. Nothing here checks its arguments; `asymmetric_search` does.

All take the queries as

    queries: uint64 `(n_query, words)`;
    weights: int32 `(n_query, 64 * words)`, by bit, the lowest of each word first;
    steps: int64 `(n_query, n_bits + 1)`, the sums of the smallest weights;
    limits: int64 `(n_query,)`, the largest weighted distance of results;
    digits: the lowest bits of a key that hold the row;
    k: the most rows of a query;
    excluded: bool `(n,)`, or empty: rows that are not there;
    keys: int64 `(n_query, 2 * k + SPARE)`, filled, in no order, of which the first of each query count;
    states: int64 `(n_query, STATES)`, filled: SIZE is how many keys there are, TOUCHED how many codes were looked at.

The other arrays are room to work in, as `weighted_calls` makes it.
"""

from typing import Any

import numpy as np

from nearbit.index.engine.pruning_kernels import fill_group_bounds, nearest
from nearbit.index.engine.scan_kernels import CHUNK, SMALL, distances, smallest
from nearbit.index.engine.weighted.weighing_kernels import (
    BITS,
    LIMIT,
    TOUCHED,
    admit,
    begin,
    fill_tables,
    gather,
    settle,
    weigh,
    weigh_run,
    weigh_word,
)
from nearbit.jit import MINUS, ONE, ZERO, kernel, lean, ones

FAR = 1 << 60
"""A distance that four of still fit in 64 bits."""
SPARE = 64
"""Room for keys beyond twice as many as are wanted."""
LEVELS = 64
"""Into how many levels the bits of a query are divided by weight, at most."""


@lean
def _scan_run(start: Any, stop: Any, values: Any, places: Any, far: Any, query: Any, columns: Any, offsets: Any,
              rows: Any, excluded: Any, tables: Any, keys: Any, k: int, steps: Any, state: Any) -> None:  # fmt: skip
    """Compare a query with the places from `start` to `stop`, those that differ in too many bits by that alone."""
    state[TOUCHED] += stop - start
    for low in range(start, stop, CHUNK):
        part = values[: min(CHUNK, stop - low)]
        distances(query, columns, low, part)
        for first in range(0, part.size, SMALL):
            some = part[first : first + SMALL]
            if state[BITS] < 0 or smallest(some) > state[BITS]:
                continue
            size = gather(some, low + first, np.uint16(state[BITS]), places, far)
            for number in range(size):
                far[number] = weigh(query, columns, places[number], tables)
            admit(places[:size], far, offsets, rows, excluded, keys, k, steps, state)


@lean
def _weigh_all(start: int, stop: int, values: Any, places: Any, far: Any, query: Any, columns: Any, offsets: Any,
               rows: Any, excluded: Any, tables: Any, keys: Any, k: int, steps: Any, state: Any) -> None:  # fmt: skip
    """Look at the weights of the places from `start` to `stop`."""
    state[TOUCHED] += stop - start
    for low in range(start, stop, SMALL):
        part = values[: min(SMALL, stop - low)]
        weigh_run(query, columns, low, tables, part)
        size = gather(part, low, state[LIMIT], places, far)
        if size:
            admit(places[:size], far, offsets, rows, excluded, keys, k, steps, state)


@lean
def _fill_rings(query: Any, group: int, pivots: Any, masks: Any, weights: Any, order: Any, limit: int, least: Any,
                ends: Any) -> None:  # fmt: skip
    """Fill `least`, int64 `(PARTS, n_bits + 2)`: the least weighted distance, by part, of the codes of each ring.

    On one part, let the query differ from the pivot in a bits, and a code in r. Where r > a, the code differs from the
    query in r - a of the other bits at least; where r < a, in a - r of those a. The lightest of them bound it. What is
    beyond the limit is FAR.
    """
    for part in range(4):
        for ring in range(least.shape[1]):
            least[part, ring] = FAR
    for part in range(4):
        away = np.uint64(0)
        for word in range(query.size):
            away += ones((query[word] ^ pivots[word, group]) & masks[group, part, word])
        ends[0, part] = ends[1, part] = np.int64(away)
        least[part, np.int64(away)] = 0
    for position in order:
        word, bit = position >> 6, np.uint64(position & 63)
        differs = np.int64(((query[word] ^ pivots[word, group]) >> bit) & np.uint64(1))
        own = np.int64((masks[group, 1, word] >> bit) & np.uint64(1))
        own += 2 * np.int64((masks[group, 2, word] >> bit) & np.uint64(1))
        own += 3 * np.int64((masks[group, 3, word] >> bit) & np.uint64(1))
        at = ends[differs, own]
        distance = least[own, at] + weights[position]
        if distance <= limit:
            ends[differs, own] = at + 1 - 2 * differs
            least[own, ends[differs, own]] = distance


@lean
def _fill_cell_bounds(rings: Any, start: int, least: Any, out: Any) -> None:
    """Fill `out`, int64, with the least weighted distances of the codes of the cells from `start` on."""
    stop = start + out.size
    x, y, z, v = rings[0][start:stop], rings[1][start:stop], rings[2][start:stop], rings[3][start:stop]
    a, b, c, d = least[0], least[1], least[2], least[3]
    for i in range(out.size):
        out[i] = a[x[i]] + b[y[i]] + c[z[i]] + d[v[i]]


@lean
def _visit(group: Any, above: Any, upto: Any, values: Any, bounds: Any, places: Any, far: Any, least: Any,
           query: Any, layout: Any, excluded: Any, tables: Any, keys: Any, k: int, steps: Any,
           state: Any) -> None:  # fmt: skip
    """Look at the cells of a group whose bound is above one number, at most another, and within the limit."""
    starts, last = layout.cell_starts, layout.group_cells[group + 1]
    for low in range(layout.group_cells[group], last, SMALL):
        part = bounds[: min(SMALL, last - low)]
        _fill_cell_bounds(layout.rings, low, least, part)
        cell = 0
        while cell < part.size:
            first, most = cell, min(upto, state[LIMIT])
            while cell < part.size and above < part[cell] <= most:
                cell += 1
            if cell > first:
                _weigh_all(starts[low + first], starts[low + cell], values, places, far, query, layout.columns,
                           layout.offsets, layout.rows, excluded, tables, keys, k, steps, state)  # fmt: skip
            cell += 1


@lean
def _fill_levels(order: Any, levels: Any) -> None:
    """Fill `levels`, uint64 `(n, words)`: the lightest 1, 2, … n nths of the bits; the last holds all."""
    done, count = 0, levels.shape[0]
    for level in range(count):
        for word in range(levels.shape[1]):
            levels[level, word] = levels[level - 1, word] if level else np.uint64(0)
        upto = order.size * (level + 1) // count
        for position in order[done:upto]:
            levels[level, position >> 6] |= np.uint64(1) << np.uint64(position & 63)
        done = upto


@lean
def _ones_within(query: Any, pivots: Any, group: int, mask: Any) -> Any:
    """Return in how many bits of a mask a query differs from a pivot."""
    total = np.uint64(0)
    for word in range(query.size):
        total += ones((query[word] ^ pivots[word, group]) & mask[word])
    return np.int64(total)


@lean
def _lightest(group: int, count: Any, query: Any, pivots: Any, levels: Any, tables: Any) -> Any:
    """Return what `count` bits in which a query differs from a pivot weigh at least: as many of the lightest levels."""
    low, high = 0, levels.shape[0]  # the bits of `low` levels are few enough
    while low < high:
        middle = (low + high + 1) // 2
        if _ones_within(query, pivots, group, levels[middle - 1]) <= count:
            low = middle
        else:
            high = middle - 1
    total = ZERO
    if low:
        for word in range(query.size):
            total += weigh_word((query[word] ^ pivots[word, group]) & levels[low - 1, word], tables, 2048 * word)
    return total


@lean
def _others(home: int, gaps: Any, query: Any, layout: Any, levels: Any, tables: Any, steps: Any, limit: int,
            groups: Any, reaches: Any) -> Any:  # fmt: skip
    """List the groups but one that may hold codes within the limit.

    A code that differs from the pivot in r bits lies at most the r largest weights nearer than the pivot; and it
    differs from the query in a - r of the a bits in which the pivot does, at least: in the lightest of them.

    Returns:
        how many there are; `reaches` holds the least weighted distance of each group's codes.
    """
    size, n_bits, pivots, outer = 0, steps.size - 1, layout.pivots, layout.spans[1]
    weigh_run(query, pivots, ZERO, tables, reaches)
    for group in range(gaps.size):
        groups[size] = group
        most = min(np.int64(outer[group]), n_bits)
        nearer = reaches[group] - (steps[n_bits] - steps[n_bits - most])
        size += group != home and max(nearer, steps[gaps[group]]) <= limit
    found = 0
    for group in groups[:size]:
        reach, away = steps[gaps[group]], np.uint64(0)
        for word in range(query.size):
            away += ones(query[word] ^ pivots[word, group])
        beyond = np.int64(away) - np.int64(outer[group])
        if beyond > 0:
            reach = max(reach, _lightest(group, beyond, query, pivots, levels, tables))
        groups[found], reaches[found] = group, reach
        found += reach <= limit
    return found


@lean
def _search_groups(gaps: Any, groups: Any, reaches: Any, values: Any, bounds: Any, places: Any, far: Any,
                   least: Any, ends: Any, levels: Any, query: Any, layout: Any, excluded: Any, weights: Any, order: Any,
                   tables: Any, keys: Any, k: int, steps: Any, state: Any) -> None:  # fmt: skip
    """Search one query: the nearest pivot's group ring by ring, then the others, the nearest first."""
    n_bits = steps.size - 1
    distances(query, layout.pivots, ZERO, gaps)
    home = nearest(gaps)
    fill_group_bounds(gaps, layout.spans, gaps)
    _fill_rings(query, home, layout.pivots, layout.masks, weights, order, state[LIMIT], least, ends)
    above, bits = MINUS, ZERO
    while above < state[LIMIT]:
        upto = steps[bits] if bits <= n_bits else state[LIMIT]
        _visit(home, above, upto, values, bounds, places, far, least, query, layout, excluded, tables, keys, k, steps,
               state)  # fmt: skip
        settle(keys, k, steps, state)
        above, bits = upto, max(2 * bits, (n_bits + 63) // 64)
    _fill_levels(order, levels)
    size = _others(home, gaps, query, layout, levels, tables, steps, state[LIMIT], groups, reaches)
    above, bits = MINUS, ZERO
    while above < state[LIMIT]:
        upto = steps[bits] if bits <= n_bits else state[LIMIT]
        for i in range(size):
            if above < reaches[i] <= min(upto, state[LIMIT]):
                _fill_rings(query, groups[i], layout.pivots, layout.masks, weights, order, state[LIMIT], least, ends)
                _visit(groups[i], MINUS, state[LIMIT], values, bounds, places, far, least, query, layout,
                       excluded, tables, keys, k, steps, state)  # fmt: skip
        settle(keys, k, steps, state)
        above, bits = upto, max(bits + bits // 2, bits + (n_bits + 63) // 64)


@kernel
def search_rings(layout: Any, order: Any, queries: Any, weights: Any, steps: Any, limits: Any, orders: Any,
                 digits: int, k: int, excluded: Any, gaps: Any, groups: Any, reaches: Any, values: Any, bounds: Any,
                 places: Any, far: Any, least: Any, ends: Any, levels: Any, tables: Any, keys: Any,
                 states: Any) -> None:  # fmt: skip
    """Search queries by rings, in a given order.

    `orders`, int64 `(n_query, n_bits)`, are the bits of a code by ascending weight.
    """
    for q in order:
        fill_tables(weights[q], tables)
        begin(limits[q], digits, steps[q], states[q])
        _search_groups(
            gaps, groups, reaches, values, bounds, places, far, least, ends, levels, queries[q], layout,
            excluded, weights[q], orders[q], tables, keys[q], k, steps[q], states[q],
        )  # fmt: skip


@kernel
def scan(layout: Any, queries: Any, weights: Any, steps: Any, limits: Any, start: int, stop: int, digits: int, k: int,
         excluded: Any, values: Any, places: Any, far: Any, tables: Any, keys: Any, states: Any) -> None:  # fmt: skip
    """Compare queries with all places from `start` to `stop`, block by block; there are tables for each query."""
    for q in range(queries.shape[0]):
        fill_tables(weights[q], tables[q])
        begin(limits[q], digits, steps[q], states[q])
    for low in range(start, stop, CHUNK):
        for q in range(queries.shape[0]):
            _scan_run(
                low, min(low + CHUNK, stop), values, places, far, queries[q], layout.columns, layout.offsets,
                layout.rows, excluded, tables[q], keys[q], k, steps[q], states[q],
            )  # fmt: skip
    for q in range(queries.shape[0]):
        settle(keys[q], k, steps[q], states[q])


@lean
def _probe(address: int, give_up: int, places: Any, far: Any, query: Any, layout: Any, excluded: Any, tables: Any,
           keys: Any, k: int, steps: Any, state: Any) -> Any:  # fmt: skip
    """Look all addresses at distance 0 up, then those at 1, …; return whether that was enough."""
    start, size, bits, n_bits = ZERO, ONE, ZERO, steps.size - 1
    while bits <= state[BITS]:
        if start + size > give_up:
            return False
        for probe in layout.probes[start : start + size]:
            place = np.int64(layout.table[address ^ np.int64(probe)]) - 1
            if place >= 0:
                places[0], far[0] = place, weigh(query, layout.columns, place, tables)
                admit(places[:1], far, layout.offsets, layout.rows, excluded, keys, k, steps, state)
        settle(keys, k, steps, state)
        start += size
        state[TOUCHED] = start
        size = size * (n_bits - bits) // (bits + 1)
        bits += 1
    return True


@kernel
def search_table(layout: Any, addresses: Any, queries: Any, weights: Any, steps: Any, limits: Any, digits: int, k: int,
                 excluded: Any, give_up: int, values: Any, places: Any, far: Any, tables: Any, keys: Any,
                 states: Any) -> None:  # fmt: skip
    """Search queries by address; one that would look up more than `give_up` is compared with all codes instead.

    Addresses are int64 `(n_query,)`.
    """
    for q in range(queries.shape[0]):
        fill_tables(weights[q], tables)
        begin(limits[q], digits, steps[q], states[q])
        if not _probe(
            addresses[q], give_up, places, far, queries[q], layout, excluded, tables, keys[q], k, steps[q], states[q]
        ):
            begin(limits[q], digits, steps[q], states[q])
            _scan_run(
                ZERO, layout.columns.shape[1], values, places, far, queries[q], layout.columns, layout.offsets,
                layout.rows, excluded, tables, keys[q], k, steps[q], states[q],
            )  # fmt: skip
            settle(keys[q], k, steps[q], states[q])
