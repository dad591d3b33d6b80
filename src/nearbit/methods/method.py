"""What a method is: centers, a loss, defaults, and for some a rule that changes the centers during training."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from nearbit.centers import CenterState, Generator, LabelSets
from nearbit.centers.state import no_centers
from nearbit.errors import InputError, did_you_mean
from nearbit.given import check_choice as check_choice
from nearbit.given import check_number as check_number
from nearbit.given import plain
from nearbit.networks import Head, HeadKind

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

    def plain_views(self) -> list[npt.NDArray[np.float32]]:
        """Return what is known of the images without training: rows `(n, width)`, for each view that there is.

        Those are the features of each cached view of frozen features, of the plain images for a network that is
        fine-tuned, and for one from scratch small thumbnails.
        """
        ...

    def logits(self, epochs: int | None) -> npt.NDArray[np.float32]:
        """Return what a classifier that was trained on these images says of them: `(n, n_classes)`, before softmax.

        `epochs` is how long it is trained; None for as long as the hash network.
        """
        ...

    def classifier(self, epochs: int | None) -> Head:
        """Return the linear head of such a classifier, trained on frozen features."""
        ...


class LossModule(nn.Module):
    """The weights of a loss that has some: proxies of classes, a classifier behind the codes, a surrogate.

    They are optimized beside the network's, kept in checkpoints, and left out of the model that is saved. Its buffers
    are kept in checkpoints too. A loss finds it as `targets.module`.

    Attributes:
        rate_factor: its learning rate, relative to the head's.
    """

    rate_factor: float = 1.0

    def begin(self, epoch: int, rng: Generator) -> None:
        """Get ready for an epoch, counted from 0; `rng` is the same whenever that epoch is run."""


class Memory(NamedTuple):
    """What is remembered of all training images: float `(n_train, n_bits)`, and `(n_train, n_classes)`.

    Both are 0 for images that were not seen yet.
    """

    outputs: Tensor
    labels: Tensor


class Targets(NamedTuple):
    """What a loss may look at besides a batch's outputs and labels.

    Attributes:
        centers: float `(n_classes, n_bits)`; `(0, n_bits)` for a method without centers.
        tie_break: float `(n_bits,)`: the signs of multi-label centroids on which the votes are even.
        label_sets: float `(n_sets, n_classes)`, 0 or 1: the sets of labels that have words of their own.
        set_words: float `(n_sets, n_bits)`: those words.
        class_means: float `(n_classes, n_bits)`: the real-valued centers of a method that has such.
        epoch: counted from 0.
        progress: the share of all epochs that is done: from 0 to below 1.
        rows: int64 `(n,)`: the places of the batch among the training images.
        module: the weights of the loss.
        memory: what is remembered of all training images, this batch included.
        prepared: what the method's `prepare` returned, by name.
        encode: gives the outputs, with gradients, of training images at places int64 `(m,)`: float `(m, n_bits)`.
    """

    centers: Tensor
    tie_break: Tensor
    label_sets: Tensor | None = None
    set_words: Tensor | None = None
    class_means: Tensor | None = None
    epoch: int = 0
    progress: float = 0.0
    rows: Tensor | None = None
    module: LossModule | None = None
    memory: Memory | None = None
    prepared: Mapping[str, Tensor] = MappingProxyType({})
    encode: Callable[[Tensor], Tensor] | None = None


Optimizer = Literal["adam", "sgd", "rmsprop"]
OPTIMIZERS: tuple[Optimizer, ...] = ("adam", "sgd", "rmsprop")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a method is optimised: the learning rate falls to 0 along a cosine.

    Attributes:
        epochs: passes over the training images.
        least_steps: where the epochs have fewer steps than this, there are more epochs: a small set needs as many
            steps as a large one.
        batch_size: images a step.
        learning_rate: at the start.
        backbone_factor: the backbone's learning rate, relative to the head's.
        linear_factor: a linear head's learning rate, relative to `learning_rate`, which is for a hidden layer.
        betas: of Adam.
        weight_decay: of the optimizer.
        clip_norm: largest norm of the gradient.
        optimizer: one of `OPTIMIZERS`: "adam"; "sgd" with Nesterov momentum .9; "rmsprop" with the smoothing .99.
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
    optimizer: Optimizer = "adam"

    def epochs_for(self, n_train: int, *, multi_label: bool = False) -> int:
        """Return how many epochs that many training images take."""
        epochs = self.multi_label_epochs if multi_label else None
        epochs = self.epochs if epochs is None else epochs
        return max(epochs, math.ceil(self.least_steps / math.ceil(n_train / self.batch_size)))


LATER: dict[str, Any] = {"later": True}
"""Metadata of a field of method options that came after runs were named: its default is no part of their names."""


def options_text(options: Any) -> str:
    """Return what names options of a method in the key of a run: as `repr`, without later fields at their defaults."""
    parts = [one for one in fields(options) if one.repr] if is_dataclass(options) else []
    told = [one for one in parts if not (one.metadata.get("later") and getattr(options, one.name) == one.default)]
    if len(told) == len(parts):
        return repr(options)
    return f"{type(options).__qualname__}({', '.join(f'{one.name}={getattr(options, one.name)!r}' for one in told)})"


def check_scale(name: str, value: object) -> None:
    """Raise `InputError` unless what the scores of classes are multiplied with is a number above 0."""
    check_number(name, value, is_positive=True, why=f"a {name} of 0 would make all classes equally likely")


LossFunction = Callable[[Tensor, Tensor, Targets, Task, Any], Tensor]
"""(outputs `(n, n_bits)`, labels float `(n, n_classes)`, targets, task, options) to a scalar."""

Reassignment = Callable[[CenterState, npt.NDArray[np.float64], int, Any, Generator], CenterState]
"""(state, class means float64 `(n_classes, n_bits)`, epoch from 0, options, rng) to the state for the next epoch."""

Batches = Callable[[npt.NDArray[np.bool_], int, Any, Generator], list[npt.NDArray[np.int64]]]
"""(labels bool `(n_train, n_classes)`, batch size, options, rng) to the places of each batch of an epoch."""


@dataclass(frozen=True, kw_only=True)
class MemoryTerm:
    """A memory of the outputs of all training images, and a second term of the loss between a batch and it.

    The memory bank is written by the network itself: it holds what the network last gave for each image, before that
    step. With a `momentum` it is written by a momentum encoder: a copy of the network whose weights are a moving
    average of the network's, in training mode.

    Attributes:
        loss: (outputs `(n, n_bits)`, labels `(n, n_classes)`, memory `(n_train, n_bits)`, its labels
            `(n_train, n_classes)`, 0 for images that were not seen yet) to a scalar; None where the method's own loss
            looks at `targets.memory`.
        weight: factor of that scalar.
        after: how many first epochs go without the term.
        momentum: what the encoder keeps of its weights at each step, from 0 to below 1; None without an encoder.
    """

    loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] | None = None
    weight: float = 1.0
    after: int = 0
    momentum: float | None = None


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

    All but the loss is optional. A method without `make_centers` has no centers: its models hold none, and no class
    can be added to them by its word. In a run of several processes each sees its own share of a batch, so a loss
    over pairs forms those within each share.

    Attributes:
        name: as typed on the command line.
        title: one line for people.
        citation: the paper.
        options: a frozen dataclass with the paper's defaults.
        loss: see `LossFunction`.
        schedules: one for each regime.
        make_centers: (task, options, rng) to the centers at the start.
        reassign: for methods that change their centers after an epoch; called after every epoch.
        means_of: what the class means are of that `reassign` gets: the "signs" of outputs, or the real "outputs".
        similarity: for methods whose centers follow a similarity of classes: finds it in the training images
            (None where the options need none). It is then in the `Task` that `make_centers` gets.
        normalized: whether the last layer has no bias and batch normalisation behind it.
        head: the kind of head that it needs, where that is not for the user to choose.
        head_options: (task, options) to what that head is made with besides the usual.
        refresh: for heads that remember something of the training images: (head, features `(n, feature_dim)`, labels
            `(n, n_classes)`) is called before each epoch, in evaluation mode and without gradients. Where the backbone
            is trained too, the features are computed anew for it: one more pass over the images, not augmented.
        memory: for methods that look at a memory of all training images: (options) to it, or None where the options
            leave it out.
        module: for losses with weights of their own: (task, options) to them.
        centers_of: for methods whose centers are learnt: (weights of the loss, state) to the centers at that moment.
        batches: for losses over pairs or triplets: which images make a batch; by default a plain permutation is cut.
        views: how many augmented views of each image make a batch. With v views outputs and labels have v · n rows, all
            images in the first view, then in the second; frozen features need as many cached views.
        needs_labels: whether the training images must have labels.
        prepare: (training images, task, options, rng) to arrays that its loss finds in `targets.prepared`.
        committee: for methods whose codes are joined with what classifiers say: (options) to the classifiers. Such a
            method needs frozen features.
        check: (task, options) raises `InputError` where the options do not fit the task; called before any training.
        distinct: whether every class has a word of its own, so that more classes than words are refused at once.
        moves: for methods with `reassign`: (options) to whether they let it change anything; by default it does.
        follows: for methods with `similarity`: (options) to whether centers follow it; by default they do.
        center_options, similarity_options: names of the options that only `make_centers` and only `similarity` look
            at: beside given centers or a given similarity they would do nothing, and are refused.
    """

    name: str
    title: str
    citation: str
    options: Any
    loss: LossFunction
    schedules: Mapping[Regime, Schedule] = field(default_factory=dict)
    make_centers: Callable[[Task, Any, Generator], CenterState] | None = None
    reassign: Reassignment | None = None
    means_of: Literal["signs", "outputs"] = "signs"
    similarity: Callable[[TrainingImages, Task, Any], Similarity | None] | None = None
    normalized: bool = False
    head: HeadKind | None = None
    head_options: Callable[[Task, Any], Mapping[str, Any]] | None = None
    refresh: Callable[[Head, Tensor, Tensor], None] | None = None
    memory: Callable[[Any], MemoryTerm | None] | None = None
    module: Callable[[Task, Any], LossModule] | None = None
    centers_of: Callable[[LossModule, CenterState], CenterState] | None = None
    batches: Batches | None = None
    views: int = 1
    needs_labels: bool = True
    prepare: Callable[[TrainingImages, Task, Any, Generator], Mapping[str, npt.NDArray[Any]]] | None = None
    committee: Callable[[Any], Committee] | None = None
    check: Callable[[Task, Any], None] | None = None
    distinct: bool = False
    moves: Callable[[Any], bool] | None = None
    follows: Callable[[Any], bool] | None = None
    center_options: tuple[str, ...] = ()
    similarity_options: tuple[str, ...] = ()

    def first_centers(self, task: Task, options: Any, rng: Generator) -> CenterState:
        """Return the centers at the start; none for a method without centers."""
        return no_centers(task.n_bits) if self.make_centers is None else self.make_centers(task, options, rng)

    def moves_centers(self, options: Any) -> bool:
        """Return whether its centers change while it trains, by a rule of its own or because they are learnt."""
        reassigns = self.reassign is not None and (self.moves is None or self.moves(options))
        return reassigns or self.centers_of is not None

    def schedule_for(self, regime: Regime) -> Schedule:
        """Return the schedule of a regime; raise `InputError` where the method has none."""
        if regime not in self.schedules:
            known = ", ".join(self.schedules)
            raise InputError(
                f"the method {self.name} has no schedule for networks that are {regime}, only for: {known}. Give it "
                "one (Method(schedules=…)), or train otherwise (--regime, --backbone)"
            )
        return self.schedules[regime]

    def with_options(self, values: Mapping[str, Any] | None) -> Any:
        """Return the method's options with some values replaced; an unknown name is an error that suggests one."""
        return options_with(self.name, self.options, values)


def refuse_idle(options: Any, why: str, *names: str, usual: Any = None) -> None:
    """Raise `InputError` where one of these options is not at its default, or as `usual`, and would do nothing."""
    for one in fields(options):
        expected = (one.default, getattr(usual, one.name, one.default))
        if one.name in names and getattr(options, one.name) not in expected:
            raise InputError(f"{why}, so {one.name} would do nothing: leave it out")


def options_with(method: str, options: Any, values: Mapping[str, Any] | None) -> Any:
    """Return options with some values replaced, numbers of NumPy by Python's own.

    Raises:
        InputError: a name that is not there, with the near one, or a wrong value.
    """
    if values is not None and not isinstance(values, Mapping):
        raise InputError(f"the options of {method} must be a mapping such as {{'margin': 0.3}}, not {values!r}")
    known = [option.name for option in fields(options)]
    for name in values or {}:
        if name not in known:
            has = f"it has: {', '.join(known)}" if known else "it has none"
            raise InputError(f"{method} has no option {name!r}; {has}.{did_you_mean(name, known)}")
    given = {one.name: getattr(options, one.name) for one in fields(options) if one.init} | dict(values or {})
    return replace(options, **{name: plain(value) for name, value in given.items()})
