#!/usr/bin/env python3
"""Search in binary codes, by nearbit and by others: what it costs, and what approximate indexes miss.

    python benchmarks/index.py --out benchmarks/results/index.json --items 1000000 --bits 16 32 64 128 256
    python benchmarks/index.py --out benchmarks/results/index-10m.json --items 10000000 --bits 64
    python benchmarks/index.py --out benchmarks/results/index-real.json --codes codes.npz

`--codes` takes an .npz with database_codes and query_codes, packed uint8, and n_bits. All engines run in this process,
interleaved, with one thread unless `--threads` says otherwise; the median of the rounds counts, in CPU seconds (a
shared machine gives no honest wall time). Quick searches are repeated within a round. Recall counts a returned item
if its distance is at most that of the k-th: ties make ids meaningless. Engines that are not installed are named in the
result. Graphs (faiss HNSW, usearch) take minutes to build and run only where `--others` names them.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nearbit.codes import as_words
from nearbit.index.engine.structure import Structure, build_structure

Search = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Returns the distances and the rows, each `(n_query, k)`."""

DATA = ("uniform", "clusters-2", "clusters-5", "clusters-10", "noisy")
OTHERS = ("ivf", "multihash", "hnsw", "usearch")
N_CENTERS = 1000
ROWS_PER_BLOCK = 250_000
LEAST_SECONDS = 0.05


class Case(NamedTuple):
    """Codes to search and several sets of queries, by name."""

    database: np.ndarray
    queries: dict[str, np.ndarray]
    n_bits: int


def make(kind: str, n: int, n_bits: int, n_query: int) -> Case:
    """Return synthetic codes: uniform; around 1000 centers with some percent of bits flipped; or noisy classes.

    Noisy classes: 100 centers that resemble each other (20 prototypes with 30 % of bits flipped); each class flips
    each of its bits with a probability of its own, from Beta(0.3, 3).
    """
    rng = np.random.default_rng(0)
    uniform = np.packbits(rng.random((n_query, n_bits)) < 0.5, axis=1)
    if kind == "uniform":
        codes = [np.packbits(rng.random((size, n_bits)) < 0.5, axis=1) for size in _sizes(n)]
        return Case(np.concatenate(codes), {"random": uniform}, n_bits)
    if kind == "noisy":
        prototypes = rng.random((20, n_bits)) < 0.5
        centers = prototypes[np.arange(100) % 20] ^ (rng.random((100, n_bits)) < 0.3)
        flips = rng.beta(0.3, 3.0, centers.shape).astype(np.float32)
    else:
        centers = rng.random((N_CENTERS, n_bits)) < 0.5
        flips = np.full(centers.shape, int(kind.partition("-")[2]) / 100, np.float32)

    def part(size: int) -> np.ndarray:
        classes = rng.integers(0, len(centers), size)
        return np.packbits(centers[classes] ^ (rng.random((size, n_bits), dtype=np.float32) < flips[classes]), axis=1)

    codes = [part(size) for size in _sizes(n)]
    return Case(np.concatenate(codes), {"own": part(n_query), "random": uniform}, n_bits)


def _sizes(n: int) -> list[int]:
    return [min(ROWS_PER_BLOCK, n - start) for start in range(0, n, ROWS_PER_BLOCK)]


def nearbit_search(structure: Structure, k: int) -> Search:
    """Return the search of nearbit."""

    def search(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = structure.nearest(as_words(queries), k=k, radius=None)
        return found.distances.reshape(len(queries), k), found.ids.reshape(len(queries), k)

    return search


def faiss_search(index: Any, k: int) -> Search:
    """Return the search of a binary index of faiss."""
    return lambda queries: index.search(queries, k)


def other(name: str, case: Case, k: int) -> dict[str, Search]:
    """Build one of the others; return its searches, by name and setting."""
    if name == "usearch":
        from usearch.index import Index

        graph = Index(ndim=case.n_bits, metric="hamming", dtype="b1", connectivity=16, expansion_add=40)
        graph.add(np.arange(len(case.database)), case.database, threads=1)

        def search(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            found = graph.search(queries, k, threads=1)
            return found.distances.astype(np.int32), found.keys.astype(np.int64)

        return {"usearch HNSW ef 64": search}
    import faiss

    if name == "hnsw":
        index = faiss.IndexBinaryHNSW(case.n_bits, 16)
        index.hnsw.efSearch = 100
        index.add(case.database)
        return {"faiss HNSW M 16 ef 100": faiss_search(index, k)}
    if name == "multihash":
        index = faiss.IndexBinaryMultiHash(case.n_bits, max(1, case.n_bits // 16), min(16, case.n_bits))
        index.nflip = 1
        index.add(case.database)
        return {"faiss MultiHash nflip 1": faiss_search(index, k)}
    quantizer = faiss.IndexBinaryFlat(case.n_bits)
    index = faiss.IndexBinaryIVF(quantizer, case.n_bits, 1024)
    index.cp.niter = 10
    step = max(1, len(case.database) // 100_000)
    index.train(case.database[::step])
    index.add(case.database)

    def probing(n_probe: int) -> Search:
        def search(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            index.nprobe = n_probe
            return index.search(queries, k)

        search.keeps = quantizer  # type: ignore[attr-defined]
        return search

    return {f"faiss IVF 1024 nprobe {n}": probing(n) for n in (1, 16)}


def seconds(search: Search, queries: np.ndarray, single: bool) -> dict[str, float]:
    """Return CPU and wall seconds a query; `single` asks one query a call."""
    parts = np.split(queries, len(queries)) if single else [queries]
    runs, cpu, wall = 0, time.process_time(), time.perf_counter()
    while runs == 0 or time.process_time() - cpu < LEAST_SECONDS:
        for part in parts:
            search(part)
        runs += 1
    count = runs * len(queries)
    return {"cpu": (time.process_time() - cpu) / count, "wall": (time.perf_counter() - wall) / count}


def recall(case: Case, queries: np.ndarray, found: np.ndarray, exact: np.ndarray) -> float:
    """Return the share of the k places that hold an item no farther than the k-th nearest; -1 is no item."""
    rows = np.where(found < 0, 0, found)
    distances = np.bitwise_count(case.database[rows] ^ queries[:, None, :]).sum(axis=2)
    return float(((distances <= exact[:, -1:]) & (found >= 0)).mean())


def looks(structure: Structure, queries: np.ndarray, n_bits: int, k: int) -> float | None:
    """Return the mean share of distinct codes that rings leave to compare, or None where there are no rings."""
    if structure.layout.kind != "rings":
        return None
    from nearbit.index.engine.rings import codes_looked_at

    counts = codes_looked_at(structure.layout, as_words(queries), n_bits, k)
    return float(counts.mean() / structure.layout.n_places)


def build_alone(path: str, n_bits: int) -> dict[str, float]:
    """Build the structure in a process of its own, kernels loaded before; return seconds and memory."""
    codes = np.load(path, allow_pickle=False)
    build_structure(as_words(codes[:200_000]), n_bits, threads=1)
    words = as_words(codes)
    del codes
    before = _resident_mb()
    cpu, wall = time.process_time(), time.perf_counter()
    structure = build_structure(words, n_bits, threads=1)
    return {
        "cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "words_mb": words.nbytes / 1e6,
        "structure_mb": structure.describe()["bytes"] / 1e6,
        "peak_above_words_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6 - before,
    }  # fmt: skip


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def built(case: Case) -> dict[str, float]:
    """Return what building costs, measured in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codes.npy"
        np.save(path, case.database)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(build_alone, (str(path), case.n_bits))


def engines(case: Case, options: argparse.Namespace) -> tuple[dict[str, Search], dict[str, Any]]:
    """Build all engines; return their searches and facts about building."""
    facts: dict[str, Any] = {"skipped": {}, "build_cpu": {}}
    cpu = time.process_time()
    structure = build_structure(as_words(case.database), case.n_bits)
    facts["build_cpu"]["nearbit"] = time.process_time() - cpu
    facts["structure"] = structure.describe()
    facts["looks"] = {name: looks(structure, queries, case.n_bits, options.k) for name, queries in case.queries.items()}
    searches: dict[str, Search] = {"nearbit": nearbit_search(structure, options.k)}
    if structure.layout.kind == "rings" and options.plain:
        plain = build_structure(as_words(case.database), case.n_bits, layout="plain")
        searches["nearbit plain scan"] = nearbit_search(plain, options.k)
    for name in ("flat", *options.others):
        try:
            cpu = time.process_time()
            searches |= _flat(case, options.k) if name == "flat" else other(name, case, options.k)
            facts["build_cpu"][name] = time.process_time() - cpu
        except (ImportError, RuntimeError) as error:
            facts["skipped"][name] = str(error).splitlines()[0]
    return searches, facts


def _flat(case: Case, k: int) -> dict[str, Search]:
    import faiss

    index = faiss.IndexBinaryFlat(case.n_bits)
    index.add(case.database)
    return {"faiss flat": faiss_search(index, k)}


def compare(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Measure all engines on one case, interleaved."""
    searches, result = engines(case, options)
    result["build_alone"] = built(case)
    result["searches"] = {}
    for kind, queries in case.queries.items():
        found = {name: search(queries) for name, search in searches.items()}
        exact = np.sort(found["nearbit"][0], axis=1)
        for single in (False, True):
            asked = queries[: options.singles] if single else queries
            taken: dict[str, list[dict[str, float]]] = {name: [] for name in searches}
            for _ in range(options.rounds):
                for name, search in searches.items():
                    taken[name].append(seconds(search, asked, single))
            middle = {
                name: {unit: statistics.median(run[unit] for run in runs) for unit in ("cpu", "wall")}
                for name, runs in taken.items()
            }
            result["searches"][f"{kind}, {'single' if single else 'batch'}"] = {
                name: {
                    "cpu_ms": 1000 * times["cpu"], "wall_ms": 1000 * times["wall"],
                    "times_faster_than_faiss_flat": middle.get("faiss flat", times)["cpu"] / times["cpu"],
                    "recall": recall(case, queries, found[name][1], exact),
                    "same_distances": bool((np.sort(found[name][0], axis=1) == exact).all()),
                }
                for name, times in middle.items()
            }  # fmt: skip
    return result


def versions() -> dict[str, str]:
    """Return the versions of all engines that are installed, and the processor."""
    found = {"python": platform.python_version(), "processor": _processor()}
    for name in ("numpy", "numba", "faiss-cpu", "usearch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def show(title: str, result: dict[str, Any]) -> None:
    """Print one case as lines of a table."""
    alone = result["build_alone"]
    print(f"{title}: {result['structure']}; build {alone['cpu']:.1f} s; looks {result['looks']}", flush=True)
    for kind, engines_of in result["searches"].items():
        for name, figures in engines_of.items():
            print(
                f"  {kind:16} {name:24} {figures['cpu_ms']:10.4f} ms  {figures['times_faster_than_faiss_flat']:8.1f}x"
                f"  recall {figures['recall']:.4f}{'' if figures['same_distances'] else '  (approximate)'}",
                flush=True,
            )


def cases(options: argparse.Namespace) -> list[tuple[str, Callable[[], Case]]]:
    """Return the cases by title, each made when its turn comes."""
    if options.codes is None:
        return [
            (f"{kind}, {options.items} x {n_bits} bits", lambda kind=kind, n_bits=n_bits: make(
                kind, options.items, n_bits, options.queries))
            for n_bits in options.bits for kind in options.data
        ]  # fmt: skip
    with np.load(options.codes, allow_pickle=False) as file:
        queries = np.ascontiguousarray(file["query_codes"][: options.queries])
        case = Case(np.ascontiguousarray(file["database_codes"]), {"own": queries}, int(file["n_bits"]))
    return [(f"{options.codes.name}, {len(case.database)} x {case.n_bits} bits", lambda: case)]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, nargs="+", default=[64])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--codes", type=Path, help="an .npz of codes, in place of synthetic ones")
    parser.add_argument("--others", nargs="*", choices=OTHERS, default=[], help="others besides faiss flat")
    parser.add_argument("--plain", action="store_true", help="nearbit's own scan of all codes, too")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--singles", type=int, default=20, help="queries that are asked one by one, too")
    parser.add_argument("-k", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.environ["NEARBIT_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(options.threads)
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results |= {"k": options.k, "threads": options.threads, "versions": versions()}
    for title, make_case in cases(options):
        results[title] = compare(make_case(), options)
        show(title, results[title])
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
