"""k-majority: codes around centers, each of which is the majority, bit by bit, of the codes nearest to it.

It is k-means with Hamming distance: no center has a smaller sum of distances to its codes than their majority.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nearbit.compiled import BUILDING
from nearbit.index.engine.layout import Words
from nearbit.index.engine.plain_search import SECONDS_A_WORD, distances

MOST_CENTERS = 65_535
"""Centers are numbered by uint16."""

Near = npt.NDArray[np.uint16]


class Majorities(NamedTuple):
    """Codes around centers.

    Attributes:
        centers: uint64 `(words, k)`.
        near: uint16 `(n,)`, the nearest center of each code, the first of equals.
        distances: uint16 `(n,)`, to it, in bits.
        rounds: how often centers moved.
        has_settled: whether the last round changed nothing.
    """

    centers: Words
    near: Near
    distances: Near
    rounds: int
    has_settled: bool


def majorities(columns: Words, weights: npt.NDArray[np.int64], k: int, rounds: int) -> Majorities:
    """Return at most `k` centers of codes, the same ones each time: no random number is drawn.

    The first center is the most frequent code. Each further one is the code with the largest product of its items and
    its distance to the nearest center so far, the first of equals: what is left worst served. Then codes go to their
    nearest center and centers to the majority of their items, bit by bit (a tie leaves a bit as it is), until nothing
    changes. The sum of distances never grows.

    Args:
        columns: uint64 `(words, n)`, distinct codes.
        weights: int64 `(n,)`, how many items each has.
        k: how many centers, 1 to `MOST_CENTERS`; there are fewer where there are fewer distinct codes, or one is left
            without codes.
        rounds: how often centers move, at most.
    """
    centers = _seeds(columns, weights, min(k, columns.shape[1]))
    near, away = nearest_centers(columns, centers)
    for done in range(rounds):
        used, near = _renumbered(near)
        moved = _moved(columns, weights, centers[:, used], near)
        if np.array_equal(moved, centers[:, used]):
            return Majorities(moved, near, away, done, True)
        centers = moved
        near, away = nearest_centers(columns, centers)
    used, near = _renumbered(near)
    return Majorities(np.ascontiguousarray(centers[:, used]), near, away, rounds, False)


def nearest_centers(columns: Words, centers: Words) -> tuple[Near, Near]:
    """Return the nearest center of each code, the first of equals, and its distance: uint16 `(n,)` each."""
    n, k = columns.shape[1], centers.shape[1]
    near, away = np.zeros(n, np.uint16), np.full(n, np.iinfo(np.uint16).max, np.uint16)
    if BUILDING.serves(SECONDS_A_WORD * n * k * len(columns)):
        from nearbit.index.engine.pivots import nearest_pivots

        nearest_pivots(columns, 0, n, np.ascontiguousarray(centers), near, away)
        return near, away
    for number in range(k):
        own = distances(centers[:, number], columns)
        is_nearer = own < away
        near[is_nearer], away[is_nearer] = number, own[is_nearer]
    return near, away


def _seeds(columns: Words, weights: npt.NDArray[np.int64], k: int) -> Words:
    chosen = [int(weights.argmax())]
    away = distances(columns[:, chosen[0]], columns).astype(np.int64)
    while len(chosen) < k:
        worst = int((away * weights).argmax())
        if not away[worst]:  # longer codes may be in two places
            break
        chosen.append(worst)
        np.minimum(away, distances(columns[:, worst], columns), out=away)
    return np.ascontiguousarray(columns[:, chosen])


def _renumbered(near: Near) -> tuple[npt.NDArray[np.uint16], Near]:
    """Return the centers that have codes, and the nearest center of each code by its number among those."""
    used, numbers = np.unique(near, return_inverse=True)
    return used, numbers.astype(np.uint16)


def _moved(columns: Words, weights: npt.NDArray[np.int64], centers: Words, near: Near) -> Words:
    """Return each center at the majority of its items, bit by bit; a tie leaves a bit as it is."""
    k = centers.shape[1]
    totals = np.bincount(near, weights, k)
    moved = centers.copy()
    for word in range(len(columns)):
        differing = columns[word] ^ centers[word][near]
        flips = np.zeros(k, np.uint64)
        for bit in range(64):
            one = np.uint64(1) << np.uint64(bit)
            has = np.flatnonzero(differing & one)
            counts = np.bincount(near[has], weights[has], k)
            flips[2 * counts > totals] |= one
        moved[word] ^= flips
    return moved
