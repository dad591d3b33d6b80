#!/usr/bin/env python3
"""The whole road on one data set, by the command line alone: split, train, encode, index, search, evaluate.

    python benchmarks/road.py DATA --out results.json [--methods crh csq] [--bits 16 32 64] [--seeds 0 1 2]
                              [--protocol NAME] [-- options of `nearbit train`]

Each command is a process of its own; its wall time and its peak memory are kept. Commands share the cache of features
(NEARBIT_CACHE): the first cell fills it, and times of the others are times with features cached. Cells that the results
file holds already are not run again; a file of other data, protocol or options is refused.

Prints a table with mean and standard deviation over the seeds.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nearbit.files.writing import write_json


def run(*arguments: str) -> tuple[dict[str, Any], float, float]:
    """Run one nearbit command; return its JSON, its wall seconds and its peak memory in MB."""
    command = [sys.executable, "-m", "nearbit", *arguments, "--json"]
    with tempfile.TemporaryFile("w+") as out:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        out.seek(0)
        text = out.read()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}: {text}")
    return json.loads(text), seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def cell(data: str, split: Path, method: str, bits: int, seed: int, extra: list[str], folder: Path) -> dict[str, Any]:
    """Go the road for one method, length and seed; return its figures."""
    model, index, codes = folder / "m.model", folder / "m.index", folder / "m.npz"
    steps: dict[str, tuple[dict[str, Any], float, float]] = {}
    named = ["--method", method, "--bits", str(bits), "--seed", str(seed)]
    steps["train"] = run("train", data, "-o", str(model), "--split", str(split), *named, *extra)
    steps["encode"] = run("encode", str(model), data, "-o", str(codes))
    steps["index"] = run("index", "add", str(index), data, "--model", str(model), "--part", "database")
    steps["search"] = run("search", str(index), "--id", "1", "-k", "100")
    steps["evaluate"] = run("evaluate", str(model), data)
    report = steps["evaluate"][0]
    kept = (
        "tie_aware_map",
        "map_database_order",
        "map_database_order_at_100",
        "map_database_order_at_1000",
        "precision_at_10",
        "distinct_codes",
        "n_query",
        "n_database",
        "split_hash",
        "model_id",
    )
    trained = steps["train"][0]
    return {
        "method": method, "n_bits": bits, "seed": seed, "head": trained["head"],
        "head_candidates": trained["head_candidates"], "selected_epoch": trained["selected_epoch"],
        "validation_map": trained["validation_map"], **{name: report[name] for name in kept},
        "training_seconds": trained["seconds"]["training"], "indexed": steps["index"][0]["items"],
        "seconds": {name: round(step[1], 2) for name, step in steps.items()},
        "peak_mb": {name: round(step[2]) for name, step in steps.items()},
    }  # fmt: skip


def without_folder(word: str) -> str:
    """Return a word of the command line with a path in it cut to its last part: results name no machine's folders."""
    kind, colon, rest = word.rpartition(":")
    return kind + colon + Path(rest).name


def spread(values: list[float]) -> str:
    """Return mean ± standard deviation (of a sample)."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4f} ± {deviation:.4f}"


def show(cells: list[dict[str, Any]]) -> None:
    """Print the table, one line a method and length."""
    print(
        "| method | bits | seeds | mAP@ALL tie-aware | mAP@ALL database order | @1000 | heads | distinct codes | "
        "train s | encode s | index s | evaluate s | peak MB |"
    )
    print("|" + "---|" * 13)
    for method, bits in sorted({(one["method"], one["n_bits"]) for one in cells}):
        some = [one for one in cells if (one["method"], one["n_bits"]) == (method, bits)]
        at_1000 = [one["map_database_order_at_1000"] for one in some if one["map_database_order_at_1000"] is not None]
        times = [
            f"{statistics.mean(one['seconds'][step] for one in some):.1f}"
            for step in ("train", "encode", "index", "evaluate")
        ]
        print(
            f"| {method} | {bits} | {len(some)} | {spread([one['tie_aware_map'] for one in some])} | "
            f"{spread([one['map_database_order'] for one in some])} | {spread(at_1000) if at_1000 else '-'} | "
            f"{', '.join(sorted({one['head'] for one in some}))} | "
            f"{statistics.mean(one['distinct_codes'] for one in some):.0f} | "
            f"{' | '.join(times)} | {max(max(one['peak_mb'].values()) for one in some)} |"
        )


def main() -> None:
    arguments = [*sys.argv[1:], "--"]
    cut = arguments.index("--")
    own, extra = arguments[:cut], arguments[cut + 1 : -1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=["crh", "csq"])
    parser.add_argument("--bits", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--protocol")
    parser.add_argument("--allow-overlap", action="store_true")
    options = parser.parse_args(own)
    known: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {"cells": []}
    about = {
        "data": Path(options.data).name,
        "protocol": options.protocol,
        "train_options": [without_folder(word) for word in extra],
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("nearbit", "torch", "numpy")},
    }
    for name in ("data", "protocol", "train_options"):
        if "about" in known and known["about"][name] != about[name]:
            raise SystemExit(f"{options.out} is of other runs ({name}: {known['about'][name]}): name another --out")
    known["about"] = about
    done = {(one["method"], one["n_bits"], one["seed"]) for one in known["cells"]}
    protocol = ["--protocol", options.protocol] if options.protocol else []
    overlap = ["--allow-overlap"] if options.allow_overlap else []
    for seed in options.seeds:
        for bits in options.bits:
            for method in options.methods:
                if (method, bits, seed) in done:
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    split = Path(folder) / "split.json"
                    run("split", options.data, "-o", str(split), "--seed", str(seed), *protocol, *overlap)
                    one = cell(options.data, split, method, bits, seed, extra, Path(folder))
                known["cells"].append(one)
                write_json(options.out, known, indent=1)
                print(
                    f"{method} {bits} bits seed {seed}: {one['tie_aware_map']:.4f} in "
                    f"{sum(one['seconds'].values()):.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
    show(known["cells"])


if __name__ == "__main__":
    main()
