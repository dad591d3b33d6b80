#!/usr/bin/env python3
"""Reassignment of CRH's centers: what the greedy and the exact assignment take, and how far apart their costs lie.

    python benchmarks/reassignment.py --out benchmarks/results/reassignment.json

Class means are those of noisy codes around random centers, as early in training. Both assignments get the same costs.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.centers import (
    assign_exactly,
    assign_greedily,
    default_codewords,
    make_codebook,
    random_signs,
    reassignment_costs,
)

ROUNDS = 5


def measured(n_classes: int, n_bits: int) -> dict[str, Any]:
    """Return CPU milliseconds (median of the rounds) and mean costs of one reassignment of all heads."""
    rng = np.random.default_rng(0)
    codebook = make_codebook(default_codewords(n_classes, n_bits), n_bits, rng)
    means = random_signs((n_classes, n_bits), rng) * rng.uniform(0, 1, (n_classes, n_bits))
    taken: dict[str, list[float]] = {"costs": [], "greedy": [], "exact": []}
    totals: dict[str, list[float]] = {"greedy": [], "exact": []}
    for number in range(ROUNDS):
        began = time.process_time()
        costs = reassignment_costs(codebook, means)
        taken["costs"].append(time.process_time() - began)
        for name in ("greedy", "exact"):
            order, began, total = np.random.default_rng(number), time.process_time(), 0.0
            for head in costs:
                chosen = assign_exactly(head) if name == "exact" else assign_greedily(head, order)
                total += float(head[np.arange(n_classes), chosen].sum())
            taken[name].append(time.process_time() - began)
            totals[name].append(total / n_classes)
    return {
        "classes": n_classes, "bits": n_bits, "heads": len(codebook), "codewords": codebook.shape[1],
        "cpu_ms": {name: round(1000 * float(np.median(own)), 3) for name, own in taken.items()},
        "mean_cost": {name: round(float(np.mean(own)), 4) for name, own in totals.items()},
    }  # fmt: skip


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = [measured(n_classes, n_bits) for n_classes in (10, 100, 196, 555, 1000) for n_bits in (16, 32, 64)]
    for row in rows:
        times, costs = row["cpu_ms"], row["mean_cost"]
        print(
            f"{row['classes']:5} classes {row['bits']:3} bits {row['heads']} heads of {row['codewords']} words: costs "
            f"{times['costs']:8.2f} ms, greedy {times['greedy']:8.2f} ms (mean cost {costs['greedy']:.3f}), exact "
            f"{times['exact']:8.2f} ms (mean cost {costs['exact']:.3f})"
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
