#!/usr/bin/env python3
"""Learning rate and epochs of the frozen regime: the same search for every method, on validation images alone.

    python benchmarks/tune.py DATA --out tuning.json [--protocol NAME] [--methods crh shc …] [--bits 32] [--seeds 100]
                              [--hidden-rates .005 .01 .02 .05] [--linear-rates .0005 .001 .003 .01] [--epochs 20 40]
                              [--jobs 2] [--backbone hf:FOLDER] [--image-size 128]

Every method gets every rate with every number of epochs, for both heads, and nothing else. A cell is the tie-aware mAP
of validation images against training images after the last epoch; query and database images are not looked at. The
seeds must not be those of tables that quote the result. Cells that the file holds are not run again.

Prints for each method and head the cells as means over seeds, and which is best.
"""

import argparse
import json
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from nearbit.files.writing import cache_folder, write_json

Cell = dict[str, Any]
NAMES = ("method", "head", "n_bits", "seed", "epochs", "learning_rate")


@cache
def data(source: str, label_level: str) -> Any:
    """Load the data set, once a process."""
    from nearbit.datasets import load_dataset

    return load_dataset(source, label_level=label_level)


def run(given: dict[str, Any], cell: Cell) -> Cell:
    """Train one cell to the end and return it with its validation figure and its seconds."""
    import torch

    from nearbit.datasets import make_split
    from nearbit.training import TrainOptions, train

    torch.set_num_threads(1)
    dataset = data(given["data"], given["label_level"])
    options = TrainOptions(
        backbone=given["backbone"], image_size=given["image_size"], regime="frozen", select="last",
        validate_every=cell["epochs"], **{name: cell[name] for name in ("head", "epochs", "learning_rate", "seed")},
    )  # fmt: skip
    split = make_split(dataset, seed=cell["seed"], protocol=given["protocol"], allow_overlap=given["allow_overlap"])
    model = train(dataset, split, method=cell["method"], n_bits=cell["n_bits"], options=options, cache=cache_folder())
    return cell | {
        "validation_map": model.record["validation_map"],
        "seconds": model.record["seconds"]["training"],
    }


def grid(options: argparse.Namespace) -> list[Cell]:
    """Return every cell that is asked for."""
    rates = {"hidden": options.hidden_rates, "linear": options.linear_rates}
    return [
        dict(zip(NAMES, (method, head, n_bits, seed, epochs, rate), strict=True))
        for seed, n_bits, epochs, method, head in product(
            options.seeds, options.bits, options.epochs, options.methods, options.heads
        )
        for rate in rates[head]
    ]


def identity(cell: Cell) -> tuple[Any, ...]:
    """Return what tells cells apart."""
    return tuple(cell[name] for name in NAMES)


def show(cells: list[Cell]) -> None:
    """Print the means over seeds and lengths of each method and head; the best is bold."""
    for method, head in dict.fromkeys((cell["method"], cell["head"]) for cell in cells):
        found: dict[tuple[int, float], list[float]] = {}
        for cell in cells:
            if (cell["method"], cell["head"]) == (method, head):
                found.setdefault((cell["epochs"], cell["learning_rate"]), []).append(cell["validation_map"])
        means = {place: statistics.mean(values) for place, values in sorted(found.items())}
        best = max(means, key=lambda place: means[place])
        words = [
            f"{epochs} epochs, {rate:g}: " + (f"**{mean:.4f}**" if (epochs, rate) == best else f"{mean:.4f}")
            for (epochs, rate), mean in means.items()
        ]
        print(f"{method} {head} ({len(found[best])} runs a cell): " + "; ".join(words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--protocol")
    parser.add_argument("--allow-overlap", action="store_true")
    parser.add_argument("--label-level", default="fine")
    parser.add_argument("--methods", nargs="+", default=["crh", "shc", "csq", "mds", "orthohash"])
    parser.add_argument("--heads", nargs="+", default=["linear", "hidden"])
    parser.add_argument("--bits", nargs="+", type=int, default=[32])
    parser.add_argument("--seeds", nargs="+", type=int, default=[100])
    parser.add_argument("--hidden-rates", nargs="+", type=float, default=[0.005, 0.01, 0.02, 0.05])
    parser.add_argument("--linear-rates", nargs="+", type=float, default=[0.0005, 0.001, 0.003, 0.01])
    parser.add_argument("--epochs", nargs="+", type=int, default=[20, 40])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--image-size", type=int)
    options = parser.parse_args()
    about = {
        "data": Path(options.data).name, "protocol": options.protocol, "label_level": options.label_level,
        "backbone": options.backbone.rpartition("/")[2], "image_size": options.image_size,
    }  # fmt: skip
    known: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {**about, "cells": []}
    if {name: known[name] for name in about} != about:
        raise SystemExit(f"{options.out} is of another search: name another --out")
    done = {identity(cell) for cell in known["cells"]}
    waiting = [cell for cell in grid(options) if identity(cell) not in done]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, vars(options), cell) for cell in waiting]):
            cell = future.result()
            known["cells"].append(cell)
            write_json(options.out, known, indent=None)
            print(
                f"{identity(cell)}: {cell['validation_map']:.4f} in {cell['seconds']:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    show(sorted(known["cells"], key=identity))


if __name__ == "__main__":
    main()
