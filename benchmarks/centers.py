#!/usr/bin/env python3
"""Hash centers by nearbit and by the published procedures: time, minimum distance, semantic loss.

    python benchmarks/centers.py --out benchmarks/results/centers.json [--limit 900] [--classes 10 100] [--bits 16 32]

Each contender runs in a process of its own, one thread, after a small warm-up that compiles its loops; nearbit runs
before and after the published procedure of each cell. What takes longer than --limit seconds is stopped and reported as
such. The published procedures are straight implementations of their equations (benchmarks/centers_published.py). With
--authors FILE, the GenerateSemanticHashCenters.py of a clone of SHC's own repository, that file runs as well, as it is
and with its own start, on 100 classes and 32 bits (about ten minutes). The similarity is that of --similarity FILE.npy,
or of classes in 20 families with noise, made for each number of classes.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.centers import (
    certify,
    gilbert_varshamov_distance,
    mds_centers,
    semantic_by_assignment,
    semantic_centers,
    separated_centers,
)

CLASSES = (10, 100, 196, 555, 1000, 10_000)
BITS = (16, 32, 48, 64, 128)
MOST_PUBLISHED = 196
"""Beyond so many classes the published procedures take hours: they are asked for there only by --published-classes."""
SMALL = (8, 16)


def similarity_of(n_classes: int, file: Path | None) -> np.ndarray:
    """Return the similarity of a file, or that of classes in families: alike inside one, less and less alike beyond."""
    if file is not None:
        return np.load(file, allow_pickle=False)
    rng = np.random.default_rng(n_classes)
    family = np.arange(n_classes) * min(20, max(2, n_classes // 5)) // n_classes
    place = rng.normal(size=(family.max() + 1, 4))[family] + 0.3 * rng.normal(size=(n_classes, 4))
    place /= np.linalg.norm(place, axis=1, keepdims=True)
    matrix = np.clip(place @ place.T + 0.05 * rng.normal(size=(n_classes, n_classes)), -1, 1)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1)
    return matrix


def _separated(n_classes: int, n_bits: int, _: np.ndarray) -> np.ndarray:
    return separated_centers(n_classes, n_bits, np.random.default_rng(0))


def _mds(n_classes: int, n_bits: int, _: np.ndarray) -> np.ndarray:
    return mds_centers(n_classes, n_bits, np.random.default_rng(0))


def _published_mds(n_classes: int, n_bits: int, _: np.ndarray) -> np.ndarray:
    from centers_published import published_mds

    return published_mds(n_classes, n_bits, 40)


def _semantic(n_classes: int, n_bits: int, similarity: np.ndarray) -> np.ndarray:
    return semantic_centers(similarity, n_bits, np.random.default_rng(0))


def _quick_semantic(n_classes: int, n_bits: int, similarity: np.ndarray) -> np.ndarray:
    return semantic_centers(similarity, n_bits, np.random.default_rng(0), effort=0.1)


def _assigned(n_classes: int, n_bits: int, similarity: np.ndarray) -> np.ndarray:
    return semantic_by_assignment(similarity, n_bits, np.random.default_rng(0))


def _published_shc(n_classes: int, n_bits: int, similarity: np.ndarray) -> np.ndarray:
    from centers_published import published_shc

    d = gilbert_varshamov_distance(n_classes, n_bits)
    start = separated_centers(n_classes, n_bits, np.random.default_rng(0), min_distance=d)
    return published_shc(similarity, n_bits, d, start)


def _authors_shc(n_classes: int, n_bits: int, similarity: np.ndarray) -> np.ndarray:
    import torch

    spec = importlib.util.spec_from_file_location("authors", os.environ[AUTHORS])
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    options = argparse.Namespace(code_length=n_bits, num_classes=n_classes, device="cpu", dataset="benchmark")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(sys.stderr):
        found = module.GenerateSemanticHashCenters(options, torch.from_numpy(similarity.astype(np.float32)))
    array = np.asarray(found.detach().cpu() if hasattr(found, "detach") else found)
    return np.where((array if array.shape[0] == n_classes else array.T) >= 0, 1, -1).astype(np.int8)


CONTENDERS: dict[str, Callable[[int, int, np.ndarray], np.ndarray]] = {
    "separated": _separated,
    "mds": _mds,
    "published mds": _published_mds,
    "semantic": _semantic,
    "semantic, a tenth of the effort": _quick_semantic,
    "assigned": _assigned,
    "published shc": _published_shc,
    "authors' shc": _authors_shc,
}
PUBLISHED = ("published mds", "published shc", "authors' shc")
AUTHORS = "NEARBIT_SHC_FILE"
AUTHORS_CELL = (100, 32)
PAIRS = {
    "published mds": ("separated", "mds"),
    "published shc": ("semantic", "semantic, a tenth of the effort", "assigned"),
}


def one(name: str, n_classes: int, n_bits: int, file: Path | None) -> dict[str, Any]:
    """Run one contender in this process and return its times and the certificate of its centers."""
    work = CONTENDERS[name]
    if name not in PUBLISHED:
        work(*SMALL, similarity_of(SMALL[0], None))
    similarity = similarity_of(n_classes, file)
    wall, cpu = time.perf_counter(), time.process_time()
    centers = work(n_classes, n_bits, similarity)
    times = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    about = certify(centers, similarity).to_dict()
    kept = ("min_distance", "mean_distance", "semantic_loss", "mds_objective", "proven_upper_bound", "duplicates")
    return {"seconds": times, **{key: about[key] for key in kept if key in about}}


def apart(name: str, n_classes: int, n_bits: int, file: Path | None, limit: float) -> dict[str, Any]:
    """Run one contender in a process of its own; say so where it takes too long."""
    command = [sys.executable, __file__, "--one", name, str(n_classes), str(n_bits)]
    command += ["--similarity", str(file)] if file else []
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"stopped_after_seconds": limit}
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def cell(n_classes: int, n_bits: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run everyone on one number of classes and of bits: nearbit, the published procedure, nearbit again."""
    rows = []
    for published, ours in PAIRS.items():
        order = [*ours]
        if n_classes <= options.published_classes:
            order += [published, *ours]
        if options.authors and published == "published shc" and (n_classes, n_bits) == AUTHORS_CELL:
            order += ["authors' shc", *ours]
        for name in order:
            result = apart(name, n_classes, n_bits, options.similarity, options.limit)
            rows.append({"who": name, "classes": n_classes, "bits": n_bits, **result})
            print(line_of(rows[-1]), flush=True)
    return rows


def line_of(row: dict[str, Any]) -> str:
    """Return one row in words."""
    start = f"{row['classes']:6} classes {row['bits']:4} bits  {row['who']:31}"
    if "seconds" not in row:
        return f"{start} {row.get('failed') or 'stopped after {:g} s'.format(row['stopped_after_seconds'])}"
    loss = row.get("semantic_loss")
    return (
        f"{start} {row['seconds']['cpu']:9.3f} s CPU  minimum distance {row['min_distance']:3} (at most "
        f"{row['proven_upper_bound']})  semantic loss {'-' if loss is None else format(loss, '.4f')}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--limit", type=float, default=900, help="seconds that one contender may take")
    parser.add_argument("--classes", type=int, nargs="+", default=CLASSES)
    parser.add_argument("--bits", type=int, nargs="+", default=BITS)
    parser.add_argument("--published-classes", type=int, default=MOST_PUBLISHED)
    parser.add_argument("--similarity", type=Path, help="one for all cells; --classes must be its size")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--authors", type=Path, help="GenerateSemanticHashCenters.py of SHC's repository")
    options = parser.parse_args(arguments)
    if options.authors:
        os.environ[AUTHORS] = str(options.authors.absolute())
    if options.one:
        name, n_classes, n_bits = options.one
        print(json.dumps(one(name, int(n_classes), int(n_bits), options.similarity)))
        return
    rows = [row for n_classes in options.classes for n_bits in options.bits for row in cell(n_classes, n_bits, options)]
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
