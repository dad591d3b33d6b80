"""What a method is: centers, a loss, defaults, and for some a rule that changes the centers during training."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nearbit.centers import CenterState, Generator, LabelSets
from nearbit.errors import InputError, did_you_mean
from nearbit.networks import Head

Regime = Literal["frozen", "fine-tuned", "scratch"]
Similarity = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be learnt.

    Attributes:
        n_classes, n_bits: the sizes.
        multi_label: whether an image can have several labels.
        similarity: float64 `(n_classes, n_classes)` for centers that follow one, else None.
        label_sets: the sets of labels that training images have, once centers are to be made; None where each has one.
        label_shares: float64 `(n_classes,)`: the share of the training images that have each label; None if not known.
    """

    n_classes: int
    n_bits: int
    multi_label: bool
    similarity: Similarity | None = field(default=None, repr=False, compare=False)
    label_sets: LabelSets | None = field(default=None, repr=False, compare=False)
    label_shares: npt.NDArray[np.float64] | None = field(default=None, repr=False, compare=False)


class TrainingImages(Protocol):
    """The training images, as far as a method may look at them before its centers exist."""

    @property
    def labels(self) -> npt.NDArray[np.bool_]:
        """Bool `(n, n_classes)`."""
        ...

    def features(self) -> npt.NDArray[np.float32]:
        """Return the features of a pretrained backbone: `(n, feature_dim)`; `InputError` where it is not pretrained."""
        ...

    def logits(self, epochs: int | None) -> npt.NDArray[np.float32]:
        """Return what a classifier that was trained on these images says of them: `(n, n_classes)`, before softmax.

        `epochs` is how long it is trained; None for as long as the hash network.
        """
        ...

    def classifier(self, epochs: int | None) -> Head:
        """Return the linear head of such a classifier, trained on frozen features."""
        ...


class Targets(NamedTuple):
    """The centers as the loss sees them: float `(n_classes, n_bits)` and the tie signs `(n_bits,)`.

    Where sets of labels have words of their own, these are float `(n_sets, n_classes)`, 0 or 1, and `(n_sets, n_bits)`.
    """

    centers: Tensor
    tie_break: Tensor
    label_sets: Tensor | None = None
    set_words: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a method is optimised: Adam, the learning rate falling to 0 along a cosine.

    Attributes:
        epochs: passes over the training images.
        least_steps: where the epochs have fewer steps than this, there are more epochs: a small set needs as many
            steps as a large one.
        batch_size: images a step.
        learning_rate: at the start.
        backbone_factor: the backbone's learning rate, relative to the head's.
        linear_factor: a linear head's learning rate, relative to `learning_rate`, which is for a hidden layer.
        betas, weight_decay: of Adam.
        clip_norm: largest norm of the gradient.
        multi_label_epochs: passes where images have several labels; None for as many as otherwise.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    backbone_factor: float = 1.0
    linear_factor: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-5
    clip_norm: float = 1.0
    least_steps: int = 0
    multi_label_epochs: int | None = None

    def epochs_for(self, n_train: int, *, multi_label: bool = False) -> int:
        """Return how many epochs that many training images take."""
        epochs = self.multi_label_epochs if multi_label else None
        epochs = self.epochs if epochs is None else epochs
        return max(epochs, math.ceil(self.least_steps / math.ceil(n_train / self.batch_size)))


def check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    """Raise `InputError` unless an option is one of the known texts."""
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def check_number(name: str, value: object, *, at_least: float = 0, whole: bool = False) -> None:
    """Raise `InputError` unless an option is a finite number of at least `at_least`, and a whole one if `whole`."""
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value) or value < at_least:
        kind = "whole number" if whole else "number"
        raise InputError(f"{name} must be a {kind} of at least {at_least}, not {value!r}")


LossFunction = Callable[[Tensor, Tensor, Targets, Task, Any], Tensor]
"""(outputs `(n, n_bits)`, labels float `(n, n_classes)`, targets, task, options) to a scalar."""

Reassignment = Callable[[CenterState, npt.NDArray[np.float64], int, Any, Generator], CenterState]
"""(state, class means float64 `(n_classes, n_bits)`, epoch from 0, options, rng) to the state for the next epoch."""


@dataclass(frozen=True, kw_only=True)
class MemoryTerm:
    """A second term of a loss, between a batch and a memory of the outputs of all training images.

    The memory bank is written by a momentum encoder: a copy of the network whose weights are a moving average of the
    network's. It holds what the encoder last gave for each image, in training mode.

    Attributes:
        loss: (outputs `(n, n_bits)`, labels `(n, n_classes)`, memory `(n_train, n_bits)`, its labels
            `(n_train, n_classes)`, 0 for images that were not seen yet) to a scalar.
        weight: factor of that scalar.
        after: how many first epochs go without the term.
        momentum: what the encoder keeps of its weights at each step, from 0 to below 1.
    """

    loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    weight: float
    after: int
    momentum: float


@dataclass(frozen=True, kw_only=True)
class Committee:
    """Classifiers on frozen features, trained before a hash network, whose expected center joins its outputs.

    See `nearbit.networks.ExpectedCenter`. How much they say is chosen on validation images.

    Attributes:
        members: how many; they differ in their first weights and the order of images.
        epochs: passes over the training images.
        least_steps: where the epochs have fewer steps than this, there are more epochs.
        learning_rate: at the start; it falls to 0 along a cosine.
        hidden, dropout: of each one's hidden layer.
    """

    members: int
    epochs: int
    least_steps: int
    learning_rate: float
    hidden: int
    dropout: float


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to train a hash network.

    Attributes:
        name: as typed on the command line.
        title: one line for people.
        citation: the paper.
        options: a frozen dataclass with the paper's defaults.
        make_centers: (task, options, rng) to the centers at the start.
        loss: see `LossFunction`.
        schedules: one for each regime.
        reassign: for methods that change their centers after an epoch; called after every epoch.
        similarity: for methods whose centers follow a similarity of classes: finds it in the training images
            (None where the options need none). It is then in the `Task` that `make_centers` gets.
        normalized: whether the last layer has no bias and batch normalisation behind it.
        memory: for methods whose loss has a second term: (options) to the term, or None where the options leave it out.
        committee: for methods whose codes are joined with what classifiers say: (options) to the classifiers. Such a
            method needs frozen features, and its centers stay as they are.
        check: (task, options) raises `InputError` where the options do not fit the task; called before any training.
        distinct: whether every class has a word of its own, so that more classes than words are refused at once.
    """

    name: str
    title: str
    citation: str
    options: Any
    make_centers: Callable[[Task, Any, Generator], CenterState]
    loss: LossFunction
    schedules: Mapping[Regime, Schedule] = field(default_factory=dict)
    reassign: Reassignment | None = None
    similarity: Callable[[TrainingImages, Task, Any], Similarity | None] | None = None
    normalized: bool = False
    memory: Callable[[Any], MemoryTerm | None] | None = None
    committee: Callable[[Any], Committee] | None = None
    check: Callable[[Task, Any], None] | None = None
    distinct: bool = False

    def with_options(self, values: Mapping[str, Any] | None) -> Any:
        """Return the method's options with some values replaced; an unknown name is an error that suggests one."""
        return options_with(self.name, self.options, values)


def options_with(method: str, options: Any, values: Mapping[str, Any] | None) -> Any:
    """Return options with some values replaced; raise `InputError`, with the near name, for one that is not there."""
    known = [option.name for option in fields(options)]
    for name in values or {}:
        if name not in known:
            has = f"it has: {', '.join(known)}" if known else "it has none"
            raise InputError(f"{method} has no option {name!r}; {has}.{did_you_mean(name, known)}")
    return replace(options, **(values or {}))
