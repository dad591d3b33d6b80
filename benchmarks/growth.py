#!/usr/bin/env python3
"""How every operation grows with the number of items: CPU and wall seconds, memory, and the exponent of the growth.

    python benchmarks/growth.py --out benchmarks/results/growth.json --items 250000 1000000 4000000 --threads 1 2
    python benchmarks/growth.py --out benchmarks/results/growth.json --structure 1000000 10000000 50000000 --threads 1 2

`--items` fills an index file with a path and a label each (1,000 clusters, 5 % of bits flipped), each size in a process
of its own. `--structure` builds and searches the structure alone, of codes that are made in memory. Figures are medians
of rounds in CPU seconds of one thread; with more than one in `--threads` the structure is also searched by so many, and
CPU and wall seconds are both written, with the load of the machine. The exponent is the slope of log seconds over log
items, from the smallest size to the largest.
"""

import argparse
import json
import math
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.codes import as_words
from nearbit.index import create_index, open_index
from nearbit.index.engine.structure import build_structure

N_BITS = 64
N_CENTERS = 1000
FLIPPED = 0.05
BLOCK = 50_000
ROUNDS = 5
LABELS = (("1e-1", 0.1), ("1e-2", 0.01), ("1e-3", 1e-3), ("1e-4", 1e-4))


def codes_of(rng: np.random.Generator, centers: np.ndarray, n: int) -> np.ndarray:
    """Return codes near centers, uint8 `(n, 8)`."""
    near = centers[rng.integers(0, len(centers), n)]
    return np.packbits(near ^ (rng.random((n, N_BITS), dtype=np.float32) < FLIPPED), axis=1)


def seconds(work: Callable[[int], object], least: float = 0.05) -> float:
    """Return the median CPU seconds of a call, which is numbered; the first rounds are not counted."""
    taken, number = [], 0
    for _ in range(ROUNDS + 1):
        runs, begin = 0, time.process_time()
        while runs == 0 or time.process_time() - begin < least:
            work(number)
            runs, number = runs + 1, number + 1
        taken.append((time.process_time() - begin) / runs)
    return statistics.median(taken[1:])


def once(work: Callable[[], object]) -> dict[str, float]:
    """Return the CPU and wall seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def label_of(row: int) -> str:
    """Return the label of a row: those of `LABELS` have their share of all rows."""
    return next((name for name, share in reversed(LABELS) if row % round(1 / share) == 7), "rest")


def file_figures(n: int) -> dict[str, Any]:
    """Fill an index, open it and search it; return what each step costs."""
    os.environ["NEARBIT_THREADS"] = "1"
    os.environ["NEARBIT_COMPILE"] = "now"
    rng = np.random.default_rng(0)
    centers = rng.random((N_CENTERS, N_BITS)) < 0.5
    queries = codes_of(rng, centers, 64)
    warm = build_structure(as_words(codes_of(rng, centers, 200_000)), N_BITS, threads=1)
    warm.nearest(as_words(queries[:1]), k=10, radius=None)
    with tempfile.TemporaryDirectory() as folder:
        path, added = Path(folder) / "a.index", 0.0
        with create_index(path, n_bits=N_BITS) as index:
            for low in range(0, n, BLOCK):
                codes = codes_of(rng, centers, min(BLOCK, n - low))
                about = [{"path": f"{low + i}.jpg", "labels": [label_of(low + i)]} for i in range(len(codes))]
                added += once(lambda codes=codes, about=about: index.add(codes, metadata=about))["cpu"]
            figures: dict[str, Any] = {"add, an item": added / n, "compact": once(index.compact)["cpu"]}
        sizes = {"file, bytes an item": path, "search file, bytes an item": path.with_name("a.index-search")}
        figures |= {name: file.stat().st_size / n for name, file in sizes.items() if file.exists()}
        figures["open and first search"] = statistics.median(
            once(lambda: open_index(path).search(queries[:1], k=10))["cpu"] for _ in range(ROUNDS)
        )
        with open_index(path) as index:
            figures |= search_figures(index, queries, n)
        figures["peak of the process, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def search_figures(index: Any, queries: np.ndarray, n: int) -> dict[str, float]:
    """Return what searches of an open index cost, and small changes of it."""

    def one(**limits: Any) -> Callable[[int], object]:
        return lambda number: index.search(queries[number % len(queries) :][:1], **limits)

    figures = {f"search, k={k}": seconds(one(k=k)) for k in (1, 10, 1000, 100_000)}
    figures |= {f"search, radius {radius}": seconds(one(k=None, radius=radius)) for radius in (2, 8)}
    for name, _ in LABELS:
        figures[f"search, a label of {name}"] = seconds(one(k=10, where={"labels": name}))
    figures["search, a path"] = seconds(one(k=10, where={"path": f"{n // 2}.jpg"}))
    figures["add one and search"] = seconds(lambda number: (index.add(queries[:1]), one(k=10)(number)))
    figures["search after it"] = seconds(one(k=10))
    return figures


def structure_figures(n: int, threads: list[int]) -> dict[str, Any]:
    """Build the structure of codes in memory; return what building and searching cost."""
    os.environ["NEARBIT_THREADS"] = "1"
    os.environ["NEARBIT_COMPILE"] = "now"
    rng = np.random.default_rng(0)
    centers = rng.random((N_CENTERS, N_BITS)) < 0.5
    warm = build_structure(as_words(codes_of(rng, centers, 200_000)), N_BITS, threads=1)
    own = as_words(codes_of(rng, centers, 64))
    others = rng.integers(0, 2**64, (64, 1), dtype=np.uint64)
    warm.nearest(own, k=10, radius=None)
    words = np.empty((n, 1), np.uint64)
    for low in range(0, n, 1_000_000):
        words[low : low + 1_000_000] = as_words(codes_of(rng, centers, min(1_000_000, n - low)))
    figures: dict[str, Any] = {"load": os.getloadavg()[0]}
    before = resident_mb()
    made: list[Any] = []
    building = once(lambda: made.append(build_structure(words, N_BITS, threads=1)))
    structure, facts = made[0], made[0].describe()
    figures |= {"build": building["cpu"], "bytes an item": facts["bytes"] / n, "distinct": facts["distinct_codes"]}
    figures["codes, MB"], figures["resident after, MB"] = words.nbytes / 1e6, resident_mb() - before
    figures["peak of the process, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for count in threads:
        os.environ["NEARBIT_THREADS"] = str(count)
        for name, queries, plan in (("own", own, None), ("random", others, None), ("scan", others, "scan")):
            figures[f"{name}, single, {count} threads"] = both(structure, [queries[i : i + 1] for i in range(8)], plan)
            figures[f"{name}, batch of 64, {count} threads"] = both(structure, [queries], plan)
    return figures


def both(structure: Any, parts: list[np.ndarray], plan: Any) -> dict[str, float]:
    """Return the median CPU and wall seconds a query."""
    size, rounds = sum(map(len, parts)), []
    for _ in range(ROUNDS + 1):
        taken = once(lambda: [structure.nearest(part, k=100, radius=None, plan=plan) for part in parts])
        rounds.append({unit: value / size for unit, value in taken.items()})
    return {unit: statistics.median(one[unit] for one in rounds[1:]) for unit in ("cpu", "wall")}


def resident_mb() -> float:
    """Return the memory that the process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def exponent(sizes: list[int], values: list[float]) -> float | None:
    """Return the slope of log value over log size, from the first to the last."""
    if len(sizes) < 2 or min(values) <= 0:
        return None
    return math.log(values[-1] / values[0]) / math.log(sizes[-1] / sizes[0])


def show(title: str, by_size: dict[str, dict[str, Any]]) -> None:
    """Print one table, a line an operation, with its exponent."""
    sizes = sorted(map(int, by_size))
    print(f"| {title} | {' | '.join(f'{size:,}' for size in sizes)} | exponent |")
    print(f"|---|{'---|' * (len(sizes) + 1)}")
    for name in by_size[str(sizes[0])]:
        found = [by_size[str(size)].get(name) for size in sizes]
        values = [value["cpu"] if isinstance(value, dict) else value for value in found]
        shown = [f"{v['cpu']:.3g} ({v['wall']:.3g})" if isinstance(v, dict) else f"{v:.3g}" for v in found]
        slope = exponent(sizes, values)
        print(f"| {name} | {' | '.join(shown)} | {'' if slope is None else f'{slope:.2f}'} |", flush=True)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, nargs="*", default=[], help="sizes of index files")
    parser.add_argument("--structure", type=int, nargs="*", default=[], help="sizes of structures in memory")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    jobs = [("file", file_figures, (n,)) for n in options.items]
    jobs += [("structure", structure_figures, (n, options.threads)) for n in options.structure]
    for kind, work, given in jobs:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results.setdefault(kind, {})[str(given[0])] = pool.apply(work, given)
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    for kind, by_size in results.items():
        show(kind, by_size)


if __name__ == "__main__":
    main()
