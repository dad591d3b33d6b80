"""What the training loop is given: what is learnt and how, and under which names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from nearbit.centers import CenterState
from nearbit.methods import Method, Schedule, Task
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks


@dataclass(frozen=True, kw_only=True)
class Learner:
    """What is learnt, and how.

    Attributes:
        method, method_options: the loss and what it is asked.
        task: the sizes of what is learnt.
        schedule: how it is optimized.
        start: makes the centers of the first epoch.
        prepared: what the method computed of the training images before.
        attacked: whether adversarial training, where it is on, is for this one.
    """

    method: Method
    method_options: Any
    task: Task
    schedule: Schedule
    start: Callable[[], CenterState]
    prepared: Mapping[str, Tensor] = field(default_factory=dict)
    attacked: bool = False


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Under which names a training is reported, told and kept.

    Attributes:
        name: what is trained, as `Callbacks.epoch` is told of it.
        title: the name under which progress is reported.
        key: names this run in its checkpoint.
        checkpoint: the file of the checkpoint, or None.
        callbacks: told of each epoch.
    """

    name: str
    title: str
    key: str
    checkpoint: Path | None = None
    callbacks: Callbacks = NO_CALLBACKS
