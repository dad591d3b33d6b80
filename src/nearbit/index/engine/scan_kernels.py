"""Compiled loops of the search. Nothing here checks its arguments; `structure` does.

Words of codes come in columns `(words, n)`, so that each inner loop runs over one contiguous slice. A *place* is the
position of a distinct code in its layout; its rows are `rows[offsets[place] : offsets[place + 1]]`, ascending. In a
plain layout `offsets` is empty and each place is its own row.

A search holds candidates (places with their distances), a histogram of the rows at each distance, and the state that
`ranking_kernels` describes.
"""

from typing import Any

import numpy as np

from nearbit.index.engine.ranking_kernels import END, FARTHEST, LIMIT, SIZE, TOTAL, rank
from nearbit.jit import ZERO, kernel, lean, ones

CHUNK = 2048
SMALL = 256
"""Cells whose bounds are looked at one by one once the smallest of them lets them in."""
RUN = 128
"""Codes whose distances a scan does not even store, unless the smallest of them lets them in."""
MASK = 64
"""Codes whose candidates are found by one mask; `CHUNK` and `RUN` are multiples of it."""
FIRST = 16384
"""Places whose k-th distance is a first limit; their number fits uint16."""
SLICES = 8
BEGIN = -1
"""Instead of a query to go on with: none was begun."""
FAR = np.uint64(65535)
"""A distance that no two codes have."""
FULL = -2
"""Instead of where candidates end: there is no room for more."""
NO_LIMIT = np.iinfo(np.int64).max


@lean
def distances(query: Any, columns: Any, start: int, out: Any) -> None:
    """Fill `out`, uint16, with the distances of one query to the places from `start` on; 4, 2 or 1 words at a time."""
    stop, words, done = start + out.size, columns.shape[0], 0
    if words == 1:
        a, x = query[0], columns[0][start:stop]
        for i in range(out.size):
            out[i] = np.uint16(ones(x[i] ^ a))
        return
    if words % 4 >= 2:
        a, b, x, y = query[0], query[1], columns[0][start:stop], columns[1][start:stop]
        for i in range(out.size):
            out[i] = np.uint16(ones(x[i] ^ a) + ones(y[i] ^ b))
        done = 2
    else:
        for i in range(out.size):
            out[i] = np.uint16(0)
    if words % 2:
        a, x = query[done], columns[done][start:stop]
        for i in range(out.size):
            out[i] += np.uint16(ones(x[i] ^ a))
        done += 1
    while done < words:
        a, b, c, d = query[done], query[done + 1], query[done + 2], query[done + 3]
        x, y = columns[done][start:stop], columns[done + 1][start:stop]
        z, v = columns[done + 2][start:stop], columns[done + 3][start:stop]
        for i in range(out.size):
            out[i] += np.uint16(ones(x[i] ^ a) + ones(y[i] ^ b) + ones(z[i] ^ c) + ones(v[i] ^ d))
        done += 4


@lean
def smallest(values: Any) -> Any:
    """Return the smallest of some uint16 values, 65535 where there are none."""
    least = np.uint16(65535)
    for i in range(values.size):
        least = values[i] if values[i] < least else least
    return least


@lean
def _near_run(query: Any, columns: Any, start: int, stop: int, limit: int) -> Any:
    """Return where the first run begins, of those at `start`, `start + RUN`, …, that may hold a code within a limit.

    Codes of 1, 2 or 4 words are counted, without a distance being stored, by loops of a fixed length: the compiler
    makes nothing but vectors of them. Nothing is known of runs of other codes, and of one that is cut short.

    Returns:
        the place, or a number of at least `stop` where there is none.
    """
    words, bound, last = columns.shape[0], np.uint64(limit), stop - RUN + 1
    if words == 1:
        a = query[0]
        for low in range(start, last, RUN):
            x, least = columns[0][low : low + RUN], FAR
            for i in range(RUN):
                distance = ones(x[i] ^ a)
                least = distance if distance < least else least
            if least <= bound:
                return low
    elif words == 2:
        a, b = query[0], query[1]
        for low in range(start, last, RUN):
            x, y, least = columns[0][low : low + RUN], columns[1][low : low + RUN], FAR
            for i in range(RUN):
                distance = ones(x[i] ^ a) + ones(y[i] ^ b)
                least = distance if distance < least else least
            if least <= bound:
                return low
    elif words == 4:
        a, b, c, d = query[0], query[1], query[2], query[3]
        for low in range(start, last, RUN):
            x, y, least = columns[0][low : low + RUN], columns[1][low : low + RUN], FAR
            z, v = columns[2][low : low + RUN], columns[3][low : low + RUN]
            for i in range(RUN):
                distance = ones(x[i] ^ a) + ones(y[i] ^ b) + ones(z[i] ^ c) + ones(v[i] ^ d)
                least = distance if distance < least else least
            if least <= bound:
                return low
    else:
        return start
    return start + max(0, stop - start) // RUN * RUN


@lean
def _count_within(values: Any, limit: int) -> Any:
    """Return how many of at most 65535 uint16 values are within a limit."""
    bound, found = np.uint16(limit), np.uint16(0)
    for i in range(values.size):
        found += np.uint16(values[i] <= bound)
    return np.int64(found)


@lean
def first_limit(query: Any, columns: Any, start: int, stop: int, k: int, limit: int, scratch: Any) -> Any:
    """Return a distance within which `k` of some places lie, by halving, or `limit` where there are too few.

    They are as many as `scratch` has room for, in slices spread evenly: neighbors are often alike.
    """
    values, size = scratch, scratch.size // SLICES
    for number in range(SLICES):
        at = start + (stop - start - size) * number // (SLICES - 1)
        distances(query, columns, at, scratch[number * size : (number + 1) * size])
    low, high = ZERO, limit
    if _count_within(values, high) < k:
        return limit
    while low < high:
        middle = (low + high) // 2
        if _count_within(values, middle) >= k:
            high = middle
        else:
            low = middle + 1
    return low


@lean
def _weight(place: int, offsets: Any, rows: Any, excluded: Any, most: int) -> Any:
    """Return how many rows that are not excluded a place has; counting ends at `most`."""
    if offsets.size == 0:
        return 0 if excluded.size and excluded[place] else 1
    start, stop = np.int64(offsets[place]), np.int64(offsets[place + 1])
    if excluded.size == 0:
        return min(stop - start, most)
    found = 0
    for at in range(start, stop):
        if not excluded[rows[at]]:
            found += 1
            if found == most:
                break
    return found


@lean
def admit(
    first: int,
    last: int,
    places: Any,
    near: Any,
    offsets: Any,
    rows: Any,
    excluded: Any,
    k: int,
    counts: Any,
    state: Any,
) -> Any:
    """Weigh the candidates `first` to `last`, keep those that count, and lower the limit; return where they end.

    In a plain layout candidates come in the order of rows: a tie with the k-th row, found later, cannot enter.
    """
    kept = first
    for number in range(first, last):
        distance = np.int64(near[number])
        if distance > state[LIMIT]:
            continue
        weight = _weight(places[number], offsets, rows, excluded, k)
        if weight == 0:
            continue
        places[kept], near[kept] = places[number], near[number]
        kept += 1
        counts[distance] += weight
        state[TOTAL] += weight
        while state[TOTAL] - counts[state[FARTHEST]] >= k:
            state[TOTAL] -= counts[state[FARTHEST]]
            counts[state[FARTHEST]] = 0
            state[FARTHEST] -= 1
        is_full = state[TOTAL] >= k and offsets.size == 0
        state[LIMIT] = state[FARTHEST] - 1 if is_full else state[FARTHEST]
    return kept


@lean
def gather(values: Any, size: int, start: int, limit: int, places: Any, near: Any, end: int) -> Any:
    """Append the places from `start` on whose distance is within the limit; return where they end.

    The first `size` of `values` are their distances; there is room for a multiple of `MASK`.
    """
    bound = np.uint16(limit)
    for low in range(0, size, MASK):
        part, mask = values[low : low + MASK], np.uint64(0)
        for i in range(MASK):
            mask |= np.uint64(part[i] <= bound) << np.uint64(i)
        if size - low < MASK:
            mask &= (np.uint64(1) << np.uint64(size - low)) - np.uint64(1)
        while mask:
            rest = mask & (mask - np.uint64(1))
            at = low + np.int64(ones((mask ^ rest) - np.uint64(1)))
            places[end], near[end] = start + at, values[at]
            end += 1
            mask = rest
    return end


@lean
def room(places: Any, near: Any, end: int, farthest: int) -> Any:
    """Return where candidates end once a chunk more has room, or FULL: those beyond the k-th row are dropped."""
    if end + CHUNK <= places.size:
        return end
    kept = 0
    for number in range(end):
        kept += near[number] <= farthest
    if 2 * (kept + CHUNK) > places.size:
        return FULL
    kept = 0
    for number in range(end):
        places[kept], near[kept] = places[number], near[number]
        kept += near[number] <= farthest
    return kept


@lean
def _limit_first(
    queries: Any, columns: Any, start: int, stop: int, k: int, n_bits: int, scratch: Any, numbers: Any
) -> None:
    """Lower the limits of queries to one within which `k` of some places lie."""
    for q in range(queries.shape[0]):
        state = numbers[q, n_bits + 1 :]
        limit = first_limit(queries[q], columns, start, stop, k, state[LIMIT], scratch)
        state[LIMIT] = state[FARTHEST] = limit


@lean
def _rank_all(
    n_bits: int, k: int, offsets: Any, rows: Any, excluded: Any, places: Any, near: Any, numbers: Any,
    out_rows: Any, out_distances: Any,
) -> Any:  # fmt: skip
    """Fill the results of all queries, if there is room for them; return how many they are."""
    total = 0
    for q in range(numbers.shape[0]):
        state = numbers[q, n_bits + 1 :]
        state[SIZE] = min(state[TOTAL], k)
        total += state[SIZE]
    if total > out_rows.size:
        return total
    at = 0
    for q in range(numbers.shape[0]):
        counts, state = numbers[q, : n_bits + 1], numbers[q, n_bits + 1 :]
        stop = at + state[SIZE]
        rank(
            places[q], near[q], state[END], offsets, rows, excluded, counts, state,
            out_rows[at:stop], out_distances[at:stop],
        )  # fmt: skip
        at = stop
    return total


@kernel
def scan(
    layout: Any, start: int, stop: int, number: int, queries: Any, n_bits: int, k: int, excluded: Any,
    scratch: Any, places: Any, near: Any, numbers: Any, out_rows: Any, out_distances: Any,
) -> Any:  # fmt: skip
    """Compare queries with all places from `start` to `stop`, block by block: a block stays in the fastest cache.

    Where there is too little room it says so, and goes on from there in the next call.

    Args:
        layout: the arrays.
        start: the first place.
        stop: one past the last place.
        number: BEGIN, else the query to go on with.
        queries: uint64 `(n_query, words)`.
        n_bits: code length in bits.
        k: the most rows of a query; NO_LIMIT for all.
        excluded: bool `(n,)`, or empty: rows that are not there.
        scratch: uint16 `(FIRST,)`.
        places: int64 `(n_query, room)`, room for candidates.
        near: uint16, the same shape.
        numbers: int64 `(n_query, n_bits + 1 + STATES)`: for each query a histogram of 0, then its state: LIMIT and
            FARTHEST its limit, the others 0; at the end SIZE is the number of its rows.
        out_rows: int64, filled with the rows, query after query.
        out_distances: int32, the same.

    Returns:
        the place and the query at which candidates had no room; or `stop` and the number of rows, which were filled in
        if there is room for so many.
    """
    columns, offsets, rows = layout.columns, layout.offsets, layout.rows
    if number == BEGIN:
        if excluded.size == 0 and stop - start > FIRST and k < FIRST // 2:
            _limit_first(queries, columns, start, stop, k, n_bits, scratch, numbers)
        number = 0
    for low in range(start, stop, CHUNK):
        high = min(low + CHUNK, stop)
        for q in range(number, queries.shape[0]):
            counts, state = numbers[q, : n_bits + 1], numbers[q, n_bits + 1 :]
            if state[LIMIT] < 0:
                continue
            query, own_places, own_near = queries[q], places[q], near[q]
            end = room(own_places, own_near, state[END], state[FARTHEST])
            if end == FULL:
                return low, q
            first = _near_run(query, columns, low, high, state[LIMIT])
            while first < high and state[LIMIT] >= 0:
                part = scratch[: min(RUN, high - first)]
                distances(query, columns, first, part)
                last = gather(scratch, part.size, first, state[LIMIT], own_places, own_near, end)
                end = admit(end, last, own_places, own_near, offsets, rows, excluded, k, counts, state)
                first = _near_run(query, columns, first + RUN, high, state[LIMIT])
            state[END] = end
        number = 0
    return stop, _rank_all(n_bits, k, offsets, rows, excluded, places, near, numbers, out_rows, out_distances)
