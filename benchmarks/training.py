#!/usr/bin/env python3
"""A head on cached features: CPU seconds an epoch of `nearbit.train` beside a bare PyTorch loop with fused Adam.

    OMP_NUM_THREADS=1 python benchmarks/training.py --out benchmarks/results/training.json

The bare loop is what one writes by hand: features standardised once, the same layers, loss and sizes of batches, fused
Adam, no clipping of gradients, nothing read, checked or kept. Both take turns, epoch by epoch, in one process; the
first two rounds of each are left out, and the median of the others counts. A method that reassigns its centers does so.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import nearbit as nb
from nearbit.centers import random_signs
from nearbit.datasets import Dataset, Split
from nearbit.losses import central_similarity, crh_scale, cross_entropy, margin_cosine, quantization
from nearbit.networks import Head
from nearbit.training import Callbacks, TrainOptions

N_CLASSES, N_BITS, BATCH = 100, 64, 256
WARM_UP = 2


@dataclass(frozen=True)
class Case:
    """What is trained: a method with a head; `stage` names its epochs, `dropout` and `outputs` its network."""

    method: str
    head: str
    stage: str
    outputs: int
    dropout: float = 0.5
    given_centers: bool = False


MEMBERS = {"base": "crh", "members": 1}
"""Options of ech for its classifier alone: centers that take no search."""


CASES = {
    "csq linear": Case("csq", "linear", "linear", N_BITS),
    "csq hidden": Case("csq", "hidden", "hidden", N_BITS),
    "crh linear": Case("crh", "linear", "linear", N_BITS),
    "crh hidden": Case("crh", "hidden", "hidden", N_BITS),
    "shc hidden": Case("shc", "hidden", "hidden", N_BITS, given_centers=True),
    "ech classifier": Case("ech", "hidden", "classifier 1", N_CLASSES, dropout=0.8),
}


def made(n: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features float32 `(n, width)` around a mean of each class, and the class of each."""
    rng = np.random.default_rng(0)
    classes = np.concatenate([np.arange(N_CLASSES), rng.integers(0, N_CLASSES, n - N_CLASSES)])
    means = rng.standard_normal((N_CLASSES, width), dtype=np.float32)
    return means[classes] + 2 * rng.standard_normal((n, width), dtype=np.float32), classes


def all_of(dataset: Dataset) -> Split:
    """Return a split that trains on everything and validates nothing."""
    none = np.empty(0, np.int64)
    return Split(
        train=np.arange(len(dataset)),
        validation=none,
        query=none,
        database=none,
        dataset=dataset.name,
        recipe={},
        digests=dataset.digests,
        keys=dataset.keys,
        fingerprint=dataset.fingerprint,
    )


def loss_of(case: Case, centers: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of a batch by outputs and labels float `(n, n_classes)`, as the method has it."""
    if case.stage.startswith("classifier"):
        return cross_entropy
    if case.method == "crh":
        scale = crh_scale(N_CLASSES)
        return lambda out, labels: margin_cosine(out, labels, centers, scale=scale) + 0.1 * quantization(out)
    return lambda out, labels: central_similarity(out, labels @ centers) + 0.05 * quantization(out)


class Bare:
    """The loop that one writes by hand."""

    def __init__(self, case: Case, features: np.ndarray, classes: np.ndarray) -> None:
        rows = torch.from_numpy(features)
        self.rows = (rows - rows.mean(dim=0)) / rows.std(dim=0)
        self.labels = torch.eye(N_CLASSES)[torch.from_numpy(classes)]
        centers = torch.from_numpy(random_signs((N_CLASSES, N_BITS), np.random.default_rng(1))).float()
        self.loss = loss_of(case, centers)
        self.layers: nn.Module = Head(features.shape[1], case.outputs, case.head, dropout=case.dropout).layers
        self.optimizer = torch.optim.Adam(self.layers.parameters(), lr=1e-3, weight_decay=1e-5, fused=True)

    def epoch(self) -> None:
        """Go over all rows once."""
        for batch in torch.randperm(len(self.rows)).split(BATCH):
            loss = self.loss(self.layers(self.rows[batch]), self.labels[batch])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()


def measured(case: Case, features: np.ndarray, classes: np.ndarray, rounds: int) -> list[tuple[float, float]]:
    """Return (nearbit, bare) CPU seconds of an epoch, a pair a round."""
    bare, found = Bare(case, features, classes), []
    began = [0.0]

    def after(name: str, figures: dict[str, Any]) -> None:
        if name == case.stage:
            ended = time.process_time()
            bare.epoch()
            found.append((ended - began[0], time.process_time() - ended))
        began[0] = time.process_time()

    epochs = rounds + WARM_UP
    of_members = case.stage.startswith("classifier")
    options = TrainOptions(
        head="hidden" if case.head == "hidden" else "linear",
        epochs=1 if of_members else epochs,
        batch_size=BATCH,
        select="last",
        device="cpu",
    )
    dataset = nb.from_features(features, classes)
    centers = random_signs((N_CLASSES, N_BITS), np.random.default_rng(1)) if case.given_centers else None
    nb.train(
        dataset,
        all_of(dataset),
        method=case.method,
        n_bits=N_BITS,
        options=options,
        method_options=MEMBERS | {"member_epochs": epochs} if of_members else None,
        centers=centers,
        callbacks=Callbacks(epoch=after),
    )
    return found[WARM_UP : WARM_UP + rounds]


def summary(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return the medians, and the median and the quartiles of the ratios of the rounds."""
    ratios = [own / bare for own, bare in pairs]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "nearbit": statistics.median(own for own, _ in pairs),
        "bare": statistics.median(bare for _, bare in pairs),
        "ratio": statistics.median(ratios),
        "quartiles": [low, high],
        "rounds": [list(pair) for pair in pairs],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every case, print a table, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    features, classes = made(given.items, given.width)
    results = {}
    print(f"{given.items} x {given.width}, {N_BITS} bits, batches of {BATCH}, one thread: CPU seconds an epoch")
    print(f"{'':16}{'nearbit':>9}{'bare':>9}{'ratio':>7}  quartiles")
    for name in given.cases:
        found = results[name] = summary(measured(CASES[name], features, classes, given.rounds))
        low, high = found["quartiles"]
        print(f"{name:16}{found['nearbit']:9.3f}{found['bare']:9.3f}{found['ratio']:7.2f}  {low:.2f} to {high:.2f}")
    if given.out is not None:
        about = {"items": given.items, "width": given.width, "torch": version("torch"), "cases": results}
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
