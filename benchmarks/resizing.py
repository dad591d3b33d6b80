"""What cutting a square out of an image and resizing it takes: by Pillow, as nearbit augments, and by tensors.

    python benchmarks/resizing.py

Milliseconds of processor time an image, the least of the rounds, all ways in turn: a square of 85 % of the shorter side
of an image of 300 x 256 pixels, resized to 224. torch's operation is asked on one thread, and on as many as there are
cores, which is what a process has that computes and reads beside it.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

BOX = (20, 10, 237, 227)
SIZE = 224


def by_pillow(image: Image.Image) -> np.ndarray:
    """Return the square as nearbit cuts it: uint8 `(3, 224, 224)`."""
    square = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=BOX)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def by_torch(image: Image.Image) -> np.ndarray:
    """Return the square by torch's resizing of bytes: uint8 `(3, 224, 224)`."""
    left, top, right, bottom = BOX
    pixels = torch.from_numpy(np.asarray(image).copy())[None].permute(0, 3, 1, 2)
    square = interpolate(pixels[:, :, top:bottom, left:right], size=(SIZE, SIZE), mode="bilinear", antialias=True)
    return np.asarray(square[0].contiguous().numpy())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/resizing.json"))
    given = parser.parse_args()
    cores = os.cpu_count() or 1
    coarse = np.random.default_rng(0).integers(0, 256, (32, 38, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((300, 256), Image.Resampling.BICUBIC)
    ways: dict[str, tuple[int, Callable[[Image.Image], np.ndarray]]] = {
        "Pillow": (1, by_pillow),
        "torch, one thread": (1, by_torch),
        f"torch, {cores} threads": (cores, by_torch),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, (n_threads, way) in ways.items():
            torch.set_num_threads(n_threads)
            begun = time.process_time()
            for _ in range(50):
                way(image)
            taken[name].append(1000 * (time.process_time() - begun) / 50)
    found = {name: min(times) for name, times in taken.items()}
    differing = np.abs(by_pillow(image).astype(int) - by_torch(image)).max()
    for name, milliseconds in found.items():
        print(f"{name}: {milliseconds:.2f} ms")
    print(f"pixels differ by at most {differing}")
    about = {"ms": found, "differ_at_most": int(differing), "load": os.getloadavg()[0], "cores": cores}
    given.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
