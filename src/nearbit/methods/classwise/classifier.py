"""The classifier behind SHC's similarity and the label code: it is trained as a hash network is, with other outputs."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nearbit.centers import CenterState, Generator
from nearbit.losses import cross_entropy
from nearbit.methods.method import Method, Schedule, Targets, Task


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions:
    """A classifier has no options."""


def _one_word_each(task: Task, options: ClassifierOptions, rng: Generator) -> CenterState:
    """Return +1 for a class's own output and -1 for the others; the loss does not look at them."""
    words = (2 * np.eye(task.n_classes, dtype=np.int8) - 1).astype(np.int8)
    return CenterState(centers=words, tie_break=np.ones(task.n_classes, np.int8))


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: ClassifierOptions) -> Tensor:
    return cross_entropy(outputs, labels)


CLASSIFIER = Method(
    name="classifier",
    title="A classifier: one output a class, trained with cross-entropy",
    citation="SHC, arXiv 2507.08404, equations 2 to 5",
    options=ClassifierOptions(),
    make_centers=_one_word_each,
    loss=_loss,
    schedules={
        "frozen": Schedule(epochs=40, batch_size=256, learning_rate=1e-3),
        "fine-tuned": Schedule(epochs=300, batch_size=64, learning_rate=1e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
"""Outputs are logits: `task.n_bits` is the number of classes. Not one of METHODS: its outputs are no codes."""
