"""Encoding of shards: images a second with 1 and 2 workers, plainly and by Ray, and the share that the engine costs.

    OMP_NUM_THREADS=1 NEARBIT_THREADS=1 python benchmarks/shards.py MODEL IMAGES

MODEL is a model folder, IMAGES a folder of photographs; they are written into shards first. Each way encodes all of
them in turn, `--rounds` times. CPU seconds are those of the command with all its children, as the system counts them
(of Ray, whose daemons start the workers and are killed, they are not complete: there the wall time counts). "bare" is a
loop over the same image files with an open model: what the others exceed it by is what starting, shards, files of codes
and the engine cost. "again" is the same command once more, when nothing is missing.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

WAYS = {
    "bare": [], "plain 1": ["--workers", "1"], "plain 2": ["--workers", "2"],
    "ray 1": ["--engine", "ray", "--workers", "1"], "ray 2": ["--engine", "ray", "--workers", "2"],
}  # fmt: skip
BARE = """
import sys, time
from pathlib import Path
from nearbit.model.load import load_for_queries
model = load_for_queries(sys.argv[1], device="cpu")
paths = [Path(line) for line in Path(sys.argv[2]).read_text().splitlines()]
began, cpu = time.perf_counter(), time.process_time()
for start in range(0, len(paths), 2048):
    model.outputs(paths[start : start + 2048], device="cpu")
print(time.perf_counter() - began, time.process_time() - cpu)
"""
"""The same images encoded by a loop, from their files, in one process; the model is open when the clock starts."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--per-shard", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "shards.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        n_images = write_shards(place / "shards", given.images, given.shards, given.per_shard)
        rounds = [{way: measured(way, given.model, place) for way in WAYS} for _ in range(given.rounds)]
    about = {
        "images": n_images,
        "shards": given.shards,
        "cores": len(os.sched_getaffinity(0)),
    }
    table = summary(rounds, n_images)
    print("\n".join(lines(table)))
    given.out.write_text(json.dumps(about | {"rounds": rounds, "summary": table}, indent=1) + "\n", encoding="utf-8")


def write_shards(folder: Path, images: Path, n_shards: int, per_shard: int) -> int:
    """Write photographs, over and over where there are too few, into tars; return how many."""
    found = sorted(file for file in images.resolve().rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not found:
        raise SystemExit(f"{images} holds no photographs (.jpg, .jpeg, .png)")
    files = [found[row % len(found)].absolute() for row in range(n_shards * per_shard)]
    folder.mkdir()
    for shard in range(n_shards):
        with tarfile.open(folder / f"{shard:04d}.tar", "w") as archive:
            for row, file in enumerate(files[shard * per_shard : (shard + 1) * per_shard]):
                archive.add(file, f"{row:05d}{file.suffix.lower()}")
    (folder.parent / "files.txt").write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
    return len(files)


def measured(way: str, model: Path, place: Path) -> dict[str, float]:
    """Run one way from an empty folder, and then on the complete one; return seconds of both."""
    shutil.rmtree(place / "codes", ignore_errors=True)
    if way == "bare":
        bare = [sys.executable, "-c", BARE, str(model), str(place / "files.txt")]
        out = subprocess.run(bare, capture_output=True, text=True, check=True)
        wall, cpu = map(float, out.stdout.split())
        return {"wall": wall, "cpu": cpu}
    command = [sys.executable, "-m", "nearbit", "encode", model, place / "shards", "-o", place / "codes", *WAYS[way]]
    wall, cpu = timed([*command, "--device", "cpu"])
    again, again_cpu = timed([*command, "--device", "cpu"])
    return {"wall": wall, "cpu": cpu, "again_wall": again, "again_cpu": again_cpu}


def timed(command: list[object]) -> tuple[float, float]:
    """Return wall and CPU seconds of a command with its children (those of Ray's daemons are not among them)."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def summary(rounds: list[dict[str, dict[str, float]]], n_images: int) -> dict[str, dict[str, float]]:
    """Return medians over the rounds, images a second, and what each way takes beyond the bare encoding."""
    table = {}
    for way in WAYS:
        median = {name: statistics.median(one[way][name] for one in rounds) for name in rounds[0][way]}
        table[way] = median | {"images_per_second": n_images / median["wall"]}
    for way in WAYS:
        table[way]["cpu_over_bare"] = table[way]["cpu"] / table["bare"]["cpu"]
    return table


def lines(table: dict[str, dict[str, float]]) -> list[str]:
    """Return the table as text."""
    rows = [f"{'way':10}{'wall s':>9}{'CPU s':>9}{'images/s':>10}{'CPU/bare':>10}{'again s':>9}"]
    for way, one in table.items():
        cells = f"{one['wall']:9.1f}{one['cpu']:9.1f}{one['images_per_second']:10.1f}{one['cpu_over_bare']:10.2f}"
        rows.append(f"{way:10}{cells}{one.get('again_wall', 0):9.1f}")
    return rows


if __name__ == "__main__":
    main()
