#!/usr/bin/env python3
"""The exact search beside the limit of the processor, NumPy and faiss: scans, filters, and the plan of clustered codes.

    gcc -O3 -march=native -shared -fPIC scan.c -o scan.so
    python benchmarks/search_limit.py --c scan.so --out benchmarks/results/search-limit.json

`--c` names a library with `topk(columns, stride, words, n, queries, n_query, k, bits, block, distances, rows)`: exact
top k in C with AVX-512, the limit for measuring only; without it that column is empty. All sides run in one process,
interleaved, one thread, in CPU milliseconds a query; the median of the rounds after the first counts.
"""

import argparse
import ctypes
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ["NEARBIT_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("NEARBIT_COMPILE", "now")

from nearbit.codes import as_words
from nearbit.index import create_index
from nearbit.index.engine.structure import build_structure

K = 100
N_QUERY = 100
ROUNDS = 6
Search = Callable[[np.ndarray], object]


def milliseconds(searches: dict[str, Search], queries: np.ndarray, *, single: bool) -> dict[str, float]:
    """Return the median CPU milliseconds a query of each search, interleaved."""
    taken: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(ROUNDS):
        for name, search in searches.items():
            runs, begin = 0, time.process_time()
            while runs == 0 or time.process_time() - begin < 0.1:
                search(queries[runs % len(queries) :][:1] if single else queries)
                runs += 1
            taken[name].append((time.process_time() - begin) / runs / (1 if single else len(queries)))
    return {name: round(1000 * statistics.median(values[1:]), 5) for name, values in taken.items()}


def c_search(library: Path, columns: np.ndarray, n_bits: int) -> Search:
    """Return the search in C of codes in columns."""
    topk, pointer = ctypes.CDLL(str(library.resolve())).topk, ctypes.c_void_p

    def search(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        distances, rows = np.empty((len(queries), K), np.int32), np.empty((len(queries), K), np.int64)
        words, n = columns.shape
        numbers = [ctypes.c_int64(value) for value in (n, words, n)]
        rest = [ctypes.c_int64(value) for value in (len(queries), K, n_bits, 4096)]
        topk(
            pointer(columns.ctypes.data), *numbers, pointer(queries.ctypes.data), *rest,
            pointer(distances.ctypes.data), pointer(rows.ctypes.data),
        )  # fmt: skip
        return distances, rows

    return search


def numpy_search(words: np.ndarray) -> Search:
    """Return the simplest exact search in NumPy."""

    def search(queries: np.ndarray) -> list[np.ndarray]:
        found = []
        for query in queries[:3]:
            distances = np.bitwise_count(words ^ query).sum(axis=1, dtype=np.uint16)
            found.append(np.argsort(distances, kind="stable")[:K])
        return found

    return search


def uniform(n: int, n_bits: int, library: Path | None) -> dict[str, Any]:
    """Compare scans of uniform codes."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**64, (n, n_bits // 64), dtype=np.uint64)
    queries = rng.integers(0, 2**64, (N_QUERY, n_bits // 64), dtype=np.uint64)
    structure = build_structure(words, n_bits)
    searches: dict[str, Search] = {"nearbit": lambda some: structure.nearest(some, k=K, radius=None)}
    if library is not None:
        columns = np.ascontiguousarray(words.T)
        searches["C"] = c_search(library, columns, n_bits)
        distances, rows = searches["C"](queries)  # type: ignore[misc]
        found = structure.nearest(queries, k=K, radius=None)
        np.testing.assert_array_equal(found.ids.reshape(-1, K), rows)
        np.testing.assert_array_equal(found.distances.reshape(-1, K), distances)
    try:
        import faiss

        faiss.omp_set_num_threads(1)
        flat = faiss.IndexBinaryFlat(n_bits)
        flat.add(words.view(np.uint8))
        searches["faiss flat"] = lambda some: flat.search(some.view(np.uint8), K)
    except ImportError:
        pass
    result = {kind: milliseconds(searches, queries, single=kind == "single") for kind in ("batch", "single")}
    simple = numpy_search(words)
    result["single"]["NumPy"] = milliseconds({"": simple}, queries[:1], single=True)[""]
    return result


def clustered(n: int, flipped: float) -> dict[str, Any]:
    """Compare the plan that was chosen with a scan, for queries of the clusters and at random."""
    rng = np.random.default_rng(0)
    centers = rng.random((1000, 64)) < 0.5

    def near(size: int) -> np.ndarray:
        bits = centers[rng.integers(0, 1000, size)] ^ (rng.random((size, 64), dtype=np.float32) < flipped)
        return as_words(np.packbits(bits, axis=1))

    words = np.concatenate([near(min(500_000, n - low)) for low in range(0, n, 500_000)])
    begin = time.process_time()
    structure = build_structure(words, 64)
    result: dict[str, Any] = {"build, s": time.process_time() - begin, "layout": structure.layout.kind}
    searches: dict[str, Search] = {
        "nearbit": lambda some: structure.nearest(some, k=K, radius=None),
        "its scan": lambda some: structure.nearest(some, k=K, radius=None, plan="scan"),
    }
    for name, queries in (("own", near(N_QUERY)), ("random", rng.integers(0, 2**64, (N_QUERY, 1), dtype=np.uint64))):
        for kind in ("batch", "single"):
            result[f"{name}, {kind}"] = milliseconds(searches, queries, single=kind == "single")
    return result


def filtered(n: int) -> dict[str, float]:
    """Return what a search of an index costs by the share of the items that pass a filter on labels."""
    rng = np.random.default_rng(0)
    centers = rng.random((1000, 64)) < 0.5
    shares = {"1e-1": 10, "1e-2": 100, "1e-3": 1000, "1e-4": 10_000, "1e-5": 100_000}
    with tempfile.TemporaryDirectory() as folder, create_index(Path(folder) / "a.index", n_bits=64) as index:
        for low in range(0, n, 100_000):
            codes = np.packbits(centers[rng.integers(0, 1000, 100_000)] ^ (rng.random((100_000, 64)) < 0.05), axis=1)
            rows = range(low, low + 100_000)
            labels = [
                next((name for name, step in reversed(shares.items()) if row % step == 7), "rest") for row in rows
            ]
            index.add(codes, metadata=[{"labels": [label]} for label in labels])
        index.compact()
        index.search(codes[:1], k=10, where={"labels": "rest"})
        searches: dict[str, Search] = {"no filter": lambda some: index.search(some, k=10)}
        for name in shares:
            searches[name] = lambda some, name=name: index.search(some, k=10, where={"labels": name})  # type: ignore[misc]
        return milliseconds(searches, codes[:N_QUERY], single=True)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--c", type=Path, help="the compiled limit")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, nargs="*", default=[64, 128, 256])
    parser.add_argument("--flipped", type=float, nargs="*", default=[0.02, 0.05, 0.1])
    options = parser.parse_args()
    results: dict[str, Any] = {"items": options.items, "load": os.getloadavg()[0]}
    for n_bits in options.bits:
        results[f"uniform, {n_bits} bits"] = uniform(options.items, n_bits, options.c)
    for flipped in options.flipped:
        results[f"clusters, {flipped:.0%} flipped"] = clustered(options.items, flipped)
    results["filter on labels"] = filtered(options.items)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    for title, figures in results.items():
        print(f"{title}: {figures}", flush=True)


if __name__ == "__main__":
    main()
