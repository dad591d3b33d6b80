"""Compiled loops that turn the candidates of a search into its results, ranked by distance, then by row.

Candidates are places with their distances, in no order. The STATE of a search is a few numbers: LIMIT, the largest
distance that may still enter; FARTHEST, the distance of the k-th row so far; TOTAL, the rows within it; TOUCHED, codes
looked at; END, the number of candidates; SIZE, the number of results.
"""

from typing import Any

import numpy as np

from nearbit.jit import lean

LIMIT, FARTHEST, TOTAL, TOUCHED, END, SIZE = 0, 1, 2, 3, 4, 5
STATES = 6
SORTED_BY_INSERTION = 24


@lean
def _sift(heap: Any, node: int) -> None:
    """Restore a heap, largest row first, below one node."""
    row = heap[node]
    while 2 * node + 1 < heap.size:
        child = 2 * node + 1
        if child + 1 < heap.size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= row:
            break
        heap[node] = heap[child]
        node = child
    heap[node] = row


@lean
def _sort(rows: Any) -> None:
    """Sort rows in place: few by insertion, many by a heap; rows in order are left alone."""
    i = 1
    while i < rows.size and rows[i - 1] <= rows[i]:
        i += 1
    if i >= rows.size:
        return
    if rows.size > SORTED_BY_INSERTION:
        for node in range(rows.size // 2 - 1, -1, -1):
            _sift(rows, node)
        for last in range(rows.size - 1, 0, -1):
            rows[0], rows[last] = rows[last], rows[0]
            _sift(rows[:last], 0)
        return
    while i < rows.size:
        row, j = rows[i], i
        while j > 0 and rows[j - 1] > row:
            rows[j] = rows[j - 1]
            j -= 1
        rows[j] = row
        i += 1


@lean
def _fill_last(
    places: Any, near: Any, end: int, distance: int, offsets: Any, rows: Any, excluded: Any, out: Any
) -> None:
    """Fill `out` with the smallest rows of the candidates at one distance: by a heap once there are too many."""
    filled, size = 0, out.size
    for number in range(end):
        if near[number] != distance or size == 0:
            continue
        place = places[number]
        start, stop = place, place + 1
        if offsets.size:
            start, stop = np.int64(offsets[place]), np.int64(offsets[place + 1])
        for at in range(start, stop):
            row = np.int64(rows[at]) if offsets.size else at
            if excluded.size and excluded[row]:
                continue
            if filled < size:
                out[filled] = row
                filled += 1
                if filled == size:
                    for node in range(size // 2 - 1, -1, -1):
                        _sift(out, node)
            elif row < out[0]:
                out[0] = row
                _sift(out, 0)
            else:
                break


@lean
def rank(
    places: Any, near: Any, end: int, offsets: Any, rows: Any, excluded: Any, counts: Any, state: Any,
    out_rows: Any, out_distances: Any,
) -> None:  # fmt: skip
    """Fill the results of one query, ranked by distance, then by row; the histogram is used up."""
    farthest, begin, starts = state[FARTHEST], 0, counts
    for distance in range(farthest + 1):
        size = counts[distance]
        starts[distance] = begin
        begin += size
    for number in range(end):
        away = np.int64(near[number])
        if away >= farthest:
            continue
        place, at = places[number], starts[away]
        if offsets.size == 0:
            out_rows[at] = place
            at += 1
        else:
            for posting in range(np.int64(offsets[place]), np.int64(offsets[place + 1])):
                row = np.int64(rows[posting])
                if excluded.size == 0 or not excluded[row]:
                    out_rows[at] = row
                    at += 1
        starts[away] = at
    _fill_last(places, near, end, farthest, offsets, rows, excluded, out_rows[starts[farthest] :])
    begin = 0
    for distance in range(farthest + 1):
        stop = starts[distance] if distance < farthest else out_rows.size
        _sort(out_rows[begin:stop])
        out_distances[begin:stop] = distance
        begin = stop
