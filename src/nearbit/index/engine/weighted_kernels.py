"""Compiled loops of the search by weighted distance. Nothing here checks its arguments; `weighted` does.

The weighted distance of a code to a query is the sum of the query's weights over the bits that differ. Weights are
whole numbers, so every sum is exact. Their *steps* are the sums of the h smallest: a code that differs in h bits lies
at least `steps[h]` away, so that a plain count of bits tells which codes need no look at their weights.

A search keeps its k best rows in a heap, the farthest on top, by weighted distance, then by row; the row and the
distance in bits share one number. Its state: LIMIT, the largest weighted distance that may still enter; BITS, the most
bits that a code within it can differ in; SIZE, the rows in the heap; TOUCHED, codes looked at.
"""

from typing import Any

import numpy as np

from nearbit.index.engine.pruning_kernels import fill_cell_bounds, fill_group_bounds, nearest_pivots
from nearbit.index.engine.scan_kernels import CHUNK, SMALL, distances, smallest
from nearbit.jit import jit, lean, ones

LIMIT, BITS, SIZE, TOUCHED = 0, 1, 2, 3
BITS_OF_ROW = 16
"""Where the row begins in a number that holds the distance in bits below it."""


@lean
def fill_tables(weights: Any, tables: Any) -> None:
    """Fill `tables`, int32 `(8 * words, 256)`: what the bits set in each value of each byte of a code weigh."""
    for byte in range(tables.shape[0]):
        table = tables[byte]
        table[0] = 0
        for bit in range(8):
            weight, size = weights[8 * byte + bit], 1 << bit
            for value in range(size):
                table[size + value] = table[value] + weight


@lean
def weigh(query: Any, columns: Any, place: Any, tables: Any) -> Any:
    """Return the weighted distance of the code at a place."""
    total = np.int64(0)
    for word in range(query.size):
        bits = columns[word, place] ^ query[word]
        for byte in range(8):
            total += np.int64(tables[8 * word + byte, np.int64(bits & np.uint64(255))])
            bits >>= np.uint64(8)
    return total


@lean
def _is_after(distance: int, row: int, other: int, other_row: int) -> Any:
    return distance > other or (distance == other and row > other_row)


@lean
def _sink(far: Any, rows: Any, size: int) -> None:
    """Restore a heap of `size` entries below its top."""
    distance, row, node = far[0], rows[0], 0
    while 2 * node + 1 < size:
        child = 2 * node + 1
        if child + 1 < size and _is_after(far[child + 1], rows[child + 1], far[child], rows[child]):
            child += 1
        if not _is_after(far[child], rows[child], distance, row):
            break
        far[node], rows[node] = far[child], rows[child]
        node = child
    far[node], rows[node] = distance, row


@lean
def _sort(far: Any, rows: Any, size: int) -> None:
    """Sort a heap of `size` entries in place, the nearest first."""
    for last in range(size - 1, 0, -1):
        far[0], far[last] = far[last], far[0]
        rows[0], rows[last] = rows[last], rows[0]
        _sink(far, rows, last)


@lean
def _rise(distance: int, row: int, far: Any, rows: Any, node: int) -> None:
    """Put an entry into a heap at its end, or above."""
    while node > 0 and _is_after(distance, row, far[(node - 1) // 2], rows[(node - 1) // 2]):
        far[node], rows[node] = far[(node - 1) // 2], rows[(node - 1) // 2]
        node = (node - 1) // 2
    far[node], rows[node] = distance, row


@lean
def _lower(steps: Any, state: Any) -> None:
    """Let the most bits follow a limit that fell."""
    while state[BITS] >= 0 and steps[state[BITS]] > state[LIMIT]:
        state[BITS] -= 1


@lean
def _offer(distance: Any, row: Any, far: Any, rows: Any, steps: Any, state: Any) -> Any:
    """Let a row into the heap if it is among the best; return whether it was."""
    size = state[SIZE]
    if size < far.size:
        _rise(distance, row, far, rows, size)
        state[SIZE] = size + 1
        if size + 1 < far.size:
            return True
    elif _is_after(far[0], rows[0], distance, row):
        far[0], rows[0] = distance, row
        _sink(far, rows, size)
    else:
        return False
    state[LIMIT] = min(state[LIMIT], far[0])
    _lower(steps, state)
    return True


@lean
def _admit(place: Any, distance: Any, bits: Any, layout: Any, excluded: Any, far: Any, rows: Any, steps: Any,
           state: Any) -> None:  # fmt: skip
    """Offer the rows of a place, ascending, until one of them is too late."""
    offsets = layout.offsets
    if offsets.size == 0:
        if excluded.size == 0 or not excluded[place]:
            _offer(distance, (np.int64(place) << BITS_OF_ROW) | bits, far, rows, steps, state)
        return
    for at in range(np.int64(offsets[place]), np.int64(offsets[place + 1])):
        row = np.int64(layout.rows[at])
        if excluded.size and excluded[row]:
            continue
        if not _offer(distance, (row << BITS_OF_ROW) | bits, far, rows, steps, state):
            return


@lean
def _scan_some(start: int, bits: Any, query: Any, layout: Any, excluded: Any, tables: Any, steps: Any, far: Any,
               rows: Any, state: Any) -> None:  # fmt: skip
    """Look at the weights of the places from `start` on that differ in few enough bits."""
    for i in range(bits.size):
        if np.int64(bits[i]) <= state[BITS]:
            distance = weigh(query, layout.columns, start + i, tables)
            if distance <= state[LIMIT]:
                _admit(start + i, distance, np.int64(bits[i]), layout, excluded, far, rows, steps, state)


@lean
def _scan_run(start: int, stop: int, values: Any, query: Any, layout: Any, excluded: Any, tables: Any, steps: Any,
              far: Any, rows: Any, state: Any) -> None:  # fmt: skip
    """Compare a query with the places from `start` to `stop`."""
    state[TOUCHED] += stop - start
    for low in range(start, stop, CHUNK):
        part = values[: min(CHUNK, stop - low)]
        distances(query, layout.columns, low, part)
        for first in range(0, part.size, SMALL):
            some = part[first : first + SMALL]
            if state[BITS] >= 0 and smallest(some) <= state[BITS]:
                _scan_some(low + first, some, query, layout, excluded, tables, steps, far, rows, state)


@lean
def _fill_rings(query: Any, group: int, layout: Any, weights: Any, order: Any, least: Any, ends: Any) -> None:
    """Fill `least`, int64 `(PARTS, n_bits + 1)`: the least weighted distance, by part, of the codes of each ring.

    On one part, let the query differ from the pivot in a bits, and a code in r. Where r > a, the code differs from the
    query in r - a of the other bits at least; where r < a, in a - r of those a. The lightest of them bound it.
    """
    masks, pivots = layout.masks, layout.pivots
    for part in range(4):
        away = np.uint64(0)
        for word in range(query.size):
            away += ones((query[word] ^ pivots[word, group]) & masks[group, part, word])
        ends[0, part] = ends[1, part] = np.int64(away)
        least[part, np.int64(away)] = 0
    for position in order:
        word, bit = position >> 6, np.uint64(1) << np.uint64(position & 63)
        part = 0
        while part < 3 and not masks[group, part, word] & bit:
            part += 1
        if (query[word] ^ pivots[word, group]) & bit:
            at = ends[0, part]
            least[part, at - 1] = least[part, at] + weights[position]
            ends[0, part] = at - 1
        else:
            at = ends[1, part]
            least[part, at + 1] = least[part, at] + weights[position]
            ends[1, part] = at + 1


@lean
def _bits_within(distance: int, steps: Any, state: Any) -> Any:
    """Return the most bits, at most BITS, that codes within a weighted distance can differ in."""
    bits = state[BITS]
    while bits >= 0 and steps[bits] > distance:
        bits -= 1
    return bits


@lean
def _visit(group: int, above: int, upto: int, is_new: bool, values: Any, bounds: Any, least: Any, ends: Any,
           query: Any, layout: Any, excluded: Any, weights: Any, order: Any, tables: Any, steps: Any, far: Any,
           rows: Any, state: Any) -> Any:  # fmt: skip
    """Scan the cells of a group whose bound is above one number, at most another, and within the limit.

    Returns:
        whether `least` is still to be filled for this group.
    """
    starts, rings, last = layout.cell_starts, layout.rings, layout.group_cells[group + 1]
    for low in range(layout.group_cells[group], last, SMALL):
        part = bounds[: min(SMALL, last - low)]
        fill_cell_bounds(query, group, layout.pivots, layout.masks, rings, low, part)
        most = _bits_within(upto, steps, state)
        if most < 0 or smallest(part) > most:
            continue
        if is_new:
            _fill_rings(query, group, layout, weights, order, least, ends)
            is_new = False
        for i in range(part.size):
            if np.int64(part[i]) <= most:
                cell = low + i
                bound = least[0, rings[0, cell]] + least[1, rings[1, cell]]
                bound += least[2, rings[2, cell]] + least[3, rings[3, cell]]
                if above < bound <= min(upto, state[LIMIT]):
                    _scan_run(starts[cell], starts[cell + 1], values, query, layout, excluded, tables, steps, far,
                              rows, state)  # fmt: skip
    return is_new


@lean
def _lightest(group: int, count: int, limit: int, query: Any, pivots: Any, weights: Any, order: Any) -> Any:
    """Return the sum of the `count` lightest bits in which a query differs from a pivot, or one above the limit."""
    total = np.int64(0)
    for position in order:
        if count <= 0 or total > limit:
            break
        word = position >> 6
        if ((query[word] ^ pivots[word, group]) >> np.uint64(position & 63)) & np.uint64(1):
            total += np.int64(weights[position])
            count -= 1
    return total


@lean
def _others(home: int, gaps: Any, query: Any, layout: Any, weights: Any, order: Any, tables: Any, steps: Any,
            limit: int, far: Any, groups: Any, reaches: Any) -> Any:  # fmt: skip
    """List the groups but one that may hold codes within the limit, those of the nearest pivots first.

    A code that differs from the pivot in r bits lies at most the r largest weights nearer than the pivot; and it
    differs from the query in a - r of the a bits in which the pivot does, at least.

    Returns:
        how many there are; `reaches` holds the least weighted distance of each group's codes.
    """
    size, n_bits = 0, steps.size - 1
    for group in range(gaps.size):
        gap = np.int64(gaps[group])
        if group == home or steps[gap] > limit:
            continue
        distance, outer = weigh(query, layout.pivots, group, tables), min(np.int64(layout.spans[1, group]), n_bits)
        reach = max(steps[gap], distance - (steps[n_bits] - steps[n_bits - outer]))
        if reach <= limit:
            away = np.int64(0)
            for word in range(query.size):
                away += np.int64(ones(query[word] ^ layout.pivots[word, group]))
            reach = max(reach, _lightest(group, away - outer, limit, query, layout.pivots, weights, order))
        if reach <= limit:
            reaches[group] = reach
            _rise(distance, group, far, groups, size)
            size += 1
    _sort(far, groups, size)
    return size


@lean
def _search_groups(home: int, gaps: Any, others: Any, values: Any, bounds: Any, least: Any, ends: Any, query: Any,
                   layout: Any, excluded: Any, weights: Any, order: Any, tables: Any, steps: Any, far: Any, rows: Any,
                   state: Any) -> None:  # fmt: skip
    """Search one query: the nearest pivot's group ring by ring, then the others, the nearest pivots first."""
    n_bits = steps.size - 1
    distances(query, layout.pivots, 0, gaps)
    fill_group_bounds(gaps, layout.spans, gaps)
    above, bits, is_new = -1, 0, True
    while above < state[LIMIT]:
        upto = steps[bits] if bits <= n_bits else state[LIMIT]
        is_new = _visit(home, above, upto, is_new, values, bounds, least, ends, query, layout, excluded, weights,
                        order, tables, steps, far, rows, state)  # fmt: skip
        above, bits = upto, max(2 * bits, (n_bits + 63) // 64)
    groups, reaches = others[1], others[2]
    size = _others(home, gaps, query, layout, weights, order, tables, steps, state[LIMIT], others[0], groups, reaches)
    for group in groups[:size]:
        if reaches[group] <= state[LIMIT]:
            _visit(group, -1, state[LIMIT], True, values, bounds, least, ends, query, layout, excluded,
                   weights, order, tables, steps, far, rows, state)  # fmt: skip


@lean
def _begin(limit: int, steps: Any, state: Any) -> None:
    """Make a state that of a search that has found nothing yet."""
    state[LIMIT], state[BITS], state[SIZE] = limit, steps.size - 1, 0
    _lower(steps, state)


@jit
def search_rings(layout: Any, queries: Any, weights: Any, orders: Any, steps: Any, limits: Any, k: int,
                 excluded: Any) -> Any:  # fmt: skip
    """Search queries by rings.

    Args:
        layout: the arrays, with pivots.
        queries: uint64 `(n_query, words)`.
        weights: int32 `(n_query, 64 * words)`, by bit, the lowest of each word first.
        orders: int64 `(n_query, n_bits)`, the bits of a code by ascending weight.
        steps: int64 `(n_query, n_bits + 1)`, the sums of the smallest weights.
        limits: int64 `(n_query,)`, the largest weighted distance of results.
        k: the most rows of a query.
        excluded: bool `(n,)`, or empty: rows that are not there.

    Returns:
        sizes int64 `(n_query,)`; weighted distances and rows with distances in bits, int64 `(n_query, k)`, of which
        the first of each query count; touched int64 `(n_query,)`, codes looked at.
    """
    n_query, n_groups, n_bits = queries.shape[0], layout.pivots.shape[1], steps.shape[1] - 1
    far, rows = np.empty((n_query, k), np.int64), np.empty((n_query, k), np.int64)
    states = np.zeros((n_query, 4), np.int64)
    gaps, others = np.empty(n_groups, np.uint16), np.empty((3, n_groups), np.int64)
    values, bounds = np.empty(CHUNK, np.uint16), np.empty(SMALL, np.uint16)
    least, ends = np.empty((4, n_bits + 2), np.int64), np.zeros((2, 4), np.int64)
    tables = np.empty((weights.shape[1] // 8, 256), np.int32)
    homes = nearest_pivots(queries, layout.pivots)
    for q in np.argsort(homes, kind="mergesort"):
        fill_tables(weights[q], tables)
        _begin(limits[q], steps[q], states[q])
        _search_groups(
            homes[q], gaps, others, values, bounds, least, ends, queries[q], layout, excluded,
            weights[q], orders[q], tables, steps[q], far[q], rows[q], states[q],
        )  # fmt: skip
        _sort(far[q], rows[q], states[q, SIZE])
    return states[:, SIZE].copy(), far, rows, states[:, TOUCHED].copy()


@jit
def scan(layout: Any, start: int, stop: int, queries: Any, weights: Any, steps: Any, limits: Any, k: int,
         excluded: Any) -> Any:  # fmt: skip
    """Compare queries with all places from `start` to `stop`, block by block; see `search_rings`."""
    n_query = queries.shape[0]
    far, rows = np.empty((n_query, k), np.int64), np.empty((n_query, k), np.int64)
    states = np.zeros((n_query, 4), np.int64)
    tables, values = np.empty((n_query, weights.shape[1] // 8, 256), np.int32), np.empty(CHUNK, np.uint16)
    for q in range(n_query):
        fill_tables(weights[q], tables[q])
        _begin(limits[q], steps[q], states[q])
    for low in range(start, stop, CHUNK):
        for q in range(n_query):
            _scan_run(
                low, min(low + CHUNK, stop), values, queries[q], layout, excluded, tables[q], steps[q], far[q], rows[q],
                states[q],
            )  # fmt: skip
    for q in range(n_query):
        _sort(far[q], rows[q], states[q, SIZE])
    return states[:, SIZE].copy(), far, rows, states[:, TOUCHED].copy()


@lean
def _probe(address: int, give_up: int, query: Any, layout: Any, excluded: Any, tables: Any, steps: Any, far: Any,
           rows: Any, state: Any) -> Any:  # fmt: skip
    """Look all addresses at distance 0 up, then those at 1, …; return whether that was enough."""
    start, size, bits, n_bits = 0, 1, 0, steps.size - 1
    while bits <= state[BITS]:
        if start + size > give_up:
            return False
        for probe in layout.probes[start : start + size]:
            place = np.int64(layout.table[address ^ np.int64(probe)]) - 1
            if place >= 0:
                distance = weigh(query, layout.columns, place, tables)
                if distance <= state[LIMIT]:
                    _admit(place, distance, bits, layout, excluded, far, rows, steps, state)
        start += size
        state[TOUCHED] = start
        size = size * (n_bits - bits) // (bits + 1)
        bits += 1
    return True


@jit
def search_table(layout: Any, addresses: Any, queries: Any, weights: Any, steps: Any, limits: Any, k: int,
                 excluded: Any, give_up: int) -> Any:  # fmt: skip
    """Search queries by address; one that would look up more than `give_up` is compared with all codes instead.

    Addresses are int64 `(n_query,)`; all else is as in `search_rings`.
    """
    n_query, n_places = queries.shape[0], layout.columns.shape[1]
    far, rows = np.empty((n_query, k), np.int64), np.empty((n_query, k), np.int64)
    states, values = np.zeros((n_query, 4), np.int64), np.empty(CHUNK, np.uint16)
    tables = np.empty((weights.shape[1] // 8, 256), np.int32)
    for q in range(n_query):
        fill_tables(weights[q], tables)
        _begin(limits[q], steps[q], states[q])
        if not _probe(
            addresses[q], give_up, queries[q], layout, excluded, tables, steps[q], far[q], rows[q], states[q]
        ):
            _begin(limits[q], steps[q], states[q])
            _scan_run(0, n_places, values, queries[q], layout, excluded, tables, steps[q], far[q], rows[q], states[q])
        _sort(far[q], rows[q], states[q, SIZE])
    return states[:, SIZE].copy(), far, rows, states[:, TOUCHED].copy()
