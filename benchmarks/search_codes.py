#!/usr/bin/env python3
"""Search for quasi-cyclic codes: how the entries of nearbit.centers.coding.algebraic.catalog were found.

    python benchmarks/search_codes.py --dimensions 8 9 10 --seconds 75 --longest 72

A generator matrix with k rows has n columns, words of k bits; x multiplies a column as `quasi_cyclic` does. A code is a
choice of whole orbits of columns, and the weight of a message is a sum over its orbits, so that a table of (orbits of
messages) times (orbits of columns) says everything. Orbits are exchanged so that the sum over messages of exp(-weight)
falls: the lightest messages count most. Prints one line for each length at which more was found than nearbit's own
constructions give: (n_bits, dimension, minimum distance, polynomials, representatives).
"""

import argparse
import time
from typing import Any

import numpy as np

from nearbit.centers.coding.algebraic.quasi_cyclic import orbit
from nearbit.centers.coding.construction import plan_code

Table = tuple[np.ndarray, np.ndarray, list[list[int]]]
MOST_ORBITS = 700
STEPS = 40


def irreducible(degree: int) -> list[int]:
    """Return the irreducible polynomials of a degree with constant term 1, as numbers."""

    def rest(a: int, b: int) -> int:
        while a.bit_length() >= b.bit_length():
            a ^= b << (a.bit_length() - b.bit_length())
        return a

    return [
        p
        for p in range((1 << degree) + 1, 1 << (degree + 1), 2)
        if all(rest(p, q) for q in range(2, 1 << (degree // 2 + 1)))
    ]


def random_polynomials(dimension: int, pool: list[int], rng: np.random.Generator) -> tuple[int, ...]:
    """Return polynomials whose degrees add up to the dimension; the first one is often repeated."""
    chosen: list[int] = []
    left = dimension
    while left:
        fitting = [p for p in pool if p.bit_length() - 1 <= left]
        again = chosen and chosen[-1].bit_length() - 1 <= left and rng.random() < 0.5
        chosen.append(chosen[-1] if again else int(rng.choice(fitting)))
        left -= chosen[-1].bit_length() - 1
    return tuple(sorted(chosen))


def orbits_of(size: int, follow: Any) -> list[list[int]]:
    """Return the orbits of the numbers from 1 below `size`."""
    seen, found = np.zeros(size, bool), []
    for start in range(1, size):
        if not seen[start]:
            found.append(follow(start))
            seen[found[-1]] = True
    return found


def table_of(polynomials: tuple[int, ...], dimension: int) -> Table | None:
    """Return the weight that each orbit of columns gives a message of each orbit, the sizes, and the orbits."""
    columns = orbits_of(1 << dimension, lambda start: orbit(polynomials, start))
    if len(columns) > MOST_ORBITS:
        return None
    signs = np.ones((1, 1), np.int8)
    for _ in range(dimension):  # entry (message, column) is -1 where their product is 1
        signs = np.block([[signs, signs], [signs, -signs]])
    weights = np.stack([(signs[:, members] < 0).sum(axis=1) for members in columns], axis=1)
    _, first, counts = np.unique(weights[1:], axis=0, return_index=True, return_counts=True)
    return weights[1 + first], counts, columns


def improve(table: Table, longest: int, rng: np.random.Generator, best: dict[int, int]) -> dict[int, list[int]]:
    """Return the orbits for lengths at which they give more than `best` says, which is brought up to date."""
    weights, counts, columns = table
    sizes = np.array([len(members) for members in columns])
    decay = rng.choice([0.4, 0.7, 1.0])
    factors = np.exp(-decay * weights)
    chosen = [int(i) for i in rng.permutation(np.tile(np.arange(len(sizes)), 3))]
    fitting = np.cumsum(sizes[chosen]) <= rng.integers(weights.shape[1].bit_length(), longest + 1)
    chosen = [i for i, fits in zip(chosen, fitting, strict=True) if fits]
    found: dict[int, list[int]] = {}
    for _ in range(STEPS if chosen else 0):
        total = weights[:, chosen].sum(axis=1)
        length, distance = int(sizes[chosen].sum()), int(total.min())
        if distance > best.get(length, 0):
            best[length], found[length] = distance, list(chosen)
        at = int(rng.integers(len(chosen)))
        costs = (counts * np.exp(-decay * (total - weights[:, chosen[at]]))) @ factors
        costs *= 1 + 0.02 * rng.random(len(costs))
        costs[(sizes != sizes[chosen[at]]) | (np.arange(len(sizes)) == chosen[at])] = np.inf
        if np.isfinite(costs.min()):
            chosen[at] = int(costs.argmin())
    return found


def search(dimension: int, seconds: float, longest: int, seed: int) -> None:
    """Search for codes of one dimension and print what is better than the constructions."""
    rng = np.random.default_rng(seed)
    pool = [5, 15, 17, 21] + [p for degree in range(1, dimension + 1) for p in irreducible(degree)]
    pool = [p for p in pool if p.bit_length() - 1 <= dimension]
    best = {n: plan_code(2**dimension, n).distance for n in range(dimension, longest + 1)}
    codes: dict[int, tuple[int, int, int, tuple[int, ...], tuple[int, ...]]] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        polynomials = random_polynomials(dimension, pool, rng)
        table = table_of(polynomials, dimension)
        for _ in range(50 if table else 0):
            for length, chosen in improve(table, longest, rng, best).items():
                starts = tuple(table[2][i][0] for i in chosen)
                codes[length] = (length, dimension, best[length], polynomials, starts)
    for length in sorted(codes):
        print(f"{codes[length]},")


def main() -> None:
    """Search for codes of each dimension in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[8])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--longest", type=int, default=72)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for dimension in options.dimensions:
        search(dimension, options.seconds, options.longest, options.seed)


if __name__ == "__main__":
    main()
