#!/usr/bin/env python3
"""mAP@ALL and whole reports of many queries × 100,000 items × 64 bits, by nearbit and by others: what they cost.

    python benchmarks/metrics.py --out benchmarks/results/metrics.json [--large]
    OMP_NUM_THREADS=1 NEARBIT_THREADS=1 python benchmarks/metrics.py --queries 4000 --out FILE

Others compute mAP@ALL alone: the argsort idiom of the field's repositories (products of float signs, sorted), the radix
line (`np.bitwise_count` of words, a stable argsort of uint8, which NumPy does by radix), torchmetrics and
pytorch-metric-learning where installed. They are measured on a sample of queries, which are independent of each other,
and extrapolated; the results say so. Both kinds of labels are measured in one run, everyone in turn; the median of the
rounds counts. `--large` adds nearbit alone on 100,000 × 1,000,000.
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

from nearbit.codes import as_words, unpack
from nearbit.metrics import evaluate_codes, tie_aware_average_precision

N_BITS = 64
PEERS = {"torch": "torch", "torchmetrics": "torchmetrics", "pytorch-metric-learning": "pytorch_metric_learning"}
"""Packages by the name of their distribution."""
FEW = ("tie-aware", "precision", "guaranteed")
"""Kinds of figures that need no more than histograms."""
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


def radix_line(data: Data) -> float:
    """Compute mAP@ALL as simply as NumPy can do it fast: distances of words as uint8, which it sorts by radix."""
    queries, query_keys, database, database_keys = data
    total = 0.0
    for query, key in zip(queries, query_keys, strict=True):
        order = np.argsort(np.bitwise_count(database ^ query), kind="stable")
        hits = database_keys == key if key.ndim == 0 else np.bitwise_or.reduce(database_keys & key[:, None]) != 0
        ranks = np.flatnonzero(hits[order]) + 1
        total += float((np.arange(1, ranks.size + 1) / ranks).mean()) if ranks.size else 0.0
    return total / len(queries)


def words_and_keys(data: Data) -> Data:
    """Return codes as one word each, and labels as class numbers or as words: what the radix line holds in memory."""
    query_codes, query_labels, database_codes, database_labels = data

    def keys(labels: np.ndarray) -> np.ndarray:
        return labels if labels.ndim == 1 else np.ascontiguousarray(as_words(np.packbits(labels, axis=1)).T)

    words = (as_words(codes)[:, 0] for codes in (query_codes, database_codes))
    return next(words), keys(query_labels).T, next(words), keys(database_labels)


PREPARED = {"radix line": words_and_keys}
"""What others hold in memory, where it is not signs and rows."""


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
    known = {"argsort idiom": argsort_idiom, "radix line": radix_line, "torchmetrics": torchmetrics_idiom}
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
            "nearbit report, figures=": lambda: evaluate_codes(*self.data, n_bits=N_BITS, figures=FEW).tie_aware_map,
        }
        self.others = contenders(multi=multi)
        self.runs: dict[str, list[dict[str, float]]] = {name: [] for name in (*self.ours, *self.others)}
        self.values: dict[str, float] = {}
        before = peak_mb()
        for work in self.ours.values():
            work()
        self.memory = {"peak_mb_of_nearbit": round(peak_mb()), "peak_mb_before": round(before)}
        few = (self.small[0][:2], self.small[1][:2], *(part[:100] for part in self.small[2:]))
        for name, other in self.others.items():  # what it loads on first use is not measured
            other(PREPARED.get(name, signs_and_rows)(few))

    def run(self) -> None:
        """Let everyone run once, in turn."""
        for name, work in self.ours.items():
            seconds, self.values[name] = measured(work, 1)
            self.runs[name].append(seconds)
        for name, other in self.others.items():
            factor, prepared = len(self.data[0]) / self.sample, PREPARED.get(name, signs_and_rows)(self.small)
            seconds, self.values[name] = measured(lambda other=other, held=prepared: other(held), factor)
            self.runs[name].append(seconds)

    def results(self) -> dict[str, Any]:
        """Return the medians, every run, what each computed, and the ratio."""
        middle = {
            name: {kind: statistics.median(run[kind] for run in taken) for kind in ("wall", "cpu")}
            for name, taken in self.runs.items()
        }
        speed = {
            other: {
                name: {kind: round(middle[other][kind] / middle[name][kind], 1) for kind in ("wall", "cpu")}
                for name in self.ours
            }
            for other in ("argsort idiom", "radix line")
        }
        return {
            "seconds": middle, "runs": self.runs, "map": self.values, "sampled_queries": self.sample,
            "extrapolated": list(self.others),
            "tie_aware_on_the_sample": float(tie_aware_average_precision(*self.small, N_BITS).mean()),
            "times_faster_than": speed, **self.memory,
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
        for other, speed in results[kind]["times_faster_than"].items():
            cpu = ", ".join(f"{name} {times['cpu']}" for name, times in speed.items())
            print(f"{kind:8} times faster in CPU time than {other}, which computes mAP alone: {cpu}")


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
        "cores": len(os.sched_getaffinity(0)), "figures": FEW,
        "threads": {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "NEARBIT_THREADS")},
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
