#!/usr/bin/env python3
"""Filling an index: what adding many items takes until they are found, and what opening and adding a few takes then.

    python benchmarks/fill.py FOLDER --items 10000000 --out benchmarks/results/fill.json [--bare]

Codes of 64 bits around 1,000 centers with 2 % of bits flipped; a path and one of 1,000 labels an item, unless --bare.
FOLDER needs 3 GB; the index is removed at the end.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.index import create_index, open_index

N_BITS = 64
CALL = 100_000
FEW = 1000


def codes_of(n: int, rng: np.random.Generator, centers: np.ndarray) -> np.ndarray:
    """Return codes around centers."""
    flips = np.packbits(rng.random((n, N_BITS), dtype=np.float32) < 0.02, axis=1)
    return np.asarray(centers[rng.integers(0, len(centers), n)] ^ flips)


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """Return the wall and CPU seconds of some work."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall": round(time.perf_counter() - wall, 4), "cpu": round(time.process_time() - cpu, 4)}


def main() -> None:
    """Fill, search, open again, add a few."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rng, path = np.random.default_rng(0), options.folder / "fill.index"
    centers = rng.integers(0, 256, (1000, N_BITS // 8), dtype=np.uint8)
    query, few = codes_of(1, rng, centers), codes_of(FEW, rng, centers)
    taken: dict[str, Any] = {"items": options.items, "bare": options.bare, "making codes and metadata": 0.0}

    def fill() -> None:
        with index.writing():
            for start in range(0, options.items, CALL):
                began = time.process_time()
                n = min(CALL, options.items - start)
                codes, labels = codes_of(n, rng, centers), rng.integers(0, 1000, n).tolist()
                metadata = None
                if not options.bare:
                    metadata = [
                        {"path": f"images/{start + row:08}.jpg", "labels": [f"class {label}"]}
                        for row, label in enumerate(labels)
                    ]
                taken["making codes and metadata"] += time.process_time() - began
                index.add(codes, metadata=metadata)

    with create_index(path, N_BITS) as index:
        taken["add all"] = measured(fill)
        taken["build the search structure and write its cache"] = measured(index.compact)
        taken["first search"] = measured(lambda: index.search(query, k=100))
        taken["search"] = measured(lambda: index.search(query, k=100))
        taken["add a few until they are found"] = measured(lambda: (index.add(few), index.search(few[:1], k=10)))
    taken["file bytes"] = path.stat().st_size
    opened = []
    taken["open and search"] = measured(lambda: opened.append(open_index(path)) or opened[0].search(query, k=100))
    opened[0].close()
    taken["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    for file in options.folder.glob("fill.index*"):
        file.unlink()
    print(json.dumps(taken, indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(taken, indent=1) + "\n")


if __name__ == "__main__":
    main()
