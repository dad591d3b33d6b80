"""Class-balanced weights as an option of methods whose loss asks for a class."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nearbit.centers import Generator
from nearbit.losses import class_weights
from nearbit.methods.method import Targets, Task, TrainingImages, check_number

NAME = "class_weights"


def check_balance(value: object) -> None:
    """Raise `InputError` unless the option `class_balance` is at least 0 and below 1."""
    check_number("class_balance", value, below=1)


def prepare_balance(
    images: TrainingImages, task: Task, options: Any, rng: Generator
) -> Mapping[str, npt.NDArray[np.float32]]:
    """Return the weights of the classes for a loss; none where `options.class_balance` is 0. A `Method.prepare`."""
    if options.class_balance == 0:
        return {}
    weights = class_weights(images.labels.sum(axis=0), options.class_balance)
    return {NAME: weights.astype(np.float32)}


def balance_of(targets: Targets) -> Tensor | None:
    """Return the weights of the classes float `(n_classes,)` that were prepared, if they were."""
    return targets.prepared.get(NAME)


def image_balance(targets: Targets, labels: Tensor) -> Tensor | None:
    """Return the mean weight of each image's classes: float `(n,)`; None where none were prepared."""
    weights = balance_of(targets)
    return None if weights is None else torch.mv(labels, weights) / labels.sum(dim=1)
