"""Compiled counting of distances: how many items of a block lie at each distance from one query.

Short codes are counted two items at a time: the distances of two items make one place of a table, whose rows and
columns are added up at the end of the block. That halves the increments, and two neighbours of equal distance rarely
wait for each other.
"""

from typing import Any

import numpy as np

from nearbit.jit import jit, ones

BLOCK = 49152
"""Items of the database that all queries of a call read before the next ones; below 2^17, for the counts of pairs."""
PAIRS = 4096
PAIRED_SIZE = 131
"""Histograms of up to this many places are counted two items at a time: their table stays in the first cache."""
PAIRED_ITEMS = 4096
LANES = 4


@jit
def room_for(size: int) -> Any:
    """Return the room that counting into `size` places needs: a table, pairs of places, places, and lanes."""
    paired = size <= PAIRED_SIZE
    return (
        np.zeros((size, size) if paired else (1, 1), np.uint16),
        np.empty(PAIRS, np.uint16),
        np.empty(BLOCK, np.uint16),
        np.zeros((LANES, size), np.uint32),
    )


@jit
def fill_distances(query: Any, columns: Any, start: int, out: Any) -> None:
    """Fill `out` with the distances of one query to the items from `start` on."""
    word, column = query[0], columns[0][start : start + out.size]
    for i in range(out.size):
        out[i] = np.uint16(ones(column[i] ^ word))
    for number in range(1, columns.shape[0]):
        word, column = query[number], columns[number][start : start + out.size]
        for i in range(out.size):
            out[i] += np.uint16(ones(column[i] ^ word))


@jit
def _fill_pairs(word: Any, column: Any, size: Any, pairs: Any) -> None:
    """Fill `pairs` with the places in the table of the distances of items i and i + half to a word."""
    first, second = column[: pairs.size], column[pairs.size : 2 * pairs.size]
    for i in range(pairs.size):
        pairs[i] = np.uint16(ones(first[i] ^ word) * size + ones(second[i] ^ word))


@jit
def _count_pairs(pairs: Any, table: Any) -> None:
    flat = table.reshape(-1)
    for pair in pairs:
        flat[pair] += np.uint16(1)


@jit
def add_table(table: Any, counts: Any) -> None:
    """Add the rows and the columns of a table of pairs up."""
    for row in range(table.shape[0]):
        line = table[row]
        total = np.int64(0)
        for column in range(line.size):
            total += np.int64(line[column])
            counts[column] += np.int64(line[column])
        counts[row] += total


@jit
def add_pairs(places: Any, pairs: Any, table: Any, counts: Any) -> None:
    """Count places two at a time in a table; of an odd number, the last one in `counts`."""
    size = np.uint16(counts.size)
    for begin in range(0, places.size - 1, 2 * pairs.size):
        half = min(pairs.size, (places.size - begin) // 2)
        first, second = places[begin : begin + half], places[begin + half : begin + 2 * half]
        for i in range(half):
            pairs[i] = first[i] * size + second[i]
        _count_pairs(pairs[:half], table)
    if places.size % 2:
        counts[places[places.size - 1]] += 1


@jit
def add_lanes(places: Any, lanes: Any, counts: Any) -> None:
    """Count places in four histograms, so that neighbours of equal distance do not wait for each other."""
    lanes[:] = 0
    a, b, c, d = lanes[0], lanes[1], lanes[2], lanes[3]
    whole = places[: places.size - places.size % LANES].reshape(-1, LANES)
    for i in range(whole.shape[0]):
        a[whole[i, 0]] += np.uint32(1)
        b[whole[i, 1]] += np.uint32(1)
        c[whole[i, 2]] += np.uint32(1)
        d[whole[i, 3]] += np.uint32(1)
    for place in places[places.size - places.size % LANES :]:
        a[place] += np.uint32(1)
    for place in range(a.size):
        counts[place] += np.int64(a[place]) + np.int64(b[place]) + np.int64(c[place]) + np.int64(d[place])


@jit
def count(places: Any, start: int, weights: Any, room: Any, counts: Any) -> None:
    """Add to `counts` 1 at each place, or the weights of the items from `start` on where there are weights."""
    table, pairs, _, lanes = room
    if weights.size:
        own = weights[start : start + places.size]
        for i in range(places.size):
            counts[places[i]] += np.int64(own[i])
    elif table.shape[0] == counts.size and places.size >= PAIRED_ITEMS:
        table[:] = 0
        add_pairs(places, pairs, table, counts)
        add_table(table, counts)
    else:
        add_lanes(places, lanes, counts)


@jit
def tally(query: Any, columns: Any, start: int, stop: int, weights: Any, room: Any, counts: Any) -> None:
    """Add to `counts` the items `start` to `stop` (at most a block) by their distance from a query, or their weights.

    Args:
        query: uint64 `(words,)`.
        columns: uint64 `(words, n)`.
        start: first row.
        stop: after the last row.
        weights: uint32 `(n,)`, or empty for 1 each.
        room: `room_for(n_bits + 1)`.
        counts: int64 `(n_bits + 1,)`.
    """
    table, pairs, places, _ = room
    n = stop - start
    if columns.shape[0] == 1 and not weights.size and n >= PAIRED_ITEMS and table.shape[0] == counts.size:
        table[:] = 0
        column, size = columns[0][start:stop], np.uint64(counts.size)
        for begin in range(0, n - 1, 2 * pairs.size):
            half = min(pairs.size, (n - begin) // 2)
            _fill_pairs(query[0], column[begin : begin + 2 * half], size, pairs[:half])
            _count_pairs(pairs[:half], table)
        add_table(table, counts)
        if n % 2:
            counts[ones(query[0] ^ column[n - 1])] += 1
        return
    own = places[:n]
    fill_distances(query, columns, start, own)
    count(own, start, weights, room, counts)
