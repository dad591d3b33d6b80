"""Compiled loops over queries and database blocks. Nothing here checks its arguments; `comparison` does.

Words of codes and keys of labels come in columns `(words, n)`, so that each inner loop runs over one contiguous slice.
A block of the database stays in the fastest cache while all queries of a call read it. Per pair, `2 · distance +
relevant` is computed first (a loop without branches) and counted second, two pairs at a time or in four histograms
that are added at the end: two neighbours of equal distance then do not wait for each other.
"""

from typing import Any

import numpy as np

from nearbit.compiled import compiled, ones

BLOCK = 16384
LANES = 4
PAIRED_SIZE = 132
PAIRED_ITEMS = 4096


@compiled
def _distances(query: Any, columns: Any, start: int, out: Any) -> None:
    """Fill `out` with the distances of one query to the items from `start` on."""
    word, column = query[0], columns[0][start : start + out.size]
    for i in range(out.size):
        out[i] = np.uint32(ones(column[i] ^ word))
    for number in range(1, columns.shape[0]):
        word, column = query[number], columns[number][start : start + out.size]
        for i in range(out.size):
            out[i] += np.uint32(ones(column[i] ^ word))


@compiled
def _mark(query: Any, columns: Any, start: int, shared: bool, out: Any) -> None:
    """Turn distances into `2 · distance + relevant`: keys that share a bit, or else are equal, are relevant."""
    key, column = query[0], columns[0][start : start + out.size]
    if not shared:
        for i in range(out.size):
            out[i] = np.uint32(2) * out[i] + np.uint32(column[i] == key)
        return
    if columns.shape[0] == 1:
        for i in range(out.size):
            out[i] = np.uint32(2) * out[i] + np.uint32((column[i] & key) != 0)
        return
    both = column & key
    for number in range(1, columns.shape[0]):
        key, column = query[number], columns[number][start : start + out.size]
        if key != 0:
            for i in range(out.size):
                both[i] |= column[i] & key
    for i in range(out.size):
        out[i] = np.uint32(2) * out[i] + np.uint32(both[i] != 0)


@compiled
def _count_pairs(places: Any, counts: Any) -> None:
    """Count pairs of places in a table of size × size, half as many steps, and add its rows and its columns up."""
    size, half = np.uint32(counts.shape[1]), places.size // 2
    table = np.zeros((counts.shape[1], counts.shape[1]), np.uint32)
    flat, first, second = table.reshape(-1), places[:half], places[half : 2 * half]
    pairs = np.empty(half, np.uint32)
    for i in range(half):
        pairs[i] = first[i] * size + second[i]
    for pair in pairs:
        flat[pair] += np.uint32(1)
    rows, columns = counts[0], counts[1]
    for row in range(table.shape[0]):
        line = table[row]
        total = np.uint32(0)
        for column in range(line.size):
            total += line[column]
            columns[column] += line[column]
        rows[row] += total
    for place in places[2 * half :]:
        rows[place] += np.uint32(1)


@compiled
def _count(places: Any, counts: Any) -> None:
    """Add 1 at each place; `counts` is `(LANES, size)`. Many items with few places are counted two at a time."""
    if counts.shape[1] <= PAIRED_SIZE and places.size >= PAIRED_ITEMS:
        _count_pairs(places, counts)
        return
    a, b, c, d = counts[0], counts[1], counts[2], counts[3]
    whole = places[: places.size - places.size % 4].reshape(-1, 4)
    for i in range(whole.shape[0]):
        a[whole[i, 0]] += np.uint32(1)
        b[whole[i, 1]] += np.uint32(1)
        c[whole[i, 2]] += np.uint32(1)
        d[whole[i, 3]] += np.uint32(1)
    for place in places[places.size - places.size % 4 :]:
        a[place] += np.uint32(1)


@compiled
def _add(places: Any, weights: Any, counts: Any) -> None:
    """Add its weight at each place: items of one code and one label, counted together."""
    row = counts[0]
    for i in range(places.size):
        row[places[i]] += np.uint32(weights[i])


@compiled
def _tally(places: Any, start: int, weights: Any, counts: Any) -> None:
    """Count places once each, or by the weights of the items from `start` on where there are weights."""
    if weights.size:
        _add(places, weights[start : start + places.size], counts)
    else:
        _count(places, counts)


@compiled
def grouped_histograms(
    queries: Any, columns: Any, starts: Any, stops: Any, weights: Any, items: Any, relevant: Any
) -> None:
    """Fill histograms where the relevant items of query q are the rows `starts[q]` to `stops[q]`.

    Args:
        queries: uint64 `(n_query, words)`.
        columns: uint64 `(words, n_database)`.
        starts: int64 `(n_query,)`.
        stops: int64 `(n_query,)`.
        weights: uint32 `(n_database,)`, or empty for 1 each.
        items: int64 `(n_query, n_bits + 1)`, filled.
        relevant: the same.
    """
    n, width = columns.shape[1], items.shape[1]
    counts = np.zeros((queries.shape[0], 2, LANES, width), np.uint32)
    scratch = np.empty(BLOCK, np.uint32)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        for q in range(queries.shape[0]):
            places = scratch[: stop - start]
            _distances(queries[q], columns, start, places)
            low = min(max(starts[q], start), stop)
            high = min(max(stops[q], low), stop)
            _tally(places[: low - start], start, weights, counts[q, 0])
            _tally(places[low - start : high - start], low, weights, counts[q, 1])
            _tally(places[high - start :], high, weights, counts[q, 0])
    for q in range(queries.shape[0]):
        relevant[q] = counts[q, 1].sum(axis=0)
        items[q] = counts[q, 0].sum(axis=0) + relevant[q]


@compiled
def keyed_histograms(
    queries: Any, columns: Any, query_keys: Any, key_columns: Any, shared: bool, weights: Any, items: Any, relevant: Any
) -> None:
    """Fill histograms where an item is relevant by its keys: those that share a bit, or else are equal.

    Args:
        queries: uint64 `(n_query, words)`.
        columns: uint64 `(words, n_database)`.
        query_keys: uint64 `(n_query, keys)`: a class number, or the bits of the labels.
        key_columns: uint64 `(keys, n_database)`.
        shared: whether keys are bits of labels.
        weights: uint32 `(n_database,)`, or empty for 1 each.
        items: int64 `(n_query, n_bits + 1)`, filled.
        relevant: the same.
    """
    n, width = columns.shape[1], items.shape[1]
    counts = np.zeros((queries.shape[0], LANES, 2 * width), np.uint32)
    scratch = np.empty(BLOCK, np.uint32)
    for start in range(0, n, BLOCK):
        places = scratch[: min(BLOCK, n - start)]
        for q in range(queries.shape[0]):
            _distances(queries[q], columns, start, places)
            _mark(query_keys[q], key_columns, start, shared, places)
            _tally(places, start, weights, counts[q])
    for q in range(queries.shape[0]):
        total = counts[q].sum(axis=0)
        relevant[q] = total[1::2]
        items[q] = total[::2] + total[1::2]


@compiled
def ordered_sums(
    queries: Any,
    columns: Any,
    query_keys: Any,
    key_columns: Any,
    shared: bool,
    limits: Any,
    items: Any,
    relevant: Any,
    sums: Any,
    found: Any,
) -> None:
    """Fill histograms and, for ties in database order, the sums of precision at the ranks of relevant items.

    The rank of an item is the number of nearer items plus its place among those of its distance, so that one pass in
    database order finds every rank without a sort.

    Args:
        queries: uint64 `(n_query, words)`.
        columns: uint64 `(words, n_database)`, in database order.
        query_keys: uint64 `(n_query, keys)`.
        key_columns: uint64 `(keys, n_database)`.
        shared: whether keys are bits of labels, not class numbers.
        limits: int64 `(n_limits,)`: how many ranks count.
        items: int64 `(n_query, n_bits + 1)`, filled.
        relevant: the same.
        sums: float64 `(n_query, n_limits)`, filled: sums of precision at the relevant ranks within each limit.
        found: int64 `(n_query, n_limits)`, filled: relevant items within each limit.
    """
    n, width = columns.shape[1], items.shape[1]
    places = np.empty(n, np.uint32)
    for q in range(queries.shape[0]):
        counts = np.zeros((LANES, 2 * width), np.uint32)
        for start in range(0, n, BLOCK):
            block = places[start : min(start + BLOCK, n)]
            _distances(queries[q], columns, start, block)
            _mark(query_keys[q], key_columns, start, shared, block)
            _count(block, counts)
        total = counts.sum(axis=0)
        relevant[q] = total[1::2]
        items[q] = total[::2] + total[1::2]
        _rank(places, items[q], relevant[q], limits, sums[q], found[q])


@compiled
def _rank(places: Any, items: Any, relevant: Any, limits: Any, sums: Any, found: Any) -> None:
    """Walk the items in database order; each takes the next rank of its distance."""
    rank, seen = np.cumsum(items) - items, np.cumsum(relevant) - relevant
    sums[:] = 0.0
    found[:] = 0
    for place in places:
        distance = place >> np.uint32(1)
        rank[distance] += 1
        if place & np.uint32(1):
            seen[distance] += 1
            for limit in range(limits.size):
                if rank[distance] <= limits[limit]:
                    sums[limit] += seen[distance] / rank[distance]
                    found[limit] += 1


@compiled
def graded_histograms(
    queries: Any, columns: Any, query_keys: Any, key_columns: Any, shared: bool, table: Any, counts: Any
) -> None:
    """Add up the items of each distance and grade.

    Args:
        queries: uint64 `(n_query, words)`.
        columns: uint64 `(words, n_database)`.
        query_keys: uint64 `(n_query, keys)`.
        key_columns: uint64 `(keys, n_database)`.
        shared: whether the grade is the number of bits that the keys share.
        table: int64 `(n_classes, n_classes)` grades between class numbers, or empty for 1 where they are equal.
        counts: int64 `(n_query, n_bits + 1, n_grades)`, zeros, filled.
    """
    n = columns.shape[1]
    scratch, grades = np.empty(BLOCK, np.uint32), np.empty(BLOCK, np.uint32)
    for start in range(0, n, BLOCK):
        places = scratch[: min(BLOCK, n - start)]
        for q in range(queries.shape[0]):
            _distances(queries[q], columns, start, places)
            _grade(query_keys[q], key_columns, start, shared, table, grades[: places.size])
            row = counts[q]
            for i in range(places.size):
                row[places[i], grades[i]] += 1


@compiled
def _grade(query: Any, columns: Any, start: int, shared: bool, table: Any, out: Any) -> None:
    """Fill `out` with the grades of the items from `start` on."""
    column = columns[0][start : start + out.size]
    if shared:
        out[:] = 0
        for number in range(columns.shape[0]):
            key, column = query[number], columns[number][start : start + out.size]
            for i in range(out.size):
                out[i] += np.uint32(ones(column[i] & key))
    elif table.size:
        row = table[query[0]]
        for i in range(out.size):
            out[i] = np.uint32(row[column[i]])
    else:
        for i in range(out.size):
            out[i] = np.uint32(column[i] == query[0])
