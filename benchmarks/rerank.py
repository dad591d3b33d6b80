#!/usr/bin/env python3
"""What real-valued outputs kept beside the codes are worth: mAP@k gained, bytes an item, time a query.

    python benchmarks/rerank.py [DATA] [--backbone hf:FOLDER] [--out results.json] [--methods crh csq] [--bits 16 32 64]
                                [--seed 0] [--protocol NAME] [--k 100] [--rerank 1000] [-- options of `nearbit train`]

DATA is NEARBIT_DATA/cifar-100-binary where it is not given, the backbone NEARBIT_WEIGHTS/mobilenet_v2. Each model is
trained by `nearbit train` (features come from NEARBIT_CACHE); its query images are searched in an index of its database
images: by distance alone, with the ties of a distance ordered by kept outputs, and with the first --rerank ordered by
them. The figure is the field's mAP@k: precision at each relevant rank up to k, divided by the relevant found.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import binarize
from nearbit.datasets import Dataset, load_dataset
from nearbit.files.writing import cache_folder, write_json
from nearbit.index import create_index
from nearbit.model.bundle import Model, load_model


def trained(data: str, options: list[str], folder: Path) -> Model:
    """Train a model by the command line."""
    command = [sys.executable, "-m", "nearbit", "train", data, "-o", str(folder / "m.model"), *options, "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return load_model(folder / "m.model")


def mean_average_precision(hits: npt.NDArray[np.bool_]) -> float:
    """Return mAP over the columns of `hits` `(n_query, k)`, divided by the hits found; 0 for a query without any."""
    precisions = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return float(((precisions * hits).sum(axis=1) / np.maximum(hits.sum(axis=1), 1)).mean())


def measured(model: Model, dataset: Dataset, kind: str | None, k: int, rerank: int, folder: Path) -> dict[str, Any]:
    """Return size, time and mAP@k of an index that keeps outputs in one way, or none."""
    if model.split is None:
        raise SystemExit("the model records no split")
    parts = [
        model.encode_dataset(dataset, rows, cache=cache_folder()) for rows in (model.split.query, model.split.database)
    ]
    query, database = (part.outputs for part in parts)
    labels = [dataset.labels[part.rows] for part in parts]
    orders: dict[str, dict[str, Any]] = {"ties by id": {}}
    if kind is not None:
        orders = {
            "ties by outputs": {"outputs": query},
            f"first {rerank} by outputs": {"outputs": query, "rerank": rerank},
        }
    figures: dict[str, Any] = {"kept": kind, "map": {}, "milliseconds": {}}
    with create_index(folder / f"{kind}.index", model.n_bits, outputs=kind) as index:
        index.add(binarize(database), outputs=None if kind is None else database)
        codes = binarize(query)
        index.search(codes[:1], k=k)
        for name, order in orders.items():
            began = time.process_time()
            ids = index.search(codes, k=k, **order).ids
            figures["milliseconds"][name] = round(1000 * (time.process_time() - began) / len(codes), 3)
            hits = np.stack(
                [(labels[1][row - 1] & own).any(axis=1) for row, own in zip(ids, labels[0][:, None], strict=True)]
            )
            figures["map"][name] = mean_average_precision(hits)
    figures["bytes_an_item"] = round((folder / f"{kind}.index").stat().st_size / len(database), 1)
    return figures


def main() -> None:
    arguments = [*sys.argv[1:], "--"]
    cut = arguments.index("--")
    own, extra = arguments[:cut], arguments[cut + 1 : -1]
    data, weights = os.environ.get("NEARBIT_DATA"), os.environ.get("NEARBIT_WEIGHTS")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=data and str(Path(data) / "cifar-100-binary"))
    parser.add_argument("--backbone", default=weights and f"hf:{Path(weights) / 'mobilenet_v2'}")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--methods", nargs="+", default=["crh"])
    parser.add_argument("--bits", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--seed", default="0")
    parser.add_argument("--protocol")
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--rerank", type=int, default=1000)
    options = parser.parse_args(own)
    if options.data is None or options.backbone is None:
        raise SystemExit("name DATA and --backbone, or set NEARBIT_DATA and NEARBIT_WEIGHTS")
    shared = ["--backbone", options.backbone, "--seed", options.seed, *extra]
    shared += ["--protocol", options.protocol] if options.protocol else []
    dataset, cells = load_dataset(options.data), []
    print("| method | bits | kept | bytes an item | order | mAP@k | ms a query (CPU) |\n|---|---|---|---|---|---|---|")
    for method in options.methods:
        for bits in options.bits:
            with tempfile.TemporaryDirectory() as folder:
                model = trained(options.data, ["--method", method, "--bits", str(bits), *shared], Path(folder))
                for kind in (None, "int8", "float16"):
                    one = measured(model, dataset, kind, options.k, options.rerank, Path(folder))
                    cells.append({"method": method, "n_bits": bits, **one})
                    for name, value in one["map"].items():
                        print(
                            f"| {method} | {bits} | {kind or '-'} | {one['bytes_an_item']} | {name} | {value:.4f} | "
                            f"{one['milliseconds'][name]} |",
                            flush=True,
                        )
    about = {
        "data": Path(options.data).name, "protocol": options.protocol, "k": options.k, "rerank": options.rerank,
        "seed": options.seed, "train_options": extra, "backbone": Path(options.backbone).name,
        "machine": platform.machine(), "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("nearbit", "torch", "numpy")},
    }  # fmt: skip
    if options.out is not None:
        write_json(options.out, {"about": about, "cells": cells}, indent=1)
    print(json.dumps(about))


if __name__ == "__main__":
    main()
