"""Where the time of training a whole network goes, by torch's profiler: operations, and waiting for images.

    python benchmarks/step_profile.py DATA --backbone hf:MOBILENET --size 96

The second of three epochs of `nearbit train --regime fine-tuned` on 640 images of DATA, on one thread of torch, its
images decoded by threads (0 workers) or processes and kept from the first epoch. Shares are of the wall time of that
epoch; other work on the machine makes the waiting longer, so that its load average is written beside them.
"""

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from nearbit.datasets import load_dataset, make_split
from nearbit.training import Callbacks, TrainOptions, plan
from nearbit.training.inputs.batches import PixelInputs

KINDS = {
    "convolutions, forward": ("aten::mkldnn_convolution", "aten::thnn_conv2d", "aten::_slow_conv2d_forward"),
    "convolutions, backward": ("aten::convolution_backward", "aten::mkldnn_convolution_backward"),
    "batch normalisation": ("aten::native_batch_norm", "aten::native_batch_norm_backward"),
    "optimizer": ("aten::_fused_adam_", "aten::_foreach_"),
    "products of matrices": ("aten::addmm", "aten::mm", "aten::mkldnn_linear"),
}
"""Operations by the beginnings of their names; the rest are "other operations"."""


class Epoch:
    """The second of three epochs: what it takes, what the loop waits for its batches meanwhile, and its operations."""

    def __init__(self) -> None:
        self.waited = self.begun = self.seconds = 0.0
        self.profile = profile(activities=[ProfilerActivity.CPU])

    def ended(self, _: str, figures: dict[str, Any]) -> None:
        """Begin to look after the first epoch, and end after the second."""
        if figures["epoch"] == 1:
            self.waited, self.begun = 0.0, time.perf_counter()
            self.profile.start()
        if figures["epoch"] == 2:
            self.profile.stop()
            self.seconds = time.perf_counter() - self.begun

    def watched(self, batches: Callable[..., Iterator[torch.Tensor]]) -> Callable[..., Iterator[torch.Tensor]]:
        """Return what yields the same batches, and times what it takes until each is there."""

        def timed(*given: Any, **named: Any) -> Iterator[torch.Tensor]:
            each = batches(*given, **named)
            while True:
                asked = time.perf_counter()
                batch = next(each, None)
                self.waited += time.perf_counter() - asked
                if batch is None:
                    return
                yield batch

        return timed

    def shares(self) -> dict[str, float]:
        """Return the share of the wall time of each kind of operation, of waiting, and of what is none of torch's."""
        found: dict[str, float] = defaultdict(float)
        for event in self.profile.key_averages():
            if event.key.startswith("aten::"):
                found[kind_of(event.key)] += event.self_cpu_time_total / 1e6 / self.seconds
        found["waiting for images"] = self.waited / self.seconds
        found["none of torch's operations"] = 1 - sum(found.values())
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def kind_of(operation: str) -> str:
    """Return the kind that an operation of torch is of."""
    return next((kind for kind, names in KINDS.items() if operation.startswith(names)), "other operations")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--backbone", default="hf:google/mobilenet_v2_1.0_224")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--method", default="csq")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/step-profile.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load_dataset(given.data)
    split = make_split(dataset, seed=0)
    rng = np.random.default_rng(0)
    split = replace(split, train=np.sort(rng.permutation(split.train)[: given.images]))
    plain, rows = PixelInputs.batches, []
    for n_workers in given.workers:
        options = TrainOptions(
            backbone=given.backbone, image_size=given.size, regime="fine-tuned", epochs=3, select="last", batch_size=64,
            learning_rate=1e-4, device="cpu", workers=n_workers,
        )  # fmt: skip
        epoch, load = Epoch(), os.getloadavg()[0]
        PixelInputs.batches = epoch.watched(plain)  # type: ignore[method-assign]
        with tempfile.TemporaryDirectory() as folder:
            run = plan(dataset, split, method=given.method, n_bits=32, options=options, cache=Path(folder))
            run.train(None, lambda *_: None, Callbacks(epoch=epoch.ended))
        rows.append({"workers": n_workers, "load": load, "seconds": epoch.seconds, "shares": epoch.shares()})
        print(f"{n_workers} workers, load {load:.1f}: {1000 * epoch.seconds / given.images:.2f} ms an image")
        for kind, share in epoch.shares().items():
            print(f"  {share:6.1%}  {kind}")
    about = {"size": given.size, "images": given.images, "method": given.method, "cores": os.cpu_count(), "rows": rows}
    given.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
