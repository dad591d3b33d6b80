#!/usr/bin/env python3
"""What each ingredient of ECH gives: one trained model a seed, its parts weighed anew, on validation images alone.

    python benchmarks/ech_ablation.py DATA --backbone hf:FOLDER --out results.json [--image-size 128]
                                      [--protocol cifar100/shc] [--label-level both] [--bits 16 64] [--seeds 3]
                                      [--epochs 40] [--batch-size 64]

The parts are the hash network tanh(u), the expected center V of three classifiers (and of the first alone), and the
projection R; T = 1. The figure is that which chooses epochs and mixtures (docs/training.md). Queries are not looked at.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch

from nearbit.datasets import load_dataset, make_split
from nearbit.files.writing import cache_folder, write_json
from nearbit.networks import Head
from nearbit.progress import silent
from nearbit.training import TrainOptions, train
from nearbit.training.context import RunContext
from nearbit.training.criterion import Criterion

VARIANTS = {
    "tanh u: the hash network alone": (1.0, 0.0, 0.0),
    "V: the expected center alone": (0.0, 1.0, 0.0),
    "R: the projection alone": (0.0, 0.0, 1.0),
    "tanh u + V": (1.0, 1.0, 0.0),
    "tanh u + R / 2": (1.0, 0.0, 0.5),
    "tanh u + V + R / 2": (1.0, 1.0, 0.5),
    "tanh u + V + R": (1.0, 1.0, 1.0),
}


def score(context: RunContext, head: Head, criterion: Criterion) -> float:
    """Return the validation figure of a head on frozen features."""
    inputs = context.feature_inputs(silent)
    return criterion.score({part: inputs.outputs(head, part, rows) for part, rows in criterion.positions().items()})


def variants_of(context: RunContext, head: Head, n_bits: int) -> dict[str, float]:
    """Return the figure of each variant of a trained head."""
    criterion = context.criterion(n_bits)
    center = head.expected_center
    if criterion is None or center is None:
        raise SystemExit("the split needs validation images, and the method an expected center")
    chosen = score(context, head, criterion)
    found = {}
    for name, weights in VARIANTS.items():
        if weights[2] == 0 or center.projection is not None:
            center.set_mixture(1.0, weights)
            found[name] = score(context, head, criterion)
    center.set_mixture(1.0, (1.0, 1.0, 0.0))
    committee = center.committee
    center.committee = torch.nn.ModuleList([committee[0]])
    found["tanh u + V of one classifier"] = score(context, head, criterion)
    center.committee = committee
    found["as chosen"] = chosen
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--protocol")
    parser.add_argument("--label-level", default=None)
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    given = parser.parse_args()
    reading = {} if given.label_level is None else {"label_level": given.label_level}
    dataset = load_dataset(given.data, **reading)
    results: dict[str, Any] = {"data": dataset.name, "protocol": given.protocol, "figures": {}}
    for n_bits in given.bits:
        for seed in range(given.seeds):
            options = TrainOptions(
                backbone=given.backbone, image_size=given.image_size, head="hidden", seed=seed,
                epochs=given.epochs, batch_size=given.batch_size,
            )  # fmt: skip
            split = make_split(dataset, protocol=given.protocol, seed=seed)
            model = train(dataset, split, method="ech", n_bits=n_bits, options=options, cache=cache_folder())
            context = RunContext(dataset, split, options, cache_folder())
            for name, value in variants_of(context, model.network.head, n_bits).items():
                results["figures"].setdefault(str(n_bits), {}).setdefault(name, []).append(value)
        for name, values in results["figures"][str(n_bits)].items():
            deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
            print(f"{n_bits:4} bits  {name:34} {statistics.mean(values):.4f} ± {deviation:.4f} ({len(values)})")
    write_json(given.out, results)


if __name__ == "__main__":
    main()
