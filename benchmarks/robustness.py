#!/usr/bin/env python3
"""Attacked queries of a small network, with and without adversarial training: mAP clean, under PGD and under HAG.

    python benchmarks/robustness.py CIFAR100 --seeds 0 1 --out benchmarks/results/robustness.json

Ten classes of CIFAR-100 at 16 px, the small network trained from scratch. A seed decides the split, the centers, the
training and the attack. The epoch is chosen on clean validation images.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import nearbit as nb
from nearbit.datasets import ImageSource

CLASSES = ("bicycle", "bottle", "bus", "lion", "maple_tree", "rabbit", "rocket", "rose", "tractor", "whale")
SIZES = {"train": 200, "validation": 40, "query": 30, "database": 100}
ATTACKS: dict[str, dict[str, Any]] = {"pgd": {}, "hag": {"kind": "hag"}, "targeted pgd": {"targeted": True}}


class Rows:
    """Some rows of another source of images."""

    def __init__(self, source: ImageSource, rows: np.ndarray[Any, Any]) -> None:
        self.source, self.rows = source, rows

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, row: int, at_least: int | None = None) -> Any:
        """Return one image."""
        return self.source.read(int(self.rows[row]), at_least)


def of_classes(dataset: nb.Dataset, names: tuple[str, ...]) -> nb.Dataset:
    """Return the images of some classes alone."""
    columns = [dataset.classes.index(name) for name in names]
    rows = np.flatnonzero(dataset.labels[:, columns].any(axis=1))
    return nb.Dataset(
        name=f"{len(names)} classes of {dataset.name}",
        source=Rows(dataset.source, rows),
        keys=tuple(dataset.keys[row] for row in rows),
        labels=dataset.labels[np.ix_(rows, columns)],
        classes=names,
        digests=tuple(dataset.digests[row] for row in rows),
    )


def measured(dataset: nb.Dataset, seed: int, adversarial: float | None, given: argparse.Namespace) -> dict[str, Any]:
    """Train once, and return the figures of every attack."""
    split = nb.make_split(dataset, sizes=nb.SplitSizes(**SIZES) if given.classes else None, seed=seed)
    options = nb.TrainOptions(
        image_size=given.image_size, epochs=given.epochs, batch_size=64, seed=seed, device=given.device,
        adversarial=adversarial,
    )  # fmt: skip
    model = nb.train(dataset, split, method=given.method, n_bits=given.bits, options=options)
    found: dict[str, Any] = {"method": given.method, "seed": seed, "adversarial": adversarial}
    for name, asked in ATTACKS.items():
        attack = nb.AttackOptions(steps=given.steps, seed=seed, **asked)
        found[name] = nb.attack(model, dataset, options=attack, device=given.device).to_dict()
    return found | {"selected_epoch": model.record["selected_epoch"], "seconds": model.record["seconds"]["training"]}


def line(found: dict[str, Any]) -> str:
    """Return the figures as one row of a table."""
    pgd, hag, targeted = (found[name] for name in ATTACKS)
    named = "-" if found["adversarial"] is None else f"{found['adversarial']:g}"
    values = (pgd["clean_map"], pgd["adversarial_map"], hag["adversarial_map"])
    values += (targeted["clean_t_map"], targeted["adversarial_t_map"])
    return f"| {found['method']} | {named} | {found['seed']} | " + " | ".join(f"{value:.3f}" for value in values) + " |"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the folder cifar-100-binary, or another data set")
    parser.add_argument("--classes", nargs="*", default=list(CLASSES), help="none: all, by the default split")
    parser.add_argument("--method", default="csq")
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--eps", type=float, default=8.0, help="of adversarial training")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=20, help="of the attacks")
    parser.add_argument("--image-size", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    dataset, rows = nb.load_dataset(given.data), []
    if given.classes:
        dataset = of_classes(dataset, tuple(given.classes))
    print("| method | trained within | seed | mAP, clean | PGD | HAG | t-MAP, clean | targeted PGD |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in given.seeds:
        for eps in (None, given.eps):
            rows.append(measured(dataset, seed, eps, given))
            print(line(rows[-1]), flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({"classes": given.classes, "sizes": SIZES, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
