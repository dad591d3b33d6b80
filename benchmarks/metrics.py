#!/usr/bin/env python3
"""mAP@ALL of 10,000 queries × 100,000 items × 64 bits, by nearbit and by others: what it costs.

    python benchmarks/metrics.py --out benchmarks/results/metrics.json [--large]

The argsort idiom of the field's repositories, torchmetrics and pytorch-metric-learning are measured on a sample of
queries, which are independent of each other, and extrapolated; the results say so. Both kinds of labels are measured in
one run, everyone in turn; the median of the rounds counts. `--large` adds nearbit alone on 100,000 × 1,000,000.
"""

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.codes import unpack
from nearbit.metrics import evaluate_codes, tie_aware_average_precision

N_BITS = 64
PEERS = {"torch": "torch", "torchmetrics": "torchmetrics", "pytorch-metric-learning": "pytorch_metric_learning"}
"""Packages by the name of their distribution."""
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


def contenders(*, multi: bool) -> dict[str, Callable[[Data], Any]]:
    """Return the others by name; those that are not installed are named on standard output and left out."""
    known = {"argsort idiom": argsort_idiom, "torchmetrics": torchmetrics_idiom}
    if not multi:
        known["pytorch-metric-learning"] = pml_idiom
    missing = [name for name in known if name in PEERS and find_spec(PEERS[name]) is None]
    for name in missing:
        print(f"skipped: {name} is not installed")
    return {name: work for name, work in known.items() if name not in missing}


class Contest:
    """One kind of labels: the data, everyone who is measured on them, and what they took."""

    def __init__(self, n_query: int, n_database: int, sample: int, *, multi: bool) -> None:
        """Make the data and let everyone of nearbit run once, before the others use memory of their own."""
        self.data = make(n_query, n_database, multi=multi)
        self.sample = min(sample, n_query)
        self.small: Data = (self.data[0][: self.sample], self.data[1][: self.sample], *self.data[2:])
        self.ours: dict[str, Callable[[], Any]] = {
            "nearbit tie-aware": lambda: float(tie_aware_average_precision(*self.data, N_BITS).mean()),
            "nearbit whole report": lambda: evaluate_codes(*self.data, n_bits=N_BITS).tie_aware_map,
        }
        self.others = contenders(multi=multi)
        self.runs: dict[str, list[dict[str, float]]] = {name: [] for name in (*self.ours, *self.others)}
        self.values: dict[str, float] = {}
        before = peak_mb()
        for work in self.ours.values():
            work()
        self.memory = {"peak_mb_of_nearbit": round(peak_mb()), "peak_mb_before": round(before)}
        few = signs_and_rows((self.small[0][:2], self.small[1][:2], *(part[:100] for part in self.small[2:])))
        for other in self.others.values():  # what it loads on first use is not measured
            other(few)

    def run(self) -> None:
        """Let everyone run once, in turn."""
        prepared = signs_and_rows(self.small)
        for name, work in self.ours.items():
            seconds, self.values[name] = measured(work, 1)
            self.runs[name].append(seconds)
        for name, other in self.others.items():
            factor = len(self.data[0]) / self.sample
            seconds, self.values[name] = measured(lambda other=other: other(prepared), factor)
            self.runs[name].append(seconds)

    def results(self) -> dict[str, Any]:
        """Return the medians, every run, what each computed, and the ratio."""
        middle = {
            name: {kind: statistics.median(run[kind] for run in taken) for kind in ("wall", "cpu")}
            for name, taken in self.runs.items()
        }
        speed = {
            kind: round(middle["argsort idiom"][kind] / middle["nearbit tie-aware"][kind], 1)
            for kind in ("wall", "cpu")
        }
        return {
            "seconds": middle, "runs": self.runs, "map": self.values, "sampled_queries": self.sample,
            "extrapolated": list(self.others),
            "tie_aware_on_the_sample": float(tie_aware_average_precision(*self.small, N_BITS).mean()),
            "times_faster_than_argsort": speed, **self.memory,
        }  # fmt: skip


def large(n_query: int, n_database: int) -> dict[str, Any]:
    """Measure nearbit alone on a large problem with one label an item."""
    data = make(n_query, n_database, multi=False)
    seconds, value = measured(lambda: float(tie_aware_average_precision(*data, N_BITS).mean()), 1)
    return {"queries": n_query, "items": n_database, "seconds": seconds, "map": value, "peak_mb": round(peak_mb())}


def printed(results: dict[str, Any]) -> None:
    """Print who took how long, as a table."""
    print(f"{'labels':8} {'who':26} {'wall s':>9} {'CPU s':>9}")
    for kind in ("single", "multi"):
        for name, seconds in results[kind]["seconds"].items():
            print(f"{kind:8} {name:26} {seconds['wall']:9.3f} {seconds['cpu']:9.3f}")
        print(f"{kind:8} times faster than the argsort idiom: {results[kind]['times_faster_than_argsort']}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", type=int, default=40, help="queries that the others are measured on")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--large", action="store_true", help="ten times the queries and the items, nearbit alone")
    options = parser.parse_args(arguments)
    contests = {
        kind: Contest(options.queries, options.items, options.sample, multi=kind == "multi")
        for kind in ("single", "multi")
    }
    for number in range(options.rounds):
        for contest in contests.values():
            contest.run()
        print(f"round {number + 1} of {options.rounds}", flush=True)
    results: dict[str, Any] = {
        "queries": options.queries, "items": options.items, "n_bits": N_BITS,
        "cores": len(os.sched_getaffinity(0)),
        "versions": {name: version(name) for name in ("numpy", "numba", *PEERS) if find_spec(PEERS.get(name, name))},
        **{kind: contest.results() for kind, contest in contests.items()},
    }  # fmt: skip
    if options.large:
        results["large"] = large(10 * options.queries, 10 * options.items)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    printed(results)


if __name__ == "__main__":
    main()
