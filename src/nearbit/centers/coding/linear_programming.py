"""Delsarte's linear programming bound on the number of words with a given minimum distance, certified exactly.

Words at even distances (n even or odd, d even). Let B_i be the mean number of words at distance i from a word. For
every k the sum over i of B_i K_k(i) is not negative, K_k the Krawtchouk polynomials (Delsarte 1973), and B_i is at most
the number J_i of words of weight i that differ pairwise in d bits (Johnson's bound). Any f(i) = 1 + sum_k f_k K_k(i)
with f_k >= 0 then gives: number of words <= f(0) + sum over i >= d of J_i max(f(i), 0). A solver finds good f_k in
floating point; they are rounded, and this sum is computed with integers only, so that the bound is a proof.
"""

from fractions import Fraction
from functools import lru_cache
from math import comb
from typing import Any

import numpy as np

SCALE = 2**60
NEGLIGIBLE = 1e-9


@lru_cache(maxsize=4096)
def size_bound(n: int, d: int) -> int:
    """Return a proven upper bound on A(n, d), the number of words of n bits at distances of at least d, d even.

    Example:
        >>> size_bound(16, 6), size_bound(24, 8), size_bound(6, 4)
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
