"""What a GPU makes of the codes of the CPU, and how many images a second it encodes: in whole float32 and in TF32.

    python benchmarks/devices.py FOLDER --backbones resnet34 hf:MOBILENET

Features of the first images of a folder are computed on the CPU, on the GPU as nearbit does it (convolutions in whole
float32), and there in TF32, which is torch's default. Bits are signs of 64 drawn projections of the centered features.
The rate is that of 4,096 drawn images that lie in memory: nothing is read, the last of three rounds.
"""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nearbit.datasets import Dataset, load_dataset
from nearbit.encoding import torch_backend
from nearbit.encoding.pipeline import EncodeRequest
from nearbit.encoding.torch_backend import encode_images, find_device, run_batches
from nearbit.networks import make_backbone

N_BITS = 64


@contextmanager
def in_tf32() -> Iterator[None]:
    """Leave convolutions as torch has them within the block."""
    kept = torch_backend.whole_floats
    torch_backend.whole_floats = lambda device: nullcontext()  # type: ignore[assignment, misc, return-value]
    try:
        yield
    finally:
        torch_backend.whole_floats = kept


def measured(name: str, dataset: Dataset, size: int, n: int, device: torch.device) -> dict[str, Any]:
    """Return the share of bits that differ from the CPU's, and images a second, by how convolutions are computed."""
    torch.manual_seed(0)
    backbone = make_backbone(name, image_size=size).eval()
    rows = list(range(min(n, len(dataset))))
    request = EncodeRequest(dataset.source, rows, [dataset.keys[row] for row in rows])
    here = encode_images(backbone, backbone.preprocessing, request, device=torch.device("cpu")).outputs
    mean, projections = here.mean(axis=0), np.random.default_rng(1).standard_normal((here.shape[1], N_BITS))
    pixels = np.random.default_rng(0).integers(0, 256, (4096, 3, size, size), np.uint8)
    backbone.to(device)
    kind, _, place = name.partition(":")
    found: dict[str, Any] = {"backbone": f"{kind}:{Path(place).name}" if place else name, "images": len(rows)}
    ways: dict[str, AbstractContextManager[None]] = {"whole": nullcontext(), "tf32": in_tf32()}
    for way, context in ways.items():
        with context:
            there = encode_images(backbone, backbone.preprocessing, request, device=device).outputs
            for _ in range(3):
                begun = time.perf_counter()
                run_batches(backbone, pixels, device)
                rate = len(pixels) / (time.perf_counter() - begun)
        turned = ((there - mean) @ projections > 0) != ((here - mean) @ projections > 0)
        error = float(np.linalg.norm(there - here) / np.linalg.norm(here - mean))
        found[way] = {"bits_that_differ": float(turned.mean()), "relative_error": error, "images_a_second": rate}
        print(f"{found['backbone']}, {way}: {turned.mean():.3%} of bits differ, {rate:.0f} images a second", flush=True)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbones", nargs="+", default=["resnet34"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=410)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/devices.json"))
    given = parser.parse_args()
    device, dataset = find_device(given.device), load_dataset(given.folder)
    about: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "torch": torch.__version__,
        "size": given.size,
        "rows": [measured(name, dataset, given.size, given.images, device) for name in given.backbones],
    }
    given.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
