#!/usr/bin/env python3
"""What asymmetric search costs beside the plain one: by weighted distance and by distance, on the same structure.

    python benchmarks/asymmetric.py --out benchmarks/results/asymmetric.json --items 1000000
    python benchmarks/asymmetric.py --out benchmarks/results/asymmetric.json --codes codes.npz

Codes are the signs of simulated outputs, or come from `--codes`: an .npz with database_codes, query_codes,
query_outputs and n_bits, such as `benchmarks/trained_codes.py` writes. Simulated outputs: of a class each, its center
times a strength of each bit, plus noise of one size ("strong": 0.4, "weak": 0.8 of the mean strength), and codes around
1000 centers with some percent of the bits flipped whose weights are flat, or know nothing of the flips. All searches
run in this process, interleaved, on `--threads` threads; the median of the rounds counts, in CPU
seconds of all threads. The simplest NumPy
line is the matrix product of query and signs, kept as float32, and a partition; it is measured on few queries. Every
ranking by weight is compared with that product.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from index import make, versions
from nearbit.codes import as_words, binarize, unpack
from nearbit.index.asymmetric_search import nearest_rows
from nearbit.index.engine.structure import Structure, build_structure
from nearbit.index.engine.weighted.weights import weighted

DATA = ("strong", "weak", "clusters-5 flat", "clusters-5 normal")
N_CLASSES = 100
BLOCK = 250_000
NUMPY_QUERIES = 5
LEAST_SECONDS = 0.05


class Case(NamedTuple):
    """Codes to search, and the outputs of the queries."""

    database: np.ndarray
    outputs: np.ndarray
    n_bits: int


def simulated(kind: str, n: int, n_bits: int, n_query: int) -> Case:
    """Return codes of one kind; see the text above."""
    rng = np.random.default_rng(0)
    if kind.startswith("clusters"):
        flips, _, shape = kind.partition(" ")
        case = make(flips, n, n_bits, n_query)
        sizes = np.ones((n_query, n_bits)) if shape == "flat" else np.abs(rng.normal(size=(n_query, n_bits)))
        noise = 1 + 0.01 * rng.random((n_query, n_bits))
        return Case(case.database, unpack(case.queries["own"], n_bits) * sizes * noise, n_bits)
    centers = np.where(rng.random((N_CLASSES, n_bits)) < 0.5, 1, -1) * rng.gamma(4, 0.25, (N_CLASSES, n_bits))
    noise = 0.4 if kind == "strong" else 0.8

    def part(size: int) -> np.ndarray:
        own = centers[rng.integers(0, N_CLASSES, size)].astype(np.float32)
        return own + noise * rng.standard_normal((size, n_bits), dtype=np.float32)

    sizes = [min(BLOCK, n - start) for start in range(0, n, BLOCK)]
    return Case(np.concatenate([binarize(part(size)) for size in sizes]), part(n_query), n_bits)


def searches(structure: Structure, words: np.ndarray, k: int) -> dict[str, Callable[[np.ndarray], Any]]:
    """Return both searches by name; each takes outputs and returns what it found."""

    def plain(outputs: np.ndarray) -> Any:
        return structure.nearest(as_words(binarize(outputs)), k=k, radius=None)

    def asymmetric(outputs: np.ndarray) -> Any:
        queries = weighted(outputs)
        return nearest_rows(structure, words, queries, k, queries.limits(None))

    return {"plain": plain, "asymmetric": asymmetric}


def cpu_ms(search: Callable[[np.ndarray], Any], outputs: np.ndarray, single: bool) -> float:
    """Return CPU milliseconds a query; `single` asks one query a call."""
    parts = np.split(outputs, len(outputs)) if single else [outputs]
    runs, began = 0, time.process_time()
    while runs == 0 or time.process_time() - began < LEAST_SECONDS:
        for part in parts:
            search(part)
        runs += 1
    return 1000 * (time.process_time() - began) / (runs * len(outputs))


def numpy_line(case: Case, k: int, found: Any) -> dict[str, Any]:
    """Return the CPU milliseconds of the matrix product, and whether it finds the same weighted distances."""
    taken, same = 0.0, True
    outputs = case.outputs[:NUMPY_QUERIES].astype(np.float32)
    scores = np.empty((len(outputs), len(case.database)), np.float32)
    for start in range(0, len(case.database), BLOCK):
        signs = unpack(case.database[start : start + BLOCK], case.n_bits).astype(np.float32)
        began = time.process_time()
        scores[:, start : start + len(signs)] = outputs @ signs.T
        taken += time.process_time() - began
    began = time.process_time()
    best = np.partition(-scores, k - 1, axis=1)[:, :k]
    taken += time.process_time() - began
    for number, query in enumerate(outputs):
        own = found.queries == number
        total = np.abs(query.astype(np.float64)).sum()
        distances = np.sort((total + best[number]) / 2)
        ours = np.sort(weighted(outputs).in_reals(found.queries[own], found.weighted[own]))
        same &= bool(np.allclose(distances, ours, atol=1e-4 * total))
    return {"numpy_ms": 1000 * taken / len(outputs), "same_as_numpy": same}


def measure(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Measure both searches on one case, interleaved."""
    words = as_words(case.database)
    structure = build_structure(words, case.n_bits)
    outputs = case.outputs.astype(np.float32)
    both = searches(structure, words, options.k)
    found = {name: search(outputs) for name, search in both.items()}
    result: dict[str, Any] = {"structure": structure.describe(), "queries": len(outputs)}
    for kind, asked in (("batch", outputs), ("single", outputs[: options.singles])):
        taken: dict[str, list[float]] = {name: [] for name in both}
        for _ in range(options.rounds):
            for name, search in both.items():
                taken[name].append(cpu_ms(search, asked, kind == "single"))
        middle = {f"{name}_ms": statistics.median(times) for name, times in taken.items()}
        result[kind] = middle | {"times": middle["asymmetric_ms"] / middle["plain_ms"], "rounds": taken}
    return result | numpy_line(case, options.k, found["asymmetric"])


def cases(options: argparse.Namespace) -> dict[str, Callable[[], Case]]:
    """Return the cases by title, each made when its turn comes."""
    if options.codes is None:
        return {
            f"{kind}, {options.items} x {options.bits} bits": (
                lambda kind=kind: simulated(kind, options.items, options.bits, options.queries)
            )
            for kind in options.data
        }
    with np.load(options.codes, allow_pickle=False) as file:
        database, outputs = file["database_codes"], file["query_outputs"][: options.queries]
        case = Case(np.ascontiguousarray(database), outputs, int(file["n_bits"]))
    return {f"{options.codes.name}, {len(database)} x {case.n_bits} bits": lambda: case}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--codes", type=Path, help="an .npz of codes and outputs, in place of simulated ones")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--singles", type=int, default=20, help="queries that are asked one by one, too")
    parser.add_argument("-k", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ["NEARBIT_THREADS"], os.environ["OMP_NUM_THREADS"] = str(options.threads), "1"
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results |= {"k": options.k, "versions": versions()}
    for title, make_case in cases(options).items():
        title += "" if options.threads == 1 else f", {options.threads} threads"
        results[title] = result = measure(make_case(), options)
        for kind in ("batch", "single"):
            print(title, kind, {name: round(result[kind][name], 4) for name in ("plain_ms", "asymmetric_ms", "times")})
        print(f"  NumPy {result['numpy_ms']:.1f} ms, the same: {result['same_as_numpy']}", flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
