"""Compiled annealing of the MDS objective: which rows of a code to take. Nothing here checks its arguments."""

from typing import Any

import numpy as np

from nearbit.centers.coding.kernels import distance
from nearbit.jit import jit


@jit
def all_distances(words: Any) -> Any:
    """Return the distances of all pairs of rows: int16 `(n, n)`, 0 on the diagonal."""
    n = len(words)
    found = np.zeros((n, n), np.int16)
    for i in range(n):
        for j in range(i):
            found[i, j] = found[j, i] = distance(words[i], words[j])
    return found


@jit
def anneal_choice(distances: Any, order: Any, n_chosen: int, places: Any, offers: Any, tolerances: Any) -> None:
    """Exchange a chosen row for another unless mean + min - var falls by more than the tolerance; `order` in place.

    The first `n_chosen` rows in `order` are chosen. Step t puts the one at place `places[t]` up against that at
    `offers[t]`, a place among the rest. `distances` are those of all rows.
    """
    chosen = order[:n_chosen]
    counts = np.zeros(distances.max() + 1, np.int64)
    for i in range(n_chosen):
        for j in range(i):
            counts[distances[chosen[i], chosen[j]]] += 1
    score = _score(counts)
    for step in range(len(places)):
        leaving, entering = order[places[step]], order[offers[step]]
        _replace(distances, counts, chosen, places[step], leaving, entering)
        after = _score(counts)
        if after >= score - tolerances[step]:
            order[places[step]], order[offers[step]] = entering, leaving
            score = after
        else:
            _replace(distances, counts, chosen, places[step], entering, leaving)


@jit
def _replace(distances: Any, counts: Any, chosen: Any, place: int, leaving: int, entering: int) -> None:
    for i in range(len(chosen)):
        if i != place:
            counts[distances[chosen[i], leaving]] -= 1
            counts[distances[chosen[i], entering]] += 1


@jit
def _score(counts: Any) -> Any:
    """Return mean + min - var of distances that come so often."""
    n_pairs, total, squares, smallest = 0.0, 0.0, 0.0, -1
    for value in range(len(counts)):
        n_pairs += counts[value]
        total += counts[value] * value
        squares += counts[value] * value * value
        if smallest < 0 and counts[value]:
            smallest = value
    mean = total / n_pairs
    return mean + smallest - (squares / n_pairs - mean * mean)
