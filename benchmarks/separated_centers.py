#!/usr/bin/env python3
"""Minimum distances of separated centers, what is proven to be the most, and what making them costs.

    python benchmarks/separated_centers.py --out benchmarks/results/separated-centers.json [--published]

Seconds are those of the process (CPU), of the fastest of five calls with different seeds, after one that compiles and
plans; "first" is the call before these, in a process that has compiled. `--published` adds the authors' procedure for
MDS centers at 100 classes and 32 bits, from its equations, with up to 50 sweeps (minutes).
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from centers_published import published_mds
from nearbit.centers import (
    best_known_distance,
    gilbert_varshamov_distance,
    mds_centers,
    mds_objective,
    min_distance_of,
    proven_upper_bound,
    separated_centers,
)

CLASSES = (10, 100, 196, 555, 1000, 10_000)
BITS = (16, 24, 32, 48, 64, 128)


def seconds_of(make: Any, *arguments: Any) -> tuple[Any, float]:
    """Return what a call returns, and its CPU seconds."""
    start = time.process_time()
    made = make(*arguments)
    return made, time.process_time() - start


def row(n_classes: int, n_bits: int) -> dict[str, Any]:
    """Return the figures of one size."""
    runs = [seconds_of(separated_centers, n_classes, n_bits, np.random.default_rng(seed)) for seed in range(6)]
    known = best_known_distance(n_classes, n_bits)
    return {
        "n_classes": n_classes,
        "n_bits": n_bits,
        "min_distance": min(min_distance_of(centers) for centers, _ in runs),
        "proven_upper_bound": proven_upper_bound(n_classes, n_bits),
        "gilbert_varshamov": gilbert_varshamov_distance(n_classes, n_bits),
        "construction": known[1] if known else None,
        "first_seconds": round(runs[0][1], 4),
        "seconds": round(min(seconds for _, seconds in runs[1:]), 4),
    }


def published(n_classes: int, n_bits: int) -> dict[str, Any]:
    """Return what the authors' procedure for MDS centers reaches and costs, and ours."""
    figures: dict[str, Any] = {"n_classes": n_classes, "n_bits": n_bits}
    makers = {
        "published": lambda: published_mds(n_classes, n_bits, 40),
        "nearbit": lambda: mds_centers(n_classes, n_bits, np.random.default_rng(40)),
    }
    for name, make in makers.items():
        centers, seconds = seconds_of(make)
        figures[name] = {
            "min_distance": min_distance_of(centers),
            "objective": round(mds_objective(centers), 3),
            "seconds": round(seconds, 3),
        }
    return figures


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--published", action="store_true")
    options = parser.parse_args()
    mds_centers(20, 12, np.random.default_rng(0))  # compiles
    result: dict[str, Any] = {"python": platform.python_version(), "numpy": np.__version__, "sizes": []}
    print("classes  bits  distance  at most  rule  seconds   first  construction")
    for n_classes in CLASSES:
        for n_bits in BITS:
            found = row(n_classes, n_bits)
            result["sizes"].append(found)
            print(
                f"{n_classes:7}{n_bits:6}{found['min_distance']:10}{found['proven_upper_bound']:9}"
                f"{found['gilbert_varshamov']:6}{found['seconds']:9.4f}{found['first_seconds']:8.3f}"
                f"  {found['construction']}"
            )
    if options.published:
        result["mds"] = [published(n_classes, n_bits) for n_classes, n_bits in ((20, 16), (100, 16), (100, 32))]
        print(json.dumps(result["mds"], indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
