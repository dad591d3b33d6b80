"""Pivots: codes near which many others lie. Codes are grouped around them, and whole rings of a group are skipped."""

import numpy as np
import numpy.typing as npt

from nearbit.index.engine.distinct import Distinct
from nearbit.index.engine.layout import Words, read_only

SAMPLE = 65_536
MOST_PIVOTS = 1024
RADII = (0.3, 0.19)
"""Shares of the bits: a code farther than this from all pivots becomes one; then once more, nearer."""
MOST_PAIRS = 64_000_000_000
"""Codes times pivots times words that may be compared while a structure is built."""
ROUNDS = 3


def find_pivots(distinct: Distinct, n_bits: int, given: Words | None) -> Words:
    """Return pivots uint64 `(words, n_leaders)`, the same ones each time.

    A sample of codes, the most frequent ones first, is passed: a code far from all pivots becomes one. Each pivot
    then moves to the majority of the bits of its group, three times over. A second pass looks for what lies between.

    Args:
        distinct: the codes.
        n_bits: code length in bits.
        given: pivots known beforehand, uint64 `(m, words)`, such as the centers of classes; or None.
    """
    from nearbit.index.engine.building_kernels import spread_pivots

    chosen, weights = _sample(distinct)
    sample = np.ascontiguousarray(distinct.columns[:, chosen])
    words = len(sample)
    most = max(1, min(MOST_PIVOTS, MOST_PAIRS // (words * distinct.columns.shape[1])))
    pivots = np.empty((words, 0), np.uint64) if given is None else np.ascontiguousarray(given[:most].T)
    for radius in RADII:
        seeds = np.empty((words, most), np.uint64)
        seeds[:, : pivots.shape[1]] = pivots
        room, query = np.empty(most, np.uint16), np.empty(words, np.uint64)
        n_pivots = spread_pivots(read_only(sample), seeds, pivots.shape[1], int(radius * n_bits), room, query)
        pivots = np.ascontiguousarray(seeds[:, :n_pivots])
        for _ in range(ROUNDS):
            pivots = _settled(sample, weights, pivots)
    return pivots


def _sample(distinct: Distinct) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint32]]:
    """Return places, the most frequent codes first, then spread evenly, and how many items each has."""
    sizes = np.diff(distinct.offsets)
    step = max(1, len(sizes) // (4 * SAMPLE))
    places = np.random.default_rng(0).permutation(np.arange(0, len(sizes), step))
    chosen = places[np.argsort(-sizes[places].astype(np.int64), kind="stable")[:SAMPLE]]
    return chosen, sizes[chosen].astype(np.uint32)


def nearest_pivots(
    columns: Words, start: int, stop: int, pivots: Words, near: npt.NDArray[np.uint16], how_far: npt.NDArray[np.uint16]
) -> None:
    """Fill, for the codes from `start` to `stop`, the nearest pivot (the first of equals) and its distance.

    Args:
        columns: uint64 `(words, n)`.
        start: the first code.
        stop: one past the last code.
        pivots: uint64 `(words, n_pivots)`.
        near: uint16 `(n,)`, filled.
        how_far: uint16 `(n,)`, filled.
    """
    from nearbit.index.engine.building_kernels import BLOCK, nearest_pivot

    scratch, pivot = np.empty(BLOCK, np.uint16), np.empty(len(columns), np.uint64)
    nearest_pivot(read_only(columns), start, stop, read_only(pivots), near, how_far, scratch, pivot)


def _settled(sample: Words, weights: npt.NDArray[np.uint32], pivots: Words) -> Words:
    """Return the pivots moved to the majority of each bit of their groups; those without a group go."""
    from nearbit.index.engine.building_kernels import flips

    near, how_far = np.empty(sample.shape[1], np.uint16), np.empty(sample.shape[1], np.uint16)
    nearest_pivots(sample, 0, sample.shape[1], pivots, near, how_far)
    counts = np.zeros((pivots.shape[1], 64 * len(pivots) + 1), np.int64)
    flips(read_only(sample), weights, read_only(pivots), near, counts)
    moves = 2 * counts[:, :-1] > counts[:, -1:]
    bytes_of = np.packbits(moves, axis=1, bitorder="little")
    moved = pivots ^ bytes_of.view("<u8").astype(np.uint64).T
    return np.unique(moved[:, counts[:, -1] > 0], axis=1)
