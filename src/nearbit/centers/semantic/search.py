"""Semantic centers: products that follow a similarity of classes, under a minimum distance. The search of nearbit."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nearbit.centers.coding.bounds import check_min_distance, gilbert_varshamov_distance
from nearbit.centers.coding.packed import min_distance_of
from nearbit.centers.semantic.loss import Similarity, check_centers, check_similarity, loss_of
from nearbit.centers.semantic.quadratic_assignment import assigned_words
from nearbit.centers.semantic.target import FROZEN, random_state, rounded
from nearbit.centers.separated import separated_centers
from nearbit.centers.state import Centers, Generator, check_sizes
from nearbit.errors import InputError
from nearbit.given import check_number
from nearbit.progress import Progress, silent

FEWEST_SWEEPS, MOST_SWEEPS, VISITS = 40, 1000, 300_000
PASSES = 4
HOT, COLD = 0.3, 0.03
"""First and last temperature, in units of what turning a random bit costs or gains at first."""

EXCHANGE_EVERY = 2
LAST_SWEEPS = 10


def semantic_centers(
    similarity: npt.ArrayLike,
    n_bits: int,
    rng: Generator,
    *,
    min_distance: int | None = None,
    effort: float = 1.0,
    start: npt.ArrayLike | None = None,
    progress: Progress = silent,
) -> Centers:
    """Return centers of a small semantic loss (see `semantic_loss`), any two at least `min_distance` bits apart.

    Simulated annealing from separated centers; where these are no further apart than asked for, from words given to
    classes by their similarity (`semantic_by_assignment`). About every class is visited in each sweep and offered flips
    of one and of two bits; classes are offered each other's words. A move that would bring two words closer than
    `min_distance` is not made, so that the distance holds at every moment. Differences of the loss are exact, in whole
    numbers, for a similarity that is rounded to about 1 / 16000.

    Source: the objective and the distance are those of SHC (arXiv 2507.08404), equations 13 to 22, without its term
    mu, which only pushes all words apart; the search is our own, `published_shc_centers` is theirs. Deterministic for a
    given `rng`. Takes n_classes² · 2 bytes besides the similarity, which in float64 takes n_classes² · 8.

    Args:
        similarity: see `check_similarity`, whose note is not repeated here.
        n_bits: at least 1.
        rng: source of every random choice.
        min_distance: in bits; by default that of the published rule (`gilbert_varshamov_distance`), or where words so
            far apart are not known to nearbit, the distance of `separated_centers`, or of `start`.
        effort: multiplies the number of sweeps, above 0. At 1 there are 1000 for up to 300 classes, 300 for 1,000 and
            40 from 7,500 on.
        start: `(n_classes, n_bits)` centers that keep a `min_distance` that is given; what is returned is never worse
            than these.
        progress: called after each sweep.

    Returns:
        int8 `(n_classes, n_bits)`.

    Raises:
        InputError: not a similarity, more classes than words, a distance that is impossible (the message names the
            proven bound) or not reached, a start of another shape or with nearer words, or an effort of 0 or less.

    Example:
        >>> alike = [[1, 0.5, -1], [0.5, 1, -1], [-1, -1, 1]]
        >>> centers = semantic_centers(alike, 8, np.random.default_rng(0), min_distance=2)
        >>> (centers @ centers.T).tolist()
        [[8, 4, -6], [4, 8, -6], [-6, -6, 8]]
    """
    matrix, _ = check_similarity(similarity)
    check_sizes(len(matrix), n_bits, distinct=True)
    check_number("effort", effort, is_positive=True)
    begin, least = _beginning(len(matrix), n_bits, rng, min_distance, start)
    if start is None and least == min_distance_of(begin):  # most flips are barred: then the choice of words decides
        begin = assigned_words(matrix, begin, least, rng, effort, progress)
    found = _anneal(matrix, begin, n_bits - 2 * least, rng, effort, progress)
    return min(found, begin, key=lambda centers: loss_of(centers, matrix))


def _beginning(
    n_classes: int, n_bits: int, rng: Generator, min_distance: int | None, start: npt.ArrayLike | None
) -> tuple[Centers, int]:
    """Return centers that keep the minimum distance, and that distance."""
    if start is not None:
        centers = check_start(start, n_classes, n_bits, 1 if min_distance is None else min_distance)
    else:
        centers = separated_centers(n_classes, n_bits, rng, min_distance=min_distance)
    if min_distance is not None:
        return centers, min_distance
    return centers, min(gilbert_varshamov_distance(n_classes, n_bits), min_distance_of(centers))


def check_start(start: npt.ArrayLike, n_classes: int, n_bits: int, least: int) -> Centers:
    """Return a start as int8; raise `InputError` unless it has the shape that is needed and keeps the distance."""
    check_min_distance(n_classes, n_bits, least)
    centers = check_centers(start)
    if centers.shape != (n_classes, n_bits):
        raise InputError(f"start must have the shape ({n_classes}, {n_bits}), not {centers.shape}")
    if (reached := min_distance_of(centers)) < least:
        raise InputError(
            f"start has two centers {reached} bits apart, but {least} are asked for: give a better start, or none, or "
            f"min_distance={reached}"
        )
    return centers


def _anneal(
    matrix: Similarity, begin: Centers, limit: int, rng: Generator, effort: float, progress: Progress
) -> Centers:
    """Return centers after the whole schedule; no product of two of them exceeds `limit`."""
    from nearbit.centers.semantic import kernels

    n_classes, n_bits = begin.shape
    target, scale, unit = rounded(matrix, n_bits)
    columns = np.ascontiguousarray(begin.T, dtype=np.int16)
    overlaps = columns.astype(np.int64) @ columns.T.astype(np.int64)
    places, state = np.arange(n_classes), random_state(rng)
    sweeps = max(1, round(effort * min(max(VISITS / n_classes, FEWEST_SWEEPS), MOST_SWEEPS)))
    temperatures = np.concatenate([unit * np.geomspace(HOT, COLD, sweeps), np.full(LAST_SWEEPS, FROZEN)])
    for sweep, temperature in enumerate(temperatures):
        if sweep % EXCHANGE_EVERY == 0:
            kernels.exchange_sweep(target, scale, columns, places, n_classes, temperature, state)
        kernels.flip_sweep(target, scale, limit, columns, overlaps, temperature, PASSES, state)
        progress("Searching centers", sweep + 1, len(temperatures))
    return np.ascontiguousarray(columns.T, dtype=np.int8)


class Trade(NamedTuple):
    """One point of a trade-off: the minimum distance asked for, and the semantic loss it costs."""

    min_distance: int
    semantic_loss: float


def trade_off(
    similarity: npt.ArrayLike,
    n_bits: int,
    distances: Sequence[int],
    rng: Generator,
    *,
    effort: float = 1.0,
    progress: Progress = silent,
) -> list[Trade]:
    """Return the semantic loss of centers for each of several minimum distances, in increasing order of distance.

    Centers for a larger distance serve a smaller one, too: where the search for the smaller one finds nothing better,
    their loss counts, so that the losses never fall with the distance. Deterministic for a given `rng`.

    Args:
        similarity: see `check_similarity`.
        n_bits: at least 1.
        distances: minimum distances, at least one.
        rng: source of every random choice.
        effort: see `semantic_centers`.
        progress: called after each distance.

    Raises:
        InputError: as `semantic_centers`, and no distances.
    """
    matrix, _ = check_similarity(similarity)
    if not len(distances):
        raise InputError("a trade-off needs at least one minimum distance")
    curve: list[Trade] = []
    lowest = math.inf
    for number, distance in enumerate(sorted(set(distances), reverse=True), start=1):
        centers = semantic_centers(matrix, n_bits, rng, min_distance=distance, effort=effort)
        lowest = min(lowest, loss_of(centers, matrix))
        curve.append(Trade(distance, lowest))
        progress("Trying distances", number, len(set(distances)))
    return curve[::-1]
