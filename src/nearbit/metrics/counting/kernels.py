"""Compiled loops over queries and database blocks. Nothing here checks its arguments; `comparison` does.

Words of codes and keys of labels come in columns `(words, n)`, so that each inner loop runs over one contiguous slice.
A block of the database stays in the second cache while all queries of a call read it; the distances of a block to one
query stay in the first.
"""

from typing import Any

import numpy as np

from nearbit.jit import jit, ones
from nearbit.metrics.counting.distance_kernels import BLOCK, count, fill_distances, room_for, tally


@jit
def _earlier(query: Any, columns: Any, start: int, label: int, places: Any, nowhere: Any) -> None:
    """Set the places of those items to `nowhere` that share one of the query's labels before `label`."""
    for number in range(label // 64 + 1):
        key = query[number]
        if number == label // 64:
            key &= (np.uint64(1) << np.uint64(label % 64)) - np.uint64(1)
        if key != 0:
            column = columns[number][start : start + places.size]
            for i in range(places.size):
                places[i] = nowhere if column[i] & key else places[i]


@jit
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
        items: int64 `(n_query, n_bits + 1)`, zeros, filled.
        relevant: the same.
    """
    room = room_for(items.shape[1])
    for start in range(0, columns.shape[1], BLOCK):
        stop = min(start + BLOCK, columns.shape[1])
        for q in range(queries.shape[0]):
            tally(queries[q], columns, start, stop, weights, room, items[q])
            low, high = max(starts[q], start), min(stops[q], stop)
            if low < high:
                tally(queries[q], columns, low, high, weights, room, relevant[q])


@jit
def listed_histograms(
    queries: Any,
    columns: Any,
    weights: Any,
    query_keys: Any,
    starts: Any,
    listed: Any,
    listed_keys: Any,
    listed_weights: Any,
    items: Any,
    relevant: Any,
) -> None:
    """Fill histograms where an item is relevant that shares a label, by a list of the items of each label.

    An item that shares several labels of a query counts in the list of the first of them.

    Args:
        queries: uint64 `(n_query, words)`.
        columns: uint64 `(words, n_database)`.
        weights: uint32 `(n_database,)`, or empty for 1 each.
        query_keys: uint64 `(n_query, keys)`: bit b of the keys, counted from the lowest of the first, is list b.
        starts: int64 `(n_lists + 1,)`: where each list begins, and where the last one ends.
        listed: uint64 `(words, entries)`: the words of the items of each list, list by list.
        listed_keys: uint64 `(keys, entries)`.
        listed_weights: uint32 `(entries,)`, or empty for 1 each.
        items: int64 `(n_query, n_bits + 1)`, zeros, filled.
        relevant: the same.
    """
    width = items.shape[1]
    room, wider = room_for(width), room_for(width + 1)
    places, counts = np.empty(BLOCK, np.uint16), np.zeros(width + 1, np.int64)
    for start in range(0, columns.shape[1], BLOCK):
        stop = min(start + BLOCK, columns.shape[1])
        for q in range(queries.shape[0]):
            tally(queries[q], columns, start, stop, weights, room, items[q])
    for q in range(queries.shape[0]):
        counts[:] = 0
        for label in range(starts.size - 1):
            if not (query_keys[q, label // 64] >> np.uint64(label % 64)) & np.uint64(1):
                continue
            for start in range(starts[label], starts[label + 1], BLOCK):
                block = places[: min(BLOCK, starts[label + 1] - start)]
                fill_distances(queries[q], listed, start, block)
                _earlier(query_keys[q], listed_keys, start, label, block, np.uint16(width))
                count(block, start, listed_weights, wider, counts)
        relevant[q] = counts[:width]


@jit
def _mark(query: Any, columns: Any, start: int, out: Any) -> None:
    """Turn distances into `2 · distance + relevant`: keys that share a bit are relevant."""
    two, key, column = np.uint16(2), query[0], columns[0][start : start + out.size]
    if columns.shape[0] == 1:
        for i in range(out.size):
            out[i] = two * out[i] + np.uint16((column[i] & key) != 0)
        return
    both = column & key
    for number in range(1, columns.shape[0]):
        key, column = query[number], columns[number][start : start + out.size]
        if key != 0:
            for i in range(out.size):
                both[i] |= column[i] & key
    for i in range(out.size):
        out[i] = two * out[i] + np.uint16(both[i] != 0)


@jit
def keyed_histograms(
    queries: Any, columns: Any, query_keys: Any, key_columns: Any, weights: Any, items: Any, relevant: Any
) -> None:
    """Fill histograms where an item is relevant that shares a label, by comparing the keys of every pair.

    Args:
        queries: uint64 `(n_query, words)`.
        columns: uint64 `(words, n_database)`.
        query_keys: uint64 `(n_query, keys)`: the labels as bits.
        key_columns: uint64 `(keys, n_database)`.
        weights: uint32 `(n_database,)`, or empty for 1 each.
        items: int64 `(n_query, n_bits + 1)`, zeros, filled.
        relevant: the same.
    """
    n, width = columns.shape[1], items.shape[1]
    room = room_for(2 * width)
    counts = np.zeros((queries.shape[0], 2 * width), np.int64)
    scratch = np.empty(BLOCK, np.uint16)
    for start in range(0, n, BLOCK):
        places = scratch[: min(BLOCK, n - start)]
        for q in range(queries.shape[0]):
            fill_distances(queries[q], columns, start, places)
            _mark(query_keys[q], key_columns, start, places)
            count(places, start, weights, room, counts[q])
    for q in range(queries.shape[0]):
        relevant[q] = counts[q, 1::2]
        items[q] = counts[q, ::2] + counts[q, 1::2]


@jit
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
    n, n_grades = columns.shape[1], np.uint32(counts.shape[2])
    room, none = room_for(counts.shape[1] * counts.shape[2]), np.empty(0, np.uint32)
    distances, grades, scratch = np.empty(BLOCK, np.uint16), np.empty(BLOCK, np.uint16), np.empty(BLOCK, np.uint32)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        near, own, places = distances[:size], grades[:size], scratch[:size]
        for q in range(queries.shape[0]):
            fill_distances(queries[q], columns, start, near)
            _grade(query_keys[q], key_columns, start, shared, table, own)
            for i in range(size):
                places[i] = near[i] * n_grades + own[i]
            count(places, 0, none, room, counts[q].reshape(-1))


@jit
def _grade(query: Any, columns: Any, start: int, shared: bool, table: Any, out: Any) -> None:
    """Fill `out` with the grades of the items from `start` on."""
    column = columns[0][start : start + out.size]
    if shared:
        out[:] = 0
        for number in range(columns.shape[0]):
            key, column = query[number], columns[number][start : start + out.size]
            for i in range(out.size):
                out[i] += np.uint16(ones(column[i] & key))
    elif table.size:
        row = table[query[0]]
        for i in range(out.size):
            out[i] = np.uint16(row[column[i]])
    else:
        for i in range(out.size):
            out[i] = np.uint16(column[i] == query[0])
