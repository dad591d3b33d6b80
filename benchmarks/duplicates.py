#!/usr/bin/env python3
"""All pairs of codes within a radius, and the groups they join: nearbit beside brute force by faiss and by NumPy.

    python benchmarks/duplicates.py [--items 10000 100000 1000000] [--radius 3] [--codes codes-1000000.npz] [--out FILE]

Codes of 64 bits: uniform ones, ones around 1,000 centers with 2 or 5 % of the bits flipped, and, of --codes, those of a
trained network (an .npz with database_codes and n_bits, as benchmarks/trained_codes.py makes it). nearbit builds its
structure anew and finds all groups; its pairs of distinct codes are found once more to be counted. Brute force is a
range search by faiss (IndexBinaryFlat) and NumPy's XOR and popcount, for a sample of the codes against all: it is
proportional to the sample, and the time of the whole is that of the sample times items / sample. For the sample all
sides must find the same number of neighbors. CPU seconds of one thread; the median of --rounds, sides in turns. The
exponent is the slope of log time over log items: 1 grows with the items, 2 with their square.
"""

import argparse
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("NEARBIT_THREADS", "1")
os.environ.setdefault("NEARBIT_COMPILE", "now")

import numpy as np

from nearbit.codes import as_words
from nearbit.files.writing import write_json
from nearbit.index.engine.near_pairs import near_pairs, with_distinct_places
from nearbit.index.engine.structure import build_structure
from nearbit.index.grouping import groups
from nearbit.index.live.snapshot import snapshot_of

N_BITS = 64
N_CENTERS = 1000
KINDS = {"uniform": 0.5, "clusters, 2 %": 0.02, "clusters, 5 %": 0.05}


def make(noise: float, n: int) -> np.ndarray:
    """Return codes uint8 `(n, 8)`: around centers, each bit flipped with a probability; uniform for a half."""
    rng = np.random.default_rng(0)
    centers = rng.random((N_CENTERS, N_BITS)) < 0.5
    blocks = []
    for start in range(0, n, 100_000):
        size = min(100_000, n - start)
        flipped = rng.random((size, N_BITS)) < noise
        blocks.append(np.packbits(centers[rng.integers(0, N_CENTERS, size)] ^ flipped, axis=1))
    return np.concatenate(blocks)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of some work, and what it returned."""
    began = time.process_time()
    value = work()
    return time.process_time() - began, value


def found_groups(codes: np.ndarray, n_bits: int, radius: int) -> Any:
    """Return the groups, from codes alone: the structure is built, too."""
    ids = np.arange(len(codes), dtype=np.int64)
    return groups(snapshot_of(ids, codes, n_bits), radius)


def by_faiss(codes: np.ndarray, sample: np.ndarray, radius: int) -> Callable[[], int] | None:
    """Return a range search by faiss that counts neighbors; None where faiss is missing."""
    try:
        import faiss
    except ImportError:
        return None
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexBinaryFlat(8 * codes.shape[1])
    flat.add(codes)
    return lambda: int(flat.range_search(sample, radius + 1)[0][-1])


def by_numpy(words: np.ndarray, sample: np.ndarray, radius: int) -> Callable[[], int]:
    """Return a scan by NumPy that counts neighbors."""
    columns, queries = np.ascontiguousarray(words.T), as_words(sample)

    def count() -> int:
        total = 0
        for query in queries:
            away = np.bitwise_count(columns[0] ^ query[0]).astype(np.uint16)
            for word in range(1, len(columns)):
                away += np.bitwise_count(columns[word] ^ query[word])
            total += int((away <= radius).sum())
        return total

    return count


def measure(codes: np.ndarray, n_bits: int, radius: int, rounds: int, sample_size: int) -> dict[str, Any]:
    """Return times and counts of one set of codes."""
    words, rng = as_words(codes), np.random.default_rng(1)
    rows = np.sort(rng.choice(len(codes), min(sample_size, len(codes)), replace=False))
    sample = np.ascontiguousarray(codes[rows])
    sides: dict[str, Callable[[], Any]] = {"nearbit": lambda: found_groups(codes, n_bits, radius)}
    sides["numpy"] = by_numpy(words, sample, radius)
    flat = by_faiss(codes, sample, radius)
    if flat is not None:
        sides["faiss"] = flat
    times: dict[str, list[float]] = {name: [] for name in sides}
    values: dict[str, Any] = {}
    for _ in range(rounds):
        for name, work in sides.items():
            seconds, values[name] = timed(work)
            times[name].append(seconds)
    structure = build_structure(words, n_bits)
    layout = with_distinct_places(structure, words)
    counted = structure.nearest(as_words(sample), k=None, radius=radius).sizes.sum()
    for name in sides.keys() - {"nearbit"}:
        if values[name] != counted:
            raise SystemExit(f"{name} finds {values[name]} neighbors of the sample, nearbit {counted}")
    seconds, pairs = timed(lambda: sum(len(found.first) for found in near_pairs(layout, n_bits, radius)))
    whole = len(codes) / len(sample)
    medians = {name: statistics.median(own) * (1 if name == "nearbit" else whole) for name, own in times.items()}
    return {
        "items": len(codes), "n_bits": n_bits, "radius": radius, "distinct_codes": layout.n_places,
        "layout": layout.kind, "near_pairs_of_distinct_codes": pairs, "pairs_seconds": seconds,
        "groups": len(values["nearbit"]), "items_in_groups": len(values["nearbit"].ids),
        "largest_group": int(np.diff(values["nearbit"].offsets).max(initial=0)), "sample": len(sample),
        "neighbors_of_sample": int(counted), "rounds_seconds": times, "seconds": medians,
        "times_faster_than": {name: own / medians["nearbit"] for name, own in medians.items() if name != "nearbit"},
    }  # fmt: skip


def exponents(runs: dict[str, list[dict[str, Any]]]) -> dict[str, float | None]:
    """Return the slope of log time over log items between the smallest and the largest size of each set."""
    slopes: dict[str, float | None] = {}
    for name, own in runs.items():
        first, last = own[0], own[-1]
        if last["items"] > first["items"]:
            ratio = last["seconds"]["nearbit"] / max(first["seconds"]["nearbit"], 1e-9)
            slopes[name] = math.log(ratio) / math.log(last["items"] / first["items"])
    return slopes


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--radius", type=int, default=3)
    parser.add_argument("--codes", type=Path, help="an .npz with database_codes and n_bits")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/duplicates.json"))
    options = parser.parse_args(arguments)
    runs: dict[str, list[dict[str, Any]]] = {}
    sets: list[tuple[str, np.ndarray, int]] = [
        (name, make(noise, n), N_BITS) for name, noise in KINDS.items() for n in sorted(options.items)
    ]
    if options.codes is not None:
        with np.load(options.codes) as held:
            codes, n_bits = held["database_codes"], int(held["n_bits"])
        shuffled = np.random.default_rng(0).permutation(len(codes))
        sets += [("trained", codes[shuffled[:n]], n_bits) for n in sorted(options.items) if n <= len(codes)]
    found_groups(make(0.02, 20_000), N_BITS, options.radius)  # kernels are compiled and loaded
    for name, codes, n_bits in sets:
        run = measure(codes, n_bits, options.radius, options.rounds, options.sample)
        runs.setdefault(name, []).append(run)
        others = "  ".join(
            f"{other} {run['seconds'][other]:.4g} s ({ratio:.3g}x)" for other, ratio in run["times_faster_than"].items()
        )
        print(
            f"{name:14} {run['items']:>9} items {run['distinct_codes']:>8} distinct {run['groups']:>7} groups "
            f"(largest {run['largest_group']})  nearbit {run['seconds']['nearbit']:.4g} s  {others}",
            flush=True,
        )
    slopes = exponents(runs)
    print("exponents:", ", ".join(f"{name} {value:.2f}" for name, value in slopes.items() if value is not None))
    about = {"python": platform.python_version(), "numpy": version("numpy"), "processor": platform.processor()}
    write_json(options.out, {"about": about, "radius": options.radius, "runs": runs, "exponents": slopes})


if __name__ == "__main__":
    main()
