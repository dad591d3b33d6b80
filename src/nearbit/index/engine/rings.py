"""Rings: distinct codes by pivot and, within a group, by their distance from it on each of four parts of the bits."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from nearbit.index.engine.distinct import Distinct, distinct_codes
from nearbit.index.engine.layout import HELPFUL_SHARE, PARTS, Layout, Words, read_only
from nearbit.index.engine.pivots import find_pivots, nearest_pivots

PART_SIZES = (1024, 16384, 65536)
"""Groups of at least so many codes have two, three, four parts: cells then hold dozens of codes."""


TRIAL_QUERIES = 64
TRIAL_K = 100

SAMPLE = 50_000
"""Codes of which it is seen whether rings may help before they are built for all."""
PROMISING_SHARE = 0.6
"""Where rings around a sample leave more of it than this to look at, none are built: twice what helps, to be safe."""


def ring_layout(distinct: Distinct, n_bits: int, given: Words | None, threads: int) -> Layout:
    """Return the layout of distinct codes in groups around pivots, each group in cells of equal rings.

    Args:
        distinct: the codes.
        n_bits: code length in bits.
        given: pivots known beforehand, uint64 `(m, words)`, or None.
        threads: how many threads look for the nearest pivots.
    """
    pivots = find_pivots(distinct, n_bits, given)
    near, how_far = _nearest(distinct.columns, pivots, threads)
    used, group = np.unique(near, return_inverse=True)
    pivots, near = np.ascontiguousarray(pivots[:, used]), group.astype(np.uint16)
    masks = _masks(distinct, pivots, near)
    order, group_cells, cell_starts, rings = _cells(distinct, pivots, near, masks)
    spans = np.empty((2, pivots.shape[1]), np.uint16)
    starts = cell_starts[group_cells[:-1]]
    spans[0] = np.minimum.reduceat(how_far[order], starts)
    spans[1] = np.maximum.reduceat(how_far[order], starts)
    offsets, rows = _moved(distinct, order)
    return Layout.of(
        distinct.columns[:, order], offsets=offsets, rows=rows, pivots=pivots, masks=masks,
        group_cells=group_cells, cell_starts=cell_starts, rings=rings, spans=spans,
    )  # fmt: skip


def does_help(layout: Layout, n_bits: int) -> bool:
    """Return whether the rings spare most codes a look, tried on some of the codes themselves."""
    return _trial(layout, n_bits, TRIAL_K) <= HELPFUL_SHARE


def are_clustered(words: Words, n_bits: int) -> bool:
    """Return whether rings may help many codes: rings around a sample of them leave out some of the sample.

    As many codes lie near each other in the sample as `TRIAL_K` of all would: a query's limit is about the same.
    """
    sample = np.ascontiguousarray(words[:: max(1, len(words) // SAMPLE)])
    layout = ring_layout(distinct_codes(sample), n_bits, None, 1)
    return _trial(layout, n_bits, max(1, round(TRIAL_K * len(sample) / len(words)))) <= PROMISING_SHARE


def codes_looked_at(layout: Layout, queries: Words, n_bits: int, k: int) -> npt.NDArray[np.int64]:
    """Return how many distinct codes a search by rings compares with each query, never giving up."""
    return _looked_at(layout, queries, n_bits, n_bits, k)


def codes_within(layout: Layout, queries: Words, n_bits: int, radius: int) -> npt.NDArray[np.int64]:
    """Return how many distinct codes a search by rings for all within a radius compares with each query."""
    from nearbit.index.engine.scan_kernels import NO_LIMIT

    return _looked_at(layout, queries, radius, n_bits, NO_LIMIT)


def _looked_at(layout: Layout, queries: Words, limit: int, n_bits: int, k: int) -> npt.NDArray[np.int64]:
    from nearbit.index.engine.calls import search_rings

    nobody = np.empty(0, np.bool_)
    nobody.flags.writeable = False
    limits = np.full(len(queries), limit, np.int64)
    return search_rings(layout, queries, limits, n_bits, k, nobody, layout.n_places).touched


def _trial(layout: Layout, n_bits: int, k: int) -> float:
    """Return the mean share of the codes that a search by rings for one of them looks at."""
    chosen = np.linspace(0, layout.n_places - 1, min(TRIAL_QUERIES, layout.n_places)).astype(int)
    looks = codes_looked_at(layout, np.array(layout.columns[:, chosen].T, order="C"), n_bits, k)
    return float(looks.mean()) / layout.n_places


def _nearest(columns: Words, pivots: Words, threads: int) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    n = columns.shape[1]
    near, how_far = np.empty(n, np.uint16), np.empty(n, np.uint16)
    edges = np.linspace(0, n, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        jobs = [
            pool.submit(nearest_pivots, columns, start, stop, pivots, near, how_far)
            for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        ]
        for job in jobs:
            job.result()
    return near, how_far


def _masks(distinct: Distinct, pivots: Words, near: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint64]:
    """Return the parts of each group, uint64 `(n_groups, PARTS, words)`: each gets as many unsteady bits as the others.

    A bit is unsteady where it often differs from the pivot's. Small groups have fewer parts, the others are empty.
    """
    from nearbit.index.engine.building_kernels import flips

    words, n_groups = pivots.shape
    step = max(1, len(near) // (2048 * n_groups))
    counts = np.zeros((n_groups, 64 * words + 1), np.int64)
    sample = np.ascontiguousarray(distinct.columns[:, ::step])
    own = np.ascontiguousarray(near[::step])
    flips(read_only(sample), np.ones(sample.shape[1], np.uint32), read_only(pivots), own, counts)
    ranks = np.argsort(np.argsort(-counts[:, :-1], axis=1, kind="stable"), axis=1)
    sizes = np.bincount(near, minlength=n_groups)
    parts = 1 + (sizes[:, None] >= np.array(PART_SIZES)).sum(axis=1, keepdims=True)
    laps, places = ranks // parts, ranks % parts
    part_of_bit = np.where(laps % 2, parts - 1 - places, places)  # there and back: equal shares
    bits = part_of_bit[:, None, :] == np.arange(PARTS)[:, None]
    return np.packbits(bits, axis=2, bitorder="little").view("<u8").astype(np.uint64)


def _cells(
    distinct: Distinct, pivots: Words, near: npt.NDArray[np.uint16], masks: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    """Return the order of the codes, the cells of each group, where cells begin, and their rings."""
    from nearbit.index.engine.building_kernels import parts

    by_part = np.empty((PARTS, len(near)), np.uint16)
    parts(read_only(distinct.columns), read_only(pivots), near, masks, by_part)
    key = near.astype(np.uint64)
    for ring in (by_part.sum(axis=0, dtype=np.uint16), *by_part[:-1]):
        key *= np.uint64(int(ring.max()) + 1)
        key += ring
    order = np.argsort(key, kind="stable")
    key = key[order]
    cell_starts = np.append(np.flatnonzero(np.diff(key, prepend=~key[:1])), len(key)).astype(np.int64)
    firsts = order[cell_starts[:-1]]
    group_cells = np.searchsorted(near[firsts], np.arange(pivots.shape[1] + 1)).astype(np.int64)
    return order, group_cells, cell_starts, np.ascontiguousarray(by_part[:, firsts])


def _moved(distinct: Distinct, order: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return offsets and rows in another order of the codes."""
    from nearbit.index.engine.building_kernels import move_rows

    offsets = np.zeros(len(order) + 1, distinct.offsets.dtype)
    np.cumsum(np.diff(distinct.offsets)[order], out=offsets[1:])
    rows = np.empty_like(distinct.rows)
    move_rows(distinct.rows, distinct.offsets, order, offsets, rows)
    return offsets, rows
