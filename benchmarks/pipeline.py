"""What share of a training step is waiting for images: decoded by threads, or by 1, 2 and 4 processes, or by torch.

    python benchmarks/pipeline.py FOLDER

The device is simulated: after each batch the loop sleeps for as long as a GPU would compute (40 and 100 ms). 400 images
of the folder (one folder a class) are cut and augmented as in training; decoded in each epoch, and decoded once and
kept (`--keep-decoded`). Beside them the simplest loop that a user would write: torch's DataLoader around Pillow, with
the same crops and mirroring, the same number of processes and as many batches ahead. Waiting is measured by wall time;
on a machine that has other work it says little, and the load average is written beside it. Before, the processor time
that one image takes is measured in turns, which other work hardly changes: from it follows how many cores keep a step
fed. About three minutes on two idle cores.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from nearbit.datasets import load_dataset
from nearbit.encoding.preprocessing import Preprocessing
from nearbit.training.inputs.batches import PixelInputs
from nearbit.training.inputs.decoded import DecodedParts
from nearbit.training.inputs.feeding import PREFETCHED, PixelReader, Shown

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


class Inputs(Protocol):
    """What is measured: `PixelInputs`, or the bare loop."""

    def batches(self, batches: Any, seed: int, epoch: int) -> Iterator[torch.Tensor]: ...


@dataclass(frozen=True)
class BareImages(torch.utils.data.Dataset[torch.Tensor]):
    """What a user would write around Pillow."""

    paths: list[str]
    size: int

    def __getitem__(self, place: int) -> torch.Tensor:
        side = self.size * 8 // 7
        with Image.open(self.paths[place]) as opened:
            image = opened.convert("RGB")
        scale = side / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
        left, top = random.randint(0, image.width - self.size), random.randint(0, image.height - self.size)
        image = image.crop((left, top, left + self.size, top + self.size))
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


class BareLoop:
    """torch's DataLoader over them, its processes kept from one epoch to the next."""

    def __init__(self, images: BareImages, n_workers: int) -> None:
        self.images, self.n_workers, self.plan = images, n_workers, list[Any]()
        ahead = {"prefetch_factor": PREFETCHED, "persistent_workers": True, "multiprocessing_context": "fork"}
        self.loader = torch.utils.data.DataLoader(
            images, batch_sampler=self.plan, num_workers=n_workers, **(ahead if n_workers else {})
        )

    def batches(self, batches: Any, seed: int, epoch: int) -> Iterator[torch.Tensor]:
        self.plan[:] = [batch.tolist() for batch in batches]
        return iter(self.loader)


def measured(inputs: Inputs, n: int, batch: int, n_batches: int, step: float) -> dict[str, float]:
    """Return seconds a batch, and the share of them that the loop waited, of an epoch after one that is not counted."""
    rng = np.random.default_rng(0)
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


def processor_times(reads: dict[str, Callable[[int, int], object]], n: int, rounds: int = 5) -> dict[str, float]:
    """Return the seconds of processor time that an image takes to be read and augmented: the least of the rounds."""
    taken: dict[str, list[float]] = {name: [] for name in reads}
    for epoch in range(rounds):
        for name, read in reads.items():
            begun = time.process_time()
            for place in range(n):
                read(place, epoch)
            taken[name].append((time.process_time() - begun) / n)
    return {name: min(seconds) for name, seconds in taken.items()}


def _read(reader: PixelReader, rows: np.ndarray, place: int, epoch: int) -> object:
    return reader.read(Shown(int(rows[place]), 0, epoch, 0))


def simulated(
    inputs_of: dict[str, Inputs], n: int, n_workers: int, batch: int, n_batches: int, steps: list[float]
) -> list[dict[str, float | str]]:
    """Print and return a row for each way of reading and each step (milliseconds)."""
    rows: list[dict[str, float | str]] = []
    for step in steps:
        for name, inputs in inputs_of.items():
            load = os.getloadavg()[0]
            found = measured(inputs, n, batch, n_batches, step / 1000)
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
    paths = [str(given.folder / dataset.keys[row]) for row in drawn]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        source = DecodedParts(dataset.source, Path(folder), 2000).source_of({seen.augment_side: drawn})
        keeping = (time.process_time() - begun) / len(drawn)
        kept_mb = getattr(source, "n_bytes", 0) / len(drawn) / 1e6
        readers = {"anew": reader, "kept": replace(reader, source=source)}
        bare = BareImages(paths, given.size)
        reads: dict[str, Callable[[int, int], object]] = {
            name: partial(_read, reader, drawn) for name, reader in readers.items()
        }
        taken = processor_times({**reads, "bare loop": lambda place, epoch: bare[place]}, len(drawn))
        anew, kept = taken["anew"], taken["kept"]
        of_batch = 1000 * anew * given.batch
        print(f"an image takes {1000 * anew:.2f} ms of a core, a batch of {given.batch} {of_batch:.0f} ms")
        print(f"by the bare loop {1000 * taken['bare loop']:.2f} ms")
        print(f"decoded once: {1000 * kept:.2f} ms; {1000 * keeping:.2f} ms and {kept_mb:.2f} MB to keep it")
        rows = []
        for n_workers in given.workers:
            inputs: dict[str, Inputs] = {
                name: PixelInputs(dataset, one, {"train": drawn}, torch.device("cpu"), n_workers=n_workers)
                for name, one in readers.items()
            }
            inputs["bare loop"] = BareLoop(bare, n_workers)
            rows += simulated(inputs, len(drawn), n_workers, given.batch, given.batches, given.step)
    about = {
        "images": len(dataset),
        "batch": given.batch,
        "size": given.size,
        "read_ms": 1000 * anew,
        "read_kept_ms": 1000 * kept,
        "read_bare_ms": 1000 * taken["bare loop"],
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
