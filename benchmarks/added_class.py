#!/usr/bin/env python3
"""A class that training did not see, added by a few images: mAP of its queries and of the others, before and after.

    python benchmarks/added_class.py --method crh --classes 4 5 6 7 8 9 --out benchmarks/results/added_class.json

Of the digits one class is left out of training at a time; then it is added by 1, 5 and 20 of the images that it would
have been trained on. Queries are those of the split of seed 0, the database holds all ten classes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import nearbit as nb
from nearbit.model.add_class import add_class


def measured(digits: nb.Dataset, method: str, name: str) -> dict[str, Any]:
    """Return tie-aware mAP of the class left out and of the others, and what adding it reports."""
    asked = {kind: nb.make_split(digits, protocol=f"{kind}@all", unseen=[name]) for kind in ("unseen", "seen")}
    options = nb.TrainOptions(image_size=16, epochs=15, device="cpu")
    model = nb.train(digits, asked["seen"], method=method, n_bits=32, options=options)
    whole = nb.make_split(digits)
    pool = whole.train[digits.labels[whole.train, digits.classes.index(name)]]
    found: dict[str, Any] = {"method": method, "class": name, "before": figures(model, digits, asked)}
    for number in (1, 5, 20):
        rows = np.random.default_rng(0).permutation(pool)[:number]
        plain = add_class(model, digits, name=name, rows=rows, device="cpu")
        moved = add_class(model, digits, name=name, rows=rows, keep=digits, device="cpu")
        found[f"{number} images"] = figures(moved.model, digits, asked) | {
            "nearest_without_keep": plain.nearest,
            "nearest": moved.nearest,
            "kept_bits": moved.kept_bits,
            "center_distance": moved.center_distance,
        }
    return found


def figures(model: nb.Model, digits: nb.Dataset, asked: dict[str, nb.Split]) -> dict[str, float]:
    """Return tie-aware mAP of the queries of each kind."""
    return {kind: nb.evaluate(model, digits, split, device="cpu").report.tie_aware_map for kind, split in asked.items()}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="crh")
    parser.add_argument("--classes", nargs="+", default=["4", "5", "6", "7", "8", "9"])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    digits, rows = nb.load_dataset("digits"), []
    for name in options.classes:
        rows.append(measured(digits, options.method, name))
        shown = {
            key: {kind: round(own[kind], 3) for kind in ("unseen", "seen")} for key, own in list(rows[-1].items())[2:]
        }
        print(f"{options.method}, class {name}: {shown}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
