"""What share of a training step is waiting for images: decoded by threads, or by 1, 2 and 4 processes.

    python benchmarks/pipeline.py FOLDER

The device is simulated: after each batch the loop sleeps for as long as a GPU would compute (40 and 100 ms). 400 images
of the folder (one folder a class) are cut and augmented as in training; decoded in each epoch, and decoded once and
kept (`--keep-decoded`). Waiting is measured by wall time; on a machine that has other work it says little, and the load
average is written beside it. Before, the processor time that one image takes is measured in turns, which other work
hardly changes: from it follows how many cores keep a step fed. About two minutes on two idle cores.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nearbit.datasets import load_dataset
from nearbit.encoding.preprocessing import Preprocessing
from nearbit.training.inputs.batches import PixelInputs
from nearbit.training.inputs.decoded import DecodedParts
from nearbit.training.inputs.feeding import PixelReader, Shown

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def measured(inputs: PixelInputs, batch: int, n_batches: int, step: float) -> dict[str, float]:
    """Return seconds a batch, and the share of them that the loop waited, of an epoch after one that is not counted."""
    rng = np.random.default_rng(0)
    n = len(inputs.parts["train"])
    waited = total = 0.0
    for epoch in (0, 1):
        plan = [rng.integers(0, n, batch) for _ in range(n_batches)]
        waited, begun = 0.0, time.perf_counter()
        batches = inputs.batches(plan, 0, epoch)
        while True:
            asked = time.perf_counter()
            if next(batches, None) is None:
                break
            waited += time.perf_counter() - asked
            time.sleep(step)
        total = time.perf_counter() - begun
    return {
        "seconds_a_batch": total / n_batches,
        "waiting": waited / total,
        "images_a_second": batch * n_batches / total,
    }


def processor_times(readers: dict[str, PixelReader], rows: np.ndarray, rounds: int = 5) -> dict[str, float]:
    """Return the seconds of processor time that an image takes to be read and augmented: the least of the rounds."""
    taken: dict[str, list[float]] = {name: [] for name in readers}
    for epoch in range(rounds):
        for name, reader in readers.items():
            begun = time.process_time()
            for row in rows.tolist():
                reader.read(Shown(row, 0, epoch, 0))
            taken[name].append((time.process_time() - begun) / len(rows))
    return {name: min(seconds) for name, seconds in taken.items()}


def simulated(
    inputs_of: dict[str, PixelInputs], n_workers: int, batch: int, n_batches: int, steps: list[float]
) -> list[dict[str, float | str]]:
    """Print and return a row for each way of reading and each step (milliseconds)."""
    rows: list[dict[str, float | str]] = []
    for step in steps:
        for name, inputs in inputs_of.items():
            load = os.getloadavg()[0]
            found = measured(inputs, batch, n_batches, step / 1000)
            rows.append({"images": name, "step_ms": step, "workers": n_workers, "load": load, **found})
            print("  ".join(f"{key} {value if key == 'images' else f'{value:.3g}'}" for key, value in rows[-1].items()))
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--step", type=float, nargs="+", default=[40, 100], help="Milliseconds of a simulated step.")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/pipeline.json"))
    given = parser.parse_args(arguments)
    dataset = load_dataset(given.folder)
    seen = Preprocessing(size=given.size, resize=given.size * 8 // 7, **IMAGENET)
    reader = PixelReader(dataset.source, dataset.keys, seen, augment=True, mirror=True)
    drawn = np.random.default_rng(0).permutation(len(dataset))[:400]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        source = DecodedParts(dataset.source, Path(folder), 2000).source_of({seen.augment_side: drawn})
        keeping = (time.process_time() - begun) / len(drawn)
        kept_mb = getattr(source, "n_bytes", 0) / len(drawn) / 1e6
        readers = {"anew": reader, "kept": replace(reader, source=source)}
        taken = processor_times(readers, drawn)
        anew, kept = taken["anew"], taken["kept"]
        of_batch = 1000 * anew * given.batch
        print(f"an image takes {1000 * anew:.2f} ms of a core, a batch of {given.batch} {of_batch:.0f} ms")
        print(f"decoded once: {1000 * kept:.2f} ms; {1000 * keeping:.2f} ms and {kept_mb:.2f} MB to keep it")
        rows = []
        for n_workers in given.workers:
            inputs = {
                name: PixelInputs(dataset, one, {"train": drawn}, torch.device("cpu"), n_workers=n_workers)
                for name, one in readers.items()
            }
            rows += simulated(inputs, n_workers, given.batch, given.batches, given.step)
    about = {
        "images": len(dataset),
        "batch": given.batch,
        "size": given.size,
        "read_ms": 1000 * anew,
        "read_kept_ms": 1000 * kept,
        "keep_ms": 1000 * keeping,
        "kept_mb": kept_mb,
        "cores_to_keep_up": {
            name: {f"{step:g} ms": seconds * given.batch / (step / 1000) for step in given.step if step}
            for name, seconds in taken.items()
        },
        "cores": os.cpu_count(),
        "rows": rows,
    }
    given.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
