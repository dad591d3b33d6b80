#!/usr/bin/env python3
"""mAP@ALL of 10,000 queries × 100,000 items × 64 bits, by nearbit and by others: what it costs.

    python benchmarks/metrics.py --out benchmarks/results/metrics.json [--labels single|multi] [--large]

The argsort idiom of the field's repositories, torchmetrics and pytorch-metric-learning are measured on a sample of
queries, which are independent of each other, and extrapolated; the results say so. Runs are interleaved; the median of
the rounds counts. `--large` measures nearbit alone on 100,000 × 1,000,000, where the first call may compile.
"""

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.codes import unpack
from nearbit.metrics import evaluate_codes, tie_aware_average_precision

N_BITS = 64
Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def make(n_query: int, n_database: int, *, multi: bool) -> Data:
    """Return codes around 100 centers with 10 % of bits flipped; their class, or about 3 of 80 labels."""
    rng = np.random.default_rng(0)
    centers = rng.random((100, N_BITS)) < 0.5

    def part(n: int) -> tuple[np.ndarray, np.ndarray]:
        classes = rng.integers(0, 100, n)
        codes = np.concatenate(
            [
                np.packbits(centers[chunk] ^ (rng.random((len(chunk), N_BITS)) < 0.1), axis=1)
                for chunk in np.array_split(classes, max(1, n // 50_000))
            ]
        )
        return codes, (rng.random((n, 80), dtype=np.float32) < 3 / 80 if multi else classes)

    return *part(n_query), *part(n_database)


def signs_and_rows(data: Data) -> Data:
    """Return signs float32 and labels as rows of 0 and 1, float32: what the field's repositories hold in memory."""
    query_codes, query_labels, database_codes, database_labels = data

    def rows(labels: np.ndarray) -> np.ndarray:
        return (labels if labels.ndim == 2 else np.eye(100)[labels]).astype(np.float32)

    queries, database = (unpack(codes, N_BITS).astype(np.float32) for codes in (query_codes, database_codes))
    return queries, rows(query_labels), database, rows(database_labels)


def argsort_idiom(data: Data) -> float:
    """Compute mAP@ALL as `CalcTopMap` does: per query a product of labels, a product of signs and a full argsort."""
    queries, query_rows, database, database_rows = data
    total = 0.0
    for query, row in zip(queries, query_rows, strict=True):
        hits = (row @ database_rows.T > 0)[np.argsort(0.5 * (N_BITS - query @ database.T))]
        ranks = np.flatnonzero(hits) + 1
        total += float((np.arange(1, ranks.size + 1) / ranks).mean()) if ranks.size else 0.0
    return total / len(queries)


def torchmetrics_idiom(data: Data) -> float:
    """Compute mAP@ALL with the functional form of torchmetrics, similarities kept positive."""
    import torch
    from torchmetrics.functional.retrieval import retrieval_average_precision

    queries, query_rows, database, database_rows = (torch.from_numpy(array) for array in data)
    values = [
        float(retrieval_average_precision(database @ query + N_BITS + 1, database_rows @ row > 0))
        for query, row in zip(queries, query_rows, strict=True)
    ]
    return float(np.mean(values))


def pml_idiom(data: Data) -> float:
    """Compute mean average precision with pytorch-metric-learning: one label only, k = the size of the database."""
    import torch
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    queries, query_rows, database, database_rows = (torch.from_numpy(array) for array in data)
    calculator = AccuracyCalculator(
        include=("mean_average_precision",), k=len(database), device=torch.device("cpu"),
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False, power=2)),
    )  # fmt: skip
    figures = calculator.get_accuracy(queries, query_rows.argmax(1), database, database_rows.argmax(1))
    return float(figures["mean_average_precision"])


def measured(work: Callable[[], Any], factor: float) -> tuple[dict[str, float], Any]:
    """Return wall and CPU seconds of some work, times a factor, and what it returned."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = work()
    return {"wall": (time.perf_counter() - wall) * factor, "cpu": (time.process_time() - cpu) * factor}, value


def peak_mb() -> float:
    """Return the peak memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(rounds: int, sample: int, *, multi: bool) -> dict[str, Any]:
    """Measure everyone on one kind of labels, interleaved."""
    data = make(10_000, 100_000, multi=multi)
    small = (data[0][:sample], data[1][:sample], *data[2:])
    memory_before = peak_mb()
    ours: dict[str, Callable[[], Any]] = {
        "nearbit tie-aware": lambda: float(tie_aware_average_precision(*data, N_BITS).mean()),
        "nearbit whole report": lambda: evaluate_codes(*data, n_bits=N_BITS).tie_aware_map,
    }
    others: dict[str, Callable[[Data], Any]] = {"argsort idiom": argsort_idiom, "torchmetrics": torchmetrics_idiom}
    if not multi:
        others["pytorch-metric-learning"] = pml_idiom
    for work in ours.values():  # before the others use memory of their own
        work()
    evaluated_peak = peak_mb()
    prepared = signs_and_rows(small)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in (*ours, *others)}
    values: dict[str, float] = {}
    for number in range(rounds):
        for name, work in ours.items():
            seconds, values[name] = measured(work, 1)
            runs[name].append(seconds)
        for name, other in others.items():
            seconds, values[name] = measured(lambda other=other: other(prepared), len(data[0]) / sample)
            runs[name].append(seconds)
        print(f"round {number + 1} of {rounds}", flush=True)
    middle = {
        name: {kind: statistics.median(run[kind] for run in taken) for kind in ("wall", "cpu")}
        for name, taken in runs.items()
    }
    speed = {
        kind: round(middle["argsort idiom"][kind] / middle["nearbit tie-aware"][kind], 1) for kind in ("wall", "cpu")
    }
    return {
        "seconds": middle, "runs": runs, "map": values, "sampled_queries": sample, "extrapolated": list(others),
        "tie_aware_on_the_sample": float(tie_aware_average_precision(*small, N_BITS).mean()),
        "times_faster_than_argsort": speed,
        "peak_mb_of_nearbit": round(evaluated_peak), "peak_mb_before": round(memory_before),
    }  # fmt: skip


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=40, help="queries that the others are measured on")
    parser.add_argument("--labels", choices=("single", "multi"), default="single")
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    names = ("numpy", "numba", "torch", "torchmetrics", "pytorch-metric-learning")
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results |= {"cores": len(os.sched_getaffinity(0)), "versions": {name: version(name) for name in names}}
    if options.large:
        data = make(100_000, 1_000_000, multi=False)
        seconds, value = measured(lambda: float(tie_aware_average_precision(*data, N_BITS).mean()), 1)
        results["large"] = {"seconds": seconds, "map": value, "peak_mb": round(peak_mb())}
    else:
        results[options.labels] = compare(options.rounds, options.sample, multi=options.labels == "multi")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps({kind: value.get("times_faster_than_argsort", value) for kind, value in results.items()
                      if kind in ("single", "multi", "large")}))  # fmt: skip


if __name__ == "__main__":
    main()
