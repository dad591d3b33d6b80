#!/usr/bin/env python3
"""What the first commands after an installation cost, with no machine code kept, beside the same ones when all is warm.

    python benchmarks/first_search.py [--items 1000000] [--bits 64] [--queries 1000] [--rounds 5] [--out FILE]

Every command runs in a process of its own; counted is its processor time (user and system, of the child), which is what
a user waits for on a machine with nothing else to do. Each round runs the commands cold, with an empty folder for
numba, and warm, with one that `nearbit warm` filled, one after the other; the table has the medians. "compiled" is
`NEARBIT_COMPILE=now`, which is how nearbit worked before: kernels before the first answer. One thread everywhere.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from nearbit.files.writing import write_json
from nearbit.index import create_index

CLUSTERS = 1000
FLIPPED = 0.05


def main(arguments: list[str] | None = None) -> None:
    """Measure, print a table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--queries", type=int, default=1000, help="of the evaluation")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given, Path(folder))
    print(f"{'CPU seconds (median)':28} {'cold':>8} {'warm':>8} {'cold, compiled first':>22}")
    for name, own in found.items():
        print(f"{name:28} {own['cold']:8.2f} {own['warm']:8.2f} {own['compiled']:22.2f}")
    if given.out is not None:
        about = {"items": given.items, "bits": given.bits, "rounds": given.rounds, "python": sys.version.split()[0]}
        write_json(given.out, {"about": about, "cpu_seconds": found})


def measure(given: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Return the medians of each command: cold, warm, and cold with kernels before the answer (once)."""
    index, codes = folder / "some.index", folder / "codes.npz"
    make(given, index, codes)
    commands = {
        "nearbit --help": ["--help"],
        "nearbit search --id": ["search", str(index), "--id", "5"],
        "nearbit search --label": ["search", str(index), "--id", "5", "--label", "class-7"],
        "nearbit evaluate --codes": ["evaluate", "--codes", str(codes)],
        "nearbit index compact": ["index", "compact", str(index)],
    }
    warm = folder / "warm"
    run(["warm"], warm)
    rounds: dict[str, dict[str, list[float]]] = {name: {"cold": [], "warm": []} for name in commands}
    for number in range(given.rounds):
        for name, command in commands.items():
            rounds[name]["cold"].append(run(command, folder / f"cold-{number}"))
            rounds[name]["warm"].append(run(command, warm))
    found = {name: {kind: statistics.median(own) for kind, own in kinds.items()} for name, kinds in rounds.items()}
    for name, command in commands.items():
        found[name]["compiled"] = run(command, folder / "now", "now")
        shutil.rmtree(folder / "now", ignore_errors=True)
    return found


def make(given: argparse.Namespace, index: Path, codes: Path) -> None:
    """Write an index of codes near centers, with labels, and an evaluation of some of them."""
    rng = np.random.default_rng(0)
    centers = rng.random((CLUSTERS, given.bits)) < 0.5
    labels = rng.integers(0, CLUSTERS, given.items)
    step = 100_000
    with create_index(index, n_bits=given.bits) as made:
        for start in range(0, given.items, step):
            own = labels[start : start + step]
            part = np.packbits(centers[own] ^ (rng.random((len(own), given.bits)) < FLIPPED), axis=1)
            made.add(part, metadata=[{"labels": [f"class-{number}"]} for number in own])
        packed = made.codes()[1]
    n_database = min(len(packed), 100_000)
    np.savez(
        codes, query_codes=packed[: given.queries], query_labels=labels[: given.queries],
        database_codes=packed[:n_database], database_labels=labels[:n_database], n_bits=given.bits,
    )  # fmt: skip


def run(command: list[str], cache: Path, mode: str = "auto") -> float:
    """Return the processor time of one command in a process of its own, in seconds."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "NEARBIT_COMPILE": mode, "NEARBIT_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "nearbit", *command], env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
