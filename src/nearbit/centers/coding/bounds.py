"""Bounds: the smallest distance that random words promise, and the largest that any words can have, proven.

A(n, d) below is the largest number of words of n bits of which any two differ in at least d bits. Everything that is
claimed here is computed in integers, what a solver finds in floating point included.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from math import comb
from typing import Any

import numpy as np

from nearbit.centers.state import check_sizes
from nearbit.errors import InputError
from nearbit.given import check_number

LINEAR_PROGRAMMING_BITS = 256
"""Longer words get no linear programming bound: solving it takes seconds there."""

SCALE = 2**60
NEGLIGIBLE = 1e-9


def gilbert_varshamov_distance(n_classes: int, n_bits: int) -> int:
    """Return the distance that the published rule asks of hash centers: the d of MDS and SHC.

    It is the smallest d for which the words within d - 1 bits of one word are at least 2^n_bits / n_classes. Words at
    distances of d - 1 always exist: choose them one by one, each outside the balls around those before it. Words at d
    mostly do, but need not: 33 words of 6 bits have a d of 2, and their distance is 1 at most.

    Source: MDS (Wang et al., CVPR 2023); SHC (arXiv 2507.08404), equation 13. Deterministic.

    Raises:
        InputError: fewer than 2 classes, no bits, or more classes than words.

    Example:
        >>> [gilbert_varshamov_distance(100, n_bits) for n_bits in (16, 32, 48, 64, 128)]
        [4, 10, 17, 24, 52]
    """
    check_sizes(n_classes, n_bits, distinct=True)
    balls = accumulate(comb(n_bits, i) for i in range(n_bits + 1))
    return next(d for d, ball in enumerate(balls, start=1) if ball * n_classes >= 2**n_bits)


def plotkin_bound(n_classes: int, n_bits: int) -> int:
    """Return the largest minimum distance that Plotkin's bound allows `n_classes` words of `n_bits` bits.

    For even d, A(n, d) is at most 2 floor(d / (2d - n)) where 2d > n, and at most 2^(n - 2d) 4d elsewhere.

    Example:
        >>> plotkin_bound(10, 16), plotkin_bound(128, 64), plotkin_bound(129, 64)
        (8, 32, 31)
    """
    return _largest_allowed(n_classes, n_bits, _plotkin_size)


def hamming_bound(n_classes: int, n_bits: int) -> int:
    """Return the largest minimum distance that the sphere-packing bound allows `n_classes` words of `n_bits` bits.

    Balls of (d - 1) / 2 bits around the words do not meet; for even d, one bit is left out first.
    """
    return _largest_allowed(n_classes, n_bits, _hamming_size)


def linear_programming_bound(n_classes: int, n_bits: int) -> int | None:
    """Return the largest minimum distance that Delsarte's linear program allows, or None beyond 256 bits.

    The program is solved in floating point; its dual solution is then checked, and the bound computed, in integers.
    """
    check_sizes(n_classes, n_bits, distinct=True)
    if n_bits > LINEAR_PROGRAMMING_BITS:
        return None
    return _linear_programming(n_classes, n_bits, _simple_bound(n_classes, n_bits))


def proven_upper_bound(n_classes: int, n_bits: int) -> int:
    """Return the largest minimum distance that no bound here excludes for `n_classes` words of `n_bits` bits.

    No set of centers can have a larger one. It is the least of the Plotkin, sphere-packing and (up to 256 bits) linear
    programming bounds. Deterministic.

    Raises:
        InputError: fewer than 2 classes, no bits, or more classes than words.

    Example:
        >>> proven_upper_bound(256, 16), proven_upper_bound(257, 16)
        (6, 5)
    """
    simple = _simple_bound(n_classes, n_bits)
    if n_bits > LINEAR_PROGRAMMING_BITS:
        return simple
    return _linear_programming(n_classes, n_bits, simple)


def check_min_distance(n_classes: int, n_bits: int, min_distance: int) -> None:
    """Raise `InputError` where no words can have this minimum distance; the message names the proven bound."""
    check_number("min_distance", min_distance, at_least=1, whole=True)
    largest = proven_upper_bound(n_classes, n_bits)
    if min_distance > largest:
        raise InputError(
            f"{n_classes} centers of {n_bits} bits cannot have a minimum distance of {min_distance}: at most {largest} "
            f"is possible (proven). Ask for at most {largest}, or for more bits"
        )


def _simple_bound(n_classes: int, n_bits: int) -> int:
    return min(plotkin_bound(n_classes, n_bits), hamming_bound(n_classes, n_bits))


def _largest_allowed(n_classes: int, n_bits: int, largest_size: Callable[[int, int], int]) -> int:
    """Return the last distance before the first one at which fewer than `n_classes` words are possible."""
    check_sizes(n_classes, n_bits, distinct=True)
    distances = range(1, n_bits + 1)
    return next((d - 1 for d in distances if largest_size(*_even(n_bits, d)) < n_classes), n_bits)


def _even(n_bits: int, distance: int) -> tuple[int, int]:
    """Return (n, d) with d even and A(n, d) as given: a parity bit makes an odd minimum distance even."""
    return (n_bits + 1, distance + 1) if distance % 2 else (n_bits, distance)


def _plotkin_size(n: int, d: int) -> int:
    if 2 * d > n:
        return 2 * (d // (2 * d - n))
    return int(2 ** (n - 2 * d)) * 4 * d


def _hamming_size(n: int, d: int) -> int:
    ball = sum(comb(n - 1, i) for i in range((d - 2) // 2 + 1))
    return int(2 ** (n - 1)) // ball


@lru_cache(maxsize=4096)
def _linear_programming(n_classes: int, n_bits: int, upper: int) -> int:
    """Return the largest distance up to `upper` that the linear program does not exclude, by bisection."""
    low, high = 1, upper
    while low < high:
        middle = (low + high + 1) // 2
        if linear_programming_size(*_even(n_bits, middle)) < n_classes:
            high = middle - 1
        else:
            low = middle
    return low


@lru_cache(maxsize=4096)
def linear_programming_size(n: int, d: int) -> int:
    """Return Delsarte's linear programming bound on A(n, d), certified exactly; d even, for words at even distances.

    Let B_i be the mean number of words at distance i from a word. For every k the sum over i of B_i K_k(i) is not
    negative, K_k the Krawtchouk polynomials (Delsarte 1973), and B_i is at most the number J_i of words of weight i
    that differ pairwise in d bits (Johnson's bound). Any f(i) = 1 + sum_k f_k K_k(i) with f_k >= 0 then gives: number
    of words <= f(0) + sum over i >= d of J_i max(f(i), 0). A solver finds good f_k in floating point; they are rounded,
    and this sum is computed with integers only, so that the bound is a proof.

    Example:
        >>> linear_programming_size(16, 6), linear_programming_size(24, 8), linear_programming_size(6, 4)
        (256, 4096, 4)
    """
    distances = list(range(d, n + 1, 2))
    degrees = list(range(1, n // 2 + 1))
    limits = [_johnson(n, d, weight) for weight in distances]
    kernel = _krawtchouk(n)
    weights, used = _solve(n, distances, degrees, limits, kernel)
    return _certified(n, distances, degrees, limits, kernel, weights, used)


def _solve(
    n: int, distances: list[int], degrees: list[int], limits: list[int], kernel: list[list[int]]
) -> tuple[list[int], list[bool]]:
    """Return f_k comb(n, k) in units of 1 / SCALE, and which distances may have f(i) > 0, by the dual program."""
    from scipy.optimize import linprog

    relative = np.array([[float(Fraction(kernel[i][k], comb(n, i))) for k in degrees] for i in distances])
    excess = -np.eye(len(distances))
    costs = np.concatenate([np.ones(len(degrees)), np.array([float(limit) for limit in limits])])
    # For long words an unlimited cost spoils the scaling; such a limit is never of use.
    usable = costs[len(degrees) :] < 1e7
    costs[len(degrees) :][~usable] = 1.0
    bounds = [(0, None)] * len(degrees) + [(0, None) if use else (0, 0) for use in usable]
    found: Any = linprog(costs, np.hstack([relative, excess]), -np.ones(len(distances)), bounds=bounds, method="highs")
    if found.x is None:
        return [0] * len(degrees), [False] * len(distances)
    weights = [round(max(float(value), 0.0) * SCALE) for value in found.x[: len(degrees)]]
    return weights, [float(value) > NEGLIGIBLE for value in found.x[len(degrees) :]]


def _certified(
    n: int,
    distances: list[int],
    degrees: list[int],
    limits: list[int],
    kernel: list[list[int]],
    weights: list[int],
    used: list[bool],
) -> int:
    """Return the bound that the weights prove: f is lowered until it exceeds 0 only at the `used` distances."""
    values = []
    for i in distances:  # K_k(i) / comb(n, k) = K_i(k) / comb(n, i)
        total = sum(weight * kernel[i][k] for weight, k in zip(weights, degrees, strict=True))
        values.append(1 + Fraction(total, SCALE * comb(n, i)))
    lowered = max((value for value, use in zip(values, used, strict=True) if not use), default=Fraction(0))
    lowered = max(lowered, Fraction(0))
    if lowered >= 1:
        return int(2**n)
    excess = sum(
        (limit * max(value - lowered, Fraction(0)) for value, limit in zip(values, limits, strict=True)), Fraction(0)
    )
    bound = (1 + Fraction(sum(weights), SCALE) - lowered + excess) / (1 - lowered)
    return int(bound)


@lru_cache(maxsize=16)
def _krawtchouk(n: int) -> list[list[int]]:
    """Return K_k(i) of all k and i from 0 to n, by (k + 1) K_{k+1}(i) = (n - 2i) K_k(i) - (n - k + 1) K_{k-1}(i)."""
    rows = [[1] * (n + 1), [n - 2 * i for i in range(n + 1)]]
    for k in range(1, n):
        rows.append([((n - 2 * i) * rows[k][i] - (n - k + 1) * rows[k - 1][i]) // (k + 1) for i in range(n + 1)])
    return rows


@lru_cache(maxsize=65536)
def _johnson(n: int, d: int, weight: int) -> int:
    """Return Johnson's bound on the number of words of one weight that differ pairwise in at least d bits, d even."""
    weight = min(weight, n - weight)
    if 2 * weight < d:
        return 1
    if 2 * weight == d:
        return n // weight
    bound = n * _johnson(n - 1, d, weight - 1) // weight
    if n > weight:
        bound = min(bound, n * _johnson(n - 1, d, weight) // (n - weight))
    spread = 2 * weight * weight - n * (2 * weight - d)
    return min(bound, n * d // spread) if spread > 0 else bound
