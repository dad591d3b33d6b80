"""How often does the paired bootstrap of a comparison find a difference where there is none?

python benchmarks/paired_bootstrap.py [--repeats 1000]
"""

import argparse
from collections.abc import Sequence

import numpy as np

from nearbit.compare.bootstrap import paired_differences, two_sided_p

SEEDS = (1, 2, 3, 5, 10)
DEVIATIONS = (0, 1, 3)
N_QUERY, N_SAMPLES = 100, 499


def false_findings(
    rng: np.random.Generator, n_seeds: int, deviation: float, repeats: int, *, same_queries: bool
) -> float:
    """Return the share of p ≤ 0.05 where two methods differ by noise alone.

    Args:
        rng: the source of randomness.
        n_seeds: how many trainings.
        deviation: between trainings, beside the standard error that the queries of one seed make.
        repeats: how many comparisons.
        same_queries: whether all seeds have the same queries, which are hard or easy for all of them alike.
    """
    found = 0
    for _ in range(repeats):
        shared = rng.normal(0, 1, N_QUERY)
        differences = [
            ((shared if same_queries else rng.normal(0, 1, N_QUERY)) + rng.normal(0, deviation / np.sqrt(N_QUERY)))[
                None
            ]
            for _ in range(n_seeds)
        ]
        samples = paired_differences(differences, same_queries=same_queries, rng=rng, n_samples=N_SAMPLES)
        found += two_sided_p(samples[:, 0]) <= 0.05
    return found / repeats


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each number of seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    repeats = parser.parse_args(arguments).repeats
    rng = np.random.default_rng(0)
    for same_queries in (False, True):
        print("one split for all seeds" if same_queries else "a split of its own for each seed")
        for n_seeds in SEEDS:
            shares = [false_findings(rng, n_seeds, value, repeats, same_queries=same_queries) for value in DEVIATIONS]
            print(f"{n_seeds:3d} seeds", *(f"{share:.3f}" for share in shares))


if __name__ == "__main__":
    main()
