"""The compiled searches, spread over threads. Importing this loads the kernels, which takes a moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nearbit.index.engine import calls, pruning_kernels, scan_kernels
from nearbit.index.engine.layout import Layout, Words, most_probes
from nearbit.index.results import Counts, Hits, merged, stacked

Part = TypeVar("Part")
Result = TypeVar("Result")
Marks = npt.NDArray[np.bool_]

QUERIES_PER_BLOCK = 256
"""Queries that are compared with one block of codes; a sixteenth as many where each may have any number of rows."""
PAIRS_PER_THREAD = 1_000_000
"""Comparisons that are worth a thread of their own."""
QUERIES_PER_THREAD = 64


def by_scan(
    layout: Layout, queries: Words, limits: Counts, n_bits: int, k: int | None, excluded: Marks, threads: int
) -> Hits:
    """Return the nearest rows of each query by comparing it with all codes.

    Many queries are shared out among the threads block by block; for a few, the codes are.
    """
    size = QUERIES_PER_BLOCK if k is not None else QUERIES_PER_BLOCK // 16
    blocks = [slice(start, start + size) for start in range(0, len(queries), size)]
    worth = layout.n_places * len(queries) // PAIRS_PER_THREAD if len(blocks) < threads else 1
    ranges = ranges_of(layout.n_places, worth, threads)
    most = scan_kernels.NO_LIMIT if k is None else k
    if len(blocks) == len(ranges) == 1:
        return Hits.in_sequence(*calls.scan(layout, 0, layout.n_places, queries, limits, n_bits, most, excluded))

    def work(job: tuple[slice, tuple[int, int]]) -> Hits:
        block, (start, stop) = job
        return Hits.in_sequence(*calls.scan(layout, start, stop, queries[block], limits[block], n_bits, most, excluded))

    parts = shared_out(work, [(block, places) for block in blocks for places in ranges], threads)
    return stacked([merged(parts[at : at + len(ranges)], k) for at in range(0, len(parts), len(ranges))])


def by_rings(
    layout: Layout, queries: Words, limits: Counts, n_bits: int, k: int | None, excluded: Marks, threads: int,
    give_up: int,
) -> Hits:  # fmt: skip
    """Return the nearest rows of each query by rings; queries that would look at more than `give_up` are scanned."""
    most = scan_kernels.NO_LIMIT if k is None else k

    def work(block: slice) -> Any:
        return calls.search_rings(layout, queries[block], limits[block], n_bits, most, excluded, give_up)

    return _pruned(work, layout, queries, limits, n_bits, k, excluded, threads)


def by_table(
    layout: Layout, queries: Words, limits: Counts, n_bits: int, k: int | None, excluded: Marks, threads: int
) -> Hits:
    """Return the nearest rows of each query by address; queries that need too many addresses are scanned."""
    from nearbit.index.engine.table import addresses_of

    most, give_up = scan_kernels.NO_LIMIT if k is None else k, most_probes(layout.n_places)
    addresses = addresses_of(queries[:, 0], n_bits)

    def work(block: slice) -> Any:
        return calls.search_table(layout, addresses[block], limits[block], n_bits, most, excluded, give_up)

    return _pruned(work, layout, queries, limits, n_bits, k, excluded, threads)


def _pruned(
    work: Callable[[slice], Any], layout: Layout, queries: Words, limits: Counts, n_bits: int, k: int | None,
    excluded: Marks, threads: int,
) -> Hits:  # fmt: skip
    """Return the results of blocks of queries; those given up are scanned, within the limits that `work` lowered."""
    blocks = [
        slice(start, stop) for start, stop in ranges_of(len(queries), len(queries) // QUERIES_PER_THREAD, threads)
    ]
    begins, sizes, rows, distances = _joined(shared_out(work, blocks, threads))
    is_late = sizes == pruning_kernels.GIVEN_UP
    found = Hits(np.array([0, len(rows)]), rows, distances)
    if is_late.any():
        late = by_scan(layout, queries[is_late], limits[is_late], n_bits, k, excluded, threads)
        begins, sizes = begins.copy(), sizes.copy()
        begins[is_late], sizes[is_late] = len(rows) + late.offsets[:-1], late.sizes
        found = stacked([found, late])
    return found.picked(begins, sizes)


def _joined(parts: list[Any]) -> tuple[Counts, Counts, Counts, npt.NDArray[np.int32]]:
    """Return the begins, sizes, rows and distances of several blocks as those of one."""
    if len(parts) == 1:
        begins, sizes, _, rows, distances = parts[0]
        return begins, sizes, rows, distances
    shifts = np.cumsum([0, *(len(part[3]) for part in parts[:-1])])
    begins = np.concatenate([part[0] + shift for part, shift in zip(parts, shifts, strict=True)])
    sizes, rows, distances = (np.concatenate([part[number] for part in parts]) for number in (1, 3, 4))
    return begins, sizes, rows, distances


def ranges_of(n: int, worth: int, threads: int) -> list[tuple[int, int]]:
    """Return `n` things in ranges, as many as there are threads but no more than they are worth."""
    count = max(1, min(threads, worth))
    return list(pairwise(n * number // count for number in range(count + 1)))


def shared_out(work: Callable[[Part], Result], jobs: list[Part], threads: int) -> list[Result]:
    if len(jobs) == 1 or threads == 1:
        return [work(job) for job in jobs]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, jobs))
