"""Compiled figures of rankings with ties in database order: one pass over the database, and no sort.

The rank of an item is the number of nearer items plus its place in its tie. Only relevant items need theirs: where they
lie near, the few other items that are as near are picked out, 64 at a time; else every item takes the next place.
"""

from typing import Any

import numpy as np

from nearbit.jit import jit, ones
from nearbit.metrics.counting.distance_kernels import add_lanes, add_pairs, add_table, fill_distances, room_for

BLOCK = 4096
"""Items whose distances to a query stay in the first cache; a multiple of 64."""
BLOCKS_A_TABLE = 30
"""Blocks after which a table of pairs is added up: no place of it can hold more than 2^16 - 1."""
EXTRACTED = 4
"""Positions that are taken of every 64 without asking how many there are."""
FEW = 0.2
"""Share of the items within the distance of the last relevant one up to which they are picked out."""
SAMPLE = 512
NO_ROW = np.uint32(0xFFFFFFFF)
_ONE = np.uint64(1)


@jit
def _mark_within(places: Any, limit: Any, masks: Any) -> None:
    """Set bit i of mask g where `places[64 · g + i]` is at most `limit`."""
    for g in range(masks.size):
        own = places[64 * g : 64 * g + 64]
        mask = np.uint64(0)
        for i in range(64):
            mask |= np.uint64(own[i] <= limit) << np.uint64(i)
        masks[g] = mask


@jit
def _mark_sharing(column: Any, key: Any, masks: Any) -> None:
    """Set bit i of mask g, too, where `column[64 · g + i]` shares a bit with `key`."""
    for g in range(masks.size):
        own = column[64 * g : 64 * g + 64]
        mask = np.uint64(0)
        for i in range(64):
            mask |= np.uint64((own[i] & key) != 0) << np.uint64(i)
        masks[g] |= mask


@jit
def _lowest(mask: Any) -> Any:
    """Return the place of the lowest bit of a mask."""
    return np.uint32(ones((mask - _ONE) & ~mask))


@jit
def _positions(masks: Any, start: int, out: Any) -> Any:
    """Fill `out` with `start` plus the places of all bits, ascending, and return their number."""
    n: Any = 0
    for g in range(masks.size):
        mask, base, own = masks[g], np.uint32(start + 64 * g), out[n:]
        size = np.int64(ones(mask))
        for e in range(EXTRACTED):
            own[e] = base + _lowest(mask)
            mask &= mask - _ONE
        for e in range(EXTRACTED, size):
            own[e] = base + _lowest(mask)
            mask &= mask - _ONE
        n += size
    return n


@jit
def _rows_sharing(query: Any, columns: Any, masks: Any, rows: Any) -> Any:
    """Fill `rows` with the items that share a bit with the keys of a query, and return their number."""
    n, found = columns.shape[1], 0
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        whole = size - size % 64
        own = masks[: whole // 64]
        own[:] = np.uint64(0)
        for number in range(query.size):
            if query[number] != 0:
                _mark_sharing(columns[number][start : start + whole], query[number], own)
        found += _positions(own, start, rows[found:])
        for row in range(start + whole, start + size):
            shared = np.uint64(0)
            for number in range(query.size):
                shared |= columns[number, row] & query[number]
            rows[found] = np.uint32(row)
            found += np.int64(shared != 0)
    return found


@jit
def _distances_of(query: Any, columns: Any, rows: Any, out: Any) -> None:
    """Fill `out` with the distances of one query to some rows."""
    word, column = query[0], columns[0]
    for j in range(out.size):
        out[j] = np.uint16(ones(column[rows[j]] ^ word))
    for number in range(1, columns.shape[0]):
        word, column = query[number], columns[number]
        for j in range(out.size):
            out[j] += np.uint16(ones(column[rows[j]] ^ word))


@jit
def _are_few(query: Any, columns: Any, limit: Any) -> Any:
    """Return whether a sample says that few items lie within `limit` of a query."""
    within: Any = 0
    step, seen = max(1, columns.shape[1] // SAMPLE), 0
    for row in range(0, columns.shape[1], step):
        distance = np.uint64(0)
        for number in range(columns.shape[0]):
            distance += ones(columns[number, row] ^ query[number])
        within += np.int64(distance <= limit)
        seen += 1
    return within <= FEW * seen


@jit
def _pick(places: Any, start: int, candidates: Any, taken: Any, order: Any) -> None:
    """Let the candidates take the next place of their distance: `taken` counts them, `order` has each one's place."""
    for candidate in candidates:
        own = candidate - np.uint32(start)
        taken[places[own]] += np.uint32(1)
        order[own] = taken[places[own]]


@jit
def _take(order: Any, start: int, rows: Any, at: int, ties: Any) -> Any:
    """Fill `ties` with the places of those `rows` that lie in a block; return how many of them are done."""
    end = np.uint32(start + order.size)
    while rows[at] < end:
        ties[at] = order[rows[at] - np.uint32(start)]
        at += 1
    return at


@jit
def _walk(places: Any, start: int, taken: Any, other: Any, order: Any, rows: Any, at: int, ties: Any) -> Any:
    """As `_pick` and `_take` with all items: halves of a block side by side, so that neighbours rarely wait."""
    half = places.size // 2
    other[:] = np.uint32(0)
    for i in range(half):
        near, far = places[i], places[half + i]
        taken[near] += np.uint32(1)
        order[i] = taken[near]
        other[far] += np.uint32(1)
        order[half + i] = other[far]
    for i in range(2 * half, places.size):
        other[places[i]] += np.uint32(1)
        order[i] = other[places[i]]
    at = _take(order[:half], start, rows, at, ties)
    end = np.uint32(start + places.size)
    while rows[at] < end:
        own = rows[at] - np.uint32(start)
        ties[at] = order[own] + taken[places[own]]
        at += 1
    for distance in range(taken.size):
        taken[distance] += other[distance]
    return at


@jit
def _sum_within(gains: Any, ranks: Any, limit: Any) -> Any:
    """Return the sum and the number of the gains at ranks up to a limit."""
    total, n = 0.0, 0
    for j in range(gains.size):
        if ranks[j] <= limit:
            total += gains[j]
            n += 1
    return total, n


@jit
def _sum_of(gains: Any) -> Any:
    """Return the sum of all gains: four sums side by side, so that neighbours do not wait for each other."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    fours = gains[: gains.size - gains.size % 4].reshape(-1, 4)
    for j in range(fours.shape[0]):
        a += fours[j, 0]
        b += fours[j, 1]
        c += fours[j, 2]
        d += fours[j, 3]
    for gain in gains[fours.size :]:
        a += gain
    return (a + b) + (c + d)


@jit
def _add_up(near: Any, ties: Any, items: Any, relevant: Any, limits: Any, gains: Any, sums: Any, found: Any) -> None:
    """Sum the precision at the ranks of relevant items up, within each limit; `ties` become the ranks."""
    before, seen = np.cumsum(items) - items, np.cumsum(relevant) - relevant
    ranks = ties[: near.size]
    for j in range(near.size):
        distance = near[j]
        seen[distance] += 1
        gains[j] = np.float64(seen[distance])
        ranks[j] += np.uint32(before[distance])
    for j in range(near.size):
        gains[j] /= np.float64(ranks[j])
    for number in range(limits.size):
        if limits[number] >= before[-1] + items[-1]:
            sums[number], found[number] = _sum_of(gains[: near.size]), near.size
        else:
            sums[number], found[number] = _sum_within(gains[: near.size], ranks, np.uint32(limits[number]))


@jit
def _tally(number: int, places: Any, room: Any, items: Any) -> None:
    """Count the places of block `number`; tables of pairs are left to be added up."""
    table, pairs, _, lanes = room
    if table.shape[0] != items.size:
        add_lanes(places, lanes, items)
        return
    if number and number % BLOCKS_A_TABLE == 0:
        add_table(table, items)
        table[:] = 0
    add_pairs(places, pairs, table, items)


@jit
def _places_in_ties(
    query: Any, columns: Any, rows: Any, limit: Any, room: Any, scratch: Any, items: Any, ties: Any
) -> None:
    """Fill the histogram of a query and, for each of `rows`, its place among the items of its distance, from 1 on."""
    places, masks, positions, order, taken, other = scratch
    few, n, at = _are_few(query, columns, limit), columns.shape[1], 0
    taken[:] = np.uint32(0)
    room[0][:] = np.uint16(0)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        block = places[:size]
        fill_distances(query, columns, start, block)
        if few:
            _tally(start // BLOCK, block, room, items)
            groups = (size + 63) // 64
            places[size : 64 * groups] = np.uint16(0xFFFF)
            _mark_within(places[: 64 * groups], limit, masks[:groups])
            found = _positions(masks[:groups], start, positions)
            _pick(block, start, positions[:found], taken, order)
            at = _take(order[:size], start, rows, at, ties)
        else:
            at = _walk(block, start, taken, other, order, rows, at, ties)
    if few:
        if room[0].shape[0] == items.size:
            add_table(room[0], items)
        return
    for distance in range(items.size):
        items[distance] = np.int64(taken[distance])


@jit
def _grade(query: Any, columns: Any, rows: Any, near: Any, counts: Any) -> None:
    """Count the rows by distance and by how many bits of the keys they share with the query."""
    for j in range(near.size):
        grade = np.int64(0)
        for number in range(query.size):
            grade += np.int64(ones(columns[number, rows[j]] & query[number]))
        counts[near[j], grade] += 1


@jit
def ordered_sums(
    queries: Any,
    columns: Any,
    ranges: Any,
    by_label: Any,
    query_keys: Any,
    key_columns: Any,
    limits: Any,
    items: Any,
    relevant: Any,
    graded: Any,
    sums: Any,
    found: Any,
) -> None:
    """Fill histograms and, for ties in database order, the sums of precision at the ranks of relevant items.

    Args:
        queries: uint64 `(n_query, words)`.
        columns: uint64 `(words, n_database)`, in database order; fewer than 2^32 - 1.
        ranges: int64 `(2, n_query)`: where in `by_label` the relevant items of a query begin and end; empty `(2, 0)`
            where items are relevant that share a bit of their keys.
        by_label: uint32, the items in database order label by label.
        query_keys: uint64 `(n_query, keys)`, the labels as bits.
        key_columns: uint64 `(keys, n_database)`.
        limits: int64 `(n_limits,)`: how many ranks count.
        items: int64 `(n_query, n_bits + 1)`, zeros, filled.
        relevant: the same.
        graded: int64 `(n_query, n_bits + 1, n_grades)`, zeros, filled with the relevant items by distance and number of
            shared bits; of no grades where it is not wanted.
        sums: float64 `(n_query, n_limits)`, filled: sums of precision at the relevant ranks within each limit.
        found: int64 `(n_query, n_limits)`, filled: relevant items within each limit.
    """
    n, width, shared = columns.shape[1], items.shape[1], ranges.shape[1] == 0
    room, most = room_for(width), n if shared else int((ranges[1] - ranges[0]).max())
    rows, near = np.empty(most + 65, np.uint32), np.empty(most, np.uint16)
    ties, gains = np.empty(most + 1, np.uint32), np.empty(most)
    scratch = (
        np.empty(BLOCK, np.uint16), np.empty(BLOCK // 64, np.uint64), np.empty(BLOCK + EXTRACTED, np.uint32),
        np.empty(BLOCK, np.uint32), np.empty(width, np.uint32), np.empty(width, np.uint32),
    )  # fmt: skip
    for q in range(queries.shape[0]):
        if shared:
            size = _rows_sharing(query_keys[q], key_columns, scratch[1], rows)
        else:
            own = by_label[ranges[0, q] : ranges[1, q]]
            size = own.size
            rows[:size] = own
        rows[size] = NO_ROW
        distances, limit = near[:size], np.uint16(0)
        _distances_of(queries[q], columns, rows, distances)
        for distance in distances:
            relevant[q, distance] += 1
            limit = max(limit, distance)
        if graded.shape[2]:
            _grade(query_keys[q], key_columns, rows, distances, graded[q])
        _places_in_ties(queries[q], columns, rows, limit, room, scratch, items[q], ties)
        _add_up(distances, ties, items[q], relevant[q], limits, gains, sums[q], found[q])
