"""Images a second of whole networks in training, and how busy the GPU is: nearbit beside a bare loop and a bare step.

    python benchmarks/gpu.py FOLDER --backbones resnet34 hf:MOBILENET --side 400

The images of the folder (one folder a class) are written anew with a shorter side of `--side` pixels, as photographs
have, and cut and augmented to `--size`. By CSQ's loss, in bfloat16 on a GPU that has it, the same layers, batches and
optimizer (fused Adam) are trained by

- a bare step: one batch that lies on the GPU, again and again; nothing is read. No loop can be faster.
- a bare loop: torch's DataLoader around Pillow with as many processes, pinned memory and copies that do not wait; what
  a user would write by hand, with channels last.
- `nearbit.train`: images decoded by threads; by processes (`--workers`); decoded once and kept; and compiled besides.

The median of the epochs after the first two counts. How busy the GPU is, says nvidia-smi, every fifth of a second.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import nearbit as nb
from nearbit.centers import random_signs
from nearbit.datasets import Dataset, load_dataset
from nearbit.encoding.preprocessing import Preprocessing
from nearbit.encoding.torch_backend import find_device
from nearbit.losses import central_similarity, quantization
from nearbit.networks import make_backbone
from nearbit.training import Callbacks, TrainOptions
from training import all_of

N_BITS = 32
KEPT_MB = 8000
"""Megabytes of decoded images that are kept where they are decoded once."""
OURS: dict[str, dict[str, Any]] = {
    "nearbit, threads": {"workers": 0},
    "nearbit, processes": {},
    "nearbit, decoded once": {"keep_decoded": KEPT_MB},
    "nearbit, decoded once, compiled": {"keep_decoded": KEPT_MB, "compile": True},
}
"""Ways of training by nearbit: what each changes of the options."""
WAYS = ("bare step", "bare loop", *OURS)
WARM_UP = 2


@dataclass
class Gauge:
    """What nvidia-smi said, with when: the share of time in which the GPU computed, of 100, and its watts."""

    rows: list[tuple[float, float, float]] = field(default_factory=list)

    def mean(self, begun: float, ended: float) -> dict[str, float | None]:
        """Return the means between two times; None where nothing was said."""
        within = [row[1:] for row in self.rows if begun <= row[0] <= ended]
        busy, watts = zip(*within, strict=True) if within else ([], [])
        return {"busy": statistics.mean(busy) if busy else None, "watts": statistics.mean(watts) if watts else None}


@contextmanager
def gauged() -> Iterator[Gauge]:
    """Ask nvidia-smi all the time; where there is none, nothing is said."""
    gauge, tool = Gauge(), shutil.which("nvidia-smi")
    if tool is None:
        yield gauge
        return
    asked = [tool, "--query-gpu=utilization.gpu,power.draw", "--format=csv,noheader,nounits", "-lms", "200"]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as process:

        def listen() -> None:
            for line in process.stdout or ():
                busy, watts = line.split(",")
                gauge.rows.append((time.monotonic(), float(busy), float(watts)))

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield gauge
        finally:
            process.terminate()
            listener.join()


def _write_at(side: int, paths: tuple[Path, Path]) -> None:
    """Write an image anew with that shorter side."""
    with Image.open(paths[0]) as opened:
        image = opened.convert("RGB")
    scale = side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    image.save(paths[1], quality=92)


def written_anew(dataset: Dataset, folder: Path, into: Path, side: int, n: int) -> list[Path]:
    """Write n images of a folder, drawn from all, into another one, in folders by class."""
    drawn = np.sort(np.random.default_rng(0).permutation(len(dataset))[:n])
    pairs = [(folder / dataset.keys[row], into / dataset.keys[row]) for row in drawn]
    for _, path in pairs:
        path.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_write_at, side), pairs, chunksize=32))
    return [path for _, path in pairs]


@dataclass(frozen=True)
class BareImages(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """What a user would write around Pillow."""

    paths: list[str]
    classes: list[int]
    size: int

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[place]) as opened:
            image = opened.convert("RGB")
        side = round(min(image.size) * random.uniform(0.7, 1))
        left, top = random.randint(0, image.width - side), random.randint(0, image.height - side)
        box = (left, top, left + side, top + side)
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1), self.classes[place]


class BareTraining:
    """The network, the loss and the step that one writes by hand."""

    def __init__(self, backbone: str, size: int, n_classes: int, device: torch.device) -> None:
        torch.manual_seed(0)
        made = make_backbone(backbone, image_size=size)
        assert isinstance(made.preprocessing, Preprocessing)  # noqa: S101 - a network of images
        self.device = device
        self.module = nn.Sequential(made.module, nn.Linear(made.spec.feature_dim, N_BITS)).to(device)
        self.module.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean, self.std = (
            255 * torch.tensor(values, device=device).view(3, 1, 1)
            for values in (made.preprocessing.mean, made.preprocessing.std)
        )
        self.centers = torch.from_numpy(random_signs((n_classes, N_BITS), np.random.default_rng(1))).float().to(device)
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=1e-4, weight_decay=1e-5, fused=True)

    def step(self, pixels: Tensor, classes: Tensor) -> None:
        """Take one."""
        images = ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            outputs = self.module(images).float()
        loss = central_similarity(outputs, self.centers[classes]) + 0.05 * quantization(outputs)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def wait(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def bare_step(training: BareTraining, batch: int, size: int, n_classes: int, n_steps: int, epochs: int) -> list[float]:
    """Return when each epoch of bare steps ended, the beginning first."""
    pixels = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, device=training.device)
    classes = torch.randint(0, n_classes, (batch,), device=training.device)
    ended = [time.monotonic()]
    for _ in range(epochs):
        for _ in range(n_steps):
            training.step(pixels, classes)
        training.wait()
        ended.append(time.monotonic())
    return ended


def bare_loop(training: BareTraining, images: BareImages, batch: int, n_workers: int, epochs: int) -> list[float]:
    """Return when each epoch of the bare loop ended, the beginning first."""
    of_processes: dict[str, Any] = {"prefetch_factor": 4, "persistent_workers": True} if n_workers else {}
    on_gpu = training.device.type == "cuda"
    loader = torch.utils.data.DataLoader(
        images, batch, shuffle=True, num_workers=n_workers, pin_memory=on_gpu, drop_last=True, **of_processes
    )
    ended = [time.monotonic()]
    for _ in range(epochs):
        for pixels, classes in loader:
            moved = pixels.to(training.device, non_blocking=True), classes.to(training.device, non_blocking=True)
            training.step(*moved)
        training.wait()
        ended.append(time.monotonic())
    return ended


def ours(dataset: Dataset, options: TrainOptions, cache: Path) -> list[float]:
    """Return when each epoch of `nearbit.train` ended, the beginning first."""
    ended = [time.monotonic()]
    after = Callbacks(epoch=lambda name, figures: ended.append(time.monotonic()))
    nb.train(dataset, all_of(dataset), method="csq", n_bits=N_BITS, options=options, cache=cache, callbacks=after)
    return ended


def measured(name: str, n: int, run: Callable[[], list[float]]) -> dict[str, Any]:
    """Run and return images a second, and how busy the GPU was, of the epochs after the first two."""
    with gauged() as gauge:
        begun = time.monotonic()
        try:
            ended = run()
        except nb.NearbitError as error:
            print(f"{name}: {error}")
            return {"what": name, "refused": str(error)}
    rates = [n / (after - before) for before, after in pairwise(ended)]
    of_gpu = gauge.mean(ended[WARM_UP], ended[-1])
    row = {
        "what": name,
        "images_a_second": statistics.median(rates[WARM_UP:]),
        **of_gpu,
        "start_s": ended[1] - begun,
        "rates": rates,
    }
    busy = "" if of_gpu["busy"] is None else f", GPU busy {of_gpu['busy']:.0f} %, {of_gpu['watts']:.0f} W"
    print(f"{name}: {row['images_a_second']:.0f} images a second{busy}; first epoch {row['start_s']:.1f} s", flush=True)
    return row


def compared(backbone: str, given: argparse.Namespace, folder: Path, device: torch.device) -> list[dict[str, Any]]:
    """Measure each way of training one backbone on the images of a folder."""
    dataset = load_dataset(folder)
    classes = dataset.labels.argmax(axis=1).tolist()
    images = BareImages([str(folder / key) for key in dataset.keys], classes, given.size)
    n_steps, n_classes = len(dataset) // given.batch, dataset.n_classes
    epochs = given.epochs + WARM_UP
    usual = TrainOptions(
        backbone=backbone,
        image_size=given.size,
        regime="auto" if backbone in nb.networks.BUILT_IN else "fine-tuned",
        head="linear",
        epochs=epochs,
        batch_size=given.batch,
        learning_rate=1e-4,
        optimizer="adam",
        select="last",
        workers=given.workers,
        keep_decoded=0,
        device=given.device,
    )
    bare = partial(BareTraining, backbone, given.size, n_classes, device)
    runs: dict[str, Callable[[], list[float]]] = {
        "bare step": lambda: bare_step(bare(), given.batch, given.size, n_classes, n_steps, epochs),
        "bare loop": lambda: bare_loop(bare(), images, given.batch, given.workers, epochs),
    }
    for name, changed in OURS.items():
        runs[name] = partial(ours, dataset, replace(usual, **changed), folder.parent / "cache")
    whole = n_steps * given.batch
    n_images = {name: whole if name.startswith("bare") else len(dataset) for name in runs}
    shown = backbone.partition(":")[0] + ":" + Path(backbone).name if ":" in backbone else backbone
    print(f"{shown}, {given.size} px, batches of {given.batch}")
    rows = [measured(name, n_images[name], run) for name, run in runs.items() if name in (given.ways or runs)]
    return [{"backbone": shown, **row} for row in rows]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbones", nargs="+", default=["resnet34"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--side", type=int, default=400)
    parser.add_argument("--images", type=int, default=6016)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=3, help="That count, after two that do not.")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 1) - 2))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="Only these, by their names.")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/gpu.json"))
    given = parser.parse_args()
    device = find_device(given.device)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made, "images")
        paths = written_anew(load_dataset(given.folder), given.folder, folder, given.side, given.images)
        sizes = {name: getattr(given, name) for name in ("size", "side", "batch", "workers")}
        about: dict[str, Any] = {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "torch": torch.__version__,
            "cores": os.cpu_count(),
            "images": len(paths),
            **sizes,
            "rows": [],
        }
        print(f"{about['device']}, {about['cores']} cores, torch {about['torch']}")
        for backbone in given.backbones:
            about["rows"] += compared(backbone, given, folder, device)
            given.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
