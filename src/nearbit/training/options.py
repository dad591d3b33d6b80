"""What a person can choose about training, and what follows from it."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from nearbit.attacks import RELEVANCES, Relevance
from nearbit.errors import InputError
from nearbit.given import check_choice, check_flag, check_number, keep_plain, path_of
from nearbit.keywords import suggesting
from nearbit.methods import Method, Regime, Schedule
from nearbit.methods.method import OPTIMIZERS, Optimizer
from nearbit.methods.presets import preset_named
from nearbit.networks import HEADS, Backbone, HeadKind

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
ADDED = (
    "candidate_weight", "radius_weight", "optimizer", "weight_decay", "backbone_factor", "preset", "compile",
    "published_selection", "batch_norm",
)  # fmt: skip
"""Options that came later, and are left out of records where they do nothing: older runs keep their keys."""

FEWER = 4
"""So many times fewer epochs than a schedule has are few for its learning rate."""

PATIENCE = 15
"""Epochs without a gain on validation after which training on images ends, where nothing else is said."""

BATCH_NORMS = ("auto", "fixed", "batch")
AUGMENTATIONS = ("auto", "none", "crop", "crop+mirror")


@suggesting
@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of training; None means the method's own default for the regime.

    Attributes:
        backbone: "small", "resnet18", …, "timm:NAME" or "hf:FOLDER"; "model:FOLDER" for that of a trained model; or a
            module of your own, as `backbone_of` returns it or, with an `image_size`, as it is.
        weights: a safetensors file of pretrained weights.
        image_size: side of the square that the backbone sees, in pixels; None for the backbone's own.
        regime: "frozen" (features computed once, only the head is trained), "fine-tuned" (all of it), "two-step" (the
            backbone is fine-tuned as a classifier, and the head then trained on its frozen features), or "auto":
            frozen for pretrained backbones, and all of it from scratch for others.
        head: "linear", "hidden", or "auto": for frozen features both are trained and the better one on validation is
            kept; else linear, as in the papers.
        hidden: units of the hidden layer; `dropout` behind it.
        epochs, batch_size, learning_rate: as they say.
        optimizer: "adam", "sgd" (Nesterov momentum .9) or "rmsprop"; its learning rate is not that of the others.
        weight_decay: of the optimizer.
        backbone_factor: the learning rate of a backbone that is trained, relative to the head's.
        batch_norm: what batch normalisation of a backbone goes by while it is trained: "fixed", the means and variances
            that came with its pretrained weights; "batch", those of each batch, which it then remembers; or "auto":
            fixed where pretrained weights are fine-tuned. It is a matter of training alone.
        preset: the name of the published recipe, of the method that is trained, that these options come from
            (`nearbit.methods.presets`), for the record.
        select: "validation" keeps the epoch that is best on validation, "last" trains to the end.
        patience: training ends where validation has not gained for so many epochs; 0 for never. By default 15 where
            images go through the network, and 0 for a preset, and on frozen features, where all methods have the same
            number of steps.
        validate_every: epochs between two looks at validation.
        published_selection: whether the queries are measured, too, whenever validation is looked at, and the epoch that
            is best on them is recorded, which is what the papers report. It chooses nothing.
        validate_against: what validation images search: "train", the training images; "validation", themselves, each
            left out once; or "auto": themselves where less than half of the database is trained on.
        augment: "crop", "crop+mirror", "none", or "auto": both, without mirroring where that changes the meaning.
        views: cached views of each image for frozen features: 1 is the plain one, more are augmented.
        seed: decides every random choice.
        device: "auto", "cpu", "cuda", …
        workers: processes that decode images for a network that is trained whole; 0 for threads of this one. They
            change no bit of the result, and are not recorded.
        keep_decoded: megabytes of decoded images that may be kept in the cache folder while a network is trained whole,
            so that they are decoded once and not in each epoch; 0 for none, None for up to 2,000 where there is room.
            They change no bit of the result, and are not recorded.
        precision: what the network computes in while it is trained: "float32", "bfloat16", "float16", or "auto":
            bfloat16 where images go through it on a GPU that has it, else float32. Weights and losses stay float32.
        compile: whether torch compiles the forward and backward pass of training on images (minutes at the start);
            results differ in last bits, model folders in nothing. In one process.
        candidate_weight, radius_weight: weights of two terms beside the loss, for codes that an index in parts finds
            with less work: against codes that are near in one part and far in all, and against far neighbors.
        adversarial: the largest change of a pixel, of 255, that training images are perturbed by at each step (see
            `nearbit.training.terms.adversary`); None trains on the images as they are.
        adversarial_steps, adversarial_step_size: how many gradients a perturbation follows, and how far, of 255.
        adversarial_weight: of the term of the perturbed images beside the method's loss.
        adversarial_relevance: how labels weigh in their center codes; see `nearbit.attacks.center_codes`.
    """

    backbone: str | nn.Module = "small"
    weights: str | Path | None = None
    image_size: int | None = None
    regime: Literal["auto", "frozen", "fine-tuned", "two-step"] = "auto"
    head: Literal["auto", "linear", "hidden"] = "auto"
    hidden: int = 1024
    dropout: float = 0.5
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    optimizer: Optimizer | None = None
    weight_decay: float | None = None
    backbone_factor: float | None = None
    batch_norm: Literal["auto", "fixed", "batch"] = "auto"
    preset: str | None = None
    select: Literal["validation", "last"] = "validation"
    patience: int | None = None
    validate_every: int = 5
    published_selection: bool = False
    validate_against: Literal["auto", "train", "validation"] = "auto"
    augment: str = "auto"
    views: int = 1
    seed: int = 0
    device: str = "auto"
    workers: int = 0
    keep_decoded: int | None = None
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    compile: bool = False
    candidate_weight: float = 0.0
    radius_weight: float = 0.0
    adversarial: float | None = None
    adversarial_steps: int = 7
    adversarial_step_size: float = 2.0
    adversarial_weight: float = 1.0
    adversarial_relevance: Relevance = "shared"

    def __post_init__(self) -> None:
        keep_plain(self)
        if not isinstance(self.backbone, str | nn.Module):
            raise InputError(f"backbone must be a name or a torch module, not {type(self.backbone).__name__}")
        if isinstance(self.device, torch.device):
            object.__setattr__(self, "device", str(self.device))
        if not isinstance(self.device, str):
            raise InputError(f"device must be a name such as 'cuda:1', not {self.device!r}")
        check_choice("regime", self.regime, ("auto", "frozen", "fine-tuned", "two-step"))
        check_choice("head", self.head, ("auto", *HEADS))
        check_choice("select", self.select, ("validation", "last"))
        check_choice("validate_against", self.validate_against, ("auto", "train", "validation"))
        check_choice("batch_norm", self.batch_norm, BATCH_NORMS)
        check_choice("augment", self.augment, AUGMENTATIONS)
        check_choice("precision", self.precision, ("auto", *PRECISIONS))
        for name in ("epochs", "batch_size", "hidden", "validate_every", "views", "image_size"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), at_least=1, whole=True)
        for name in ("candidate_weight", "radius_weight"):
            check_number(name, getattr(self, name))
        if self.optimizer is not None:
            check_choice("optimizer", self.optimizer, OPTIMIZERS)
        if self.preset is not None:
            preset_named(self.preset)
        check_number("workers", self.workers, whole=True)
        if self.keep_decoded is not None:
            check_number("keep_decoded", self.keep_decoded, whole=True)
        for name in ("weight_decay", "backbone_factor"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name))
        self._check_patience()
        if self.batch_size == 1:
            raise InputError("batch_size must be at least 2, because batch normalisation needs two images")
        if self.learning_rate is not None:
            check_number("learning_rate", self.learning_rate, is_positive=True)
        check_number("dropout", self.dropout, below=1)
        check_number("seed", self.seed, whole=True)
        for name in ("compile", "published_selection"):
            check_flag(name, getattr(self, name))
        if self.weights is not None:
            object.__setattr__(self, "weights", path_of("weights", self.weights))
        self._check_adversarial()

    def _check_patience(self) -> None:
        if self.patience is not None:
            check_number("patience", self.patience, whole=True)
        if self.patience and self.select == "last":
            raise InputError(
                "patience ends training by what validation says, and select 'last' trains to the end: leave one of "
                "them out (--patience, --select)"
            )

    def _check_adversarial(self) -> None:
        check_choice("adversarial_relevance", self.adversarial_relevance, RELEVANCES)
        for name in ("adversarial_step_size", "adversarial_weight", "adversarial"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name))
        check_number("adversarial_steps", self.adversarial_steps, at_least=1, whole=True)
        for one in fields(self) if self.adversarial is None else ():
            if one.name.startswith("adversarial_") and getattr(self, one.name) != one.default:
                raise InputError(
                    f"{one.name} is of adversarial training, which is off: give adversarial (--adversarial 8), or "
                    f"leave {one.name} out"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON-ready data; a weights file by its name; of adversarial training where it is on."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # asdict would copy a module
        given = self.backbone
        name = (
            given
            if isinstance(given, str)
            else given.spec.name
            if isinstance(given, Backbone)
            else type(given).__name__
        )
        written = values | {"backbone": name, "weights": None if self.weights is None else Path(self.weights).name}
        off = self.adversarial is None
        usual = {one.name: one.default for one in fields(self) if one.name in (*ADDED, "patience")}
        return {
            name: value
            for name, value in written.items()
            if name not in UNRECORDED and not (off and name.startswith("adversarial"))
            if name not in usual or value != usual[name]
        }


UNRECORDED = ("workers", "keep_decoded")
"""Options that decide how fast a run is, and no bit of its result."""

OF_SCHEDULES = ("epochs", "batch_size", "learning_rate", "optimizer", "weight_decay", "backbone_factor")
"""Options that take the place of what the method's schedule says."""


def without(options: TrainOptions, names: tuple[str, ...]) -> TrainOptions:
    """Return options of which those named are as they are where nothing is said."""
    usual = TrainOptions()
    return replace(options, **{name: getattr(usual, name) for name in names})


def resolve_regime(options: TrainOptions, *, pretrained: bool) -> Regime:
    """Return the regime that the options mean for a backbone with or without pretrained weights."""
    if options.regime == "auto":
        return "frozen" if pretrained else "scratch"
    if options.regime == "frozen" and not pretrained:
        raise InputError(
            "frozen features of a backbone with random weights mean nothing: give --weights, choose a "
            "pretrained backbone (timm:NAME, hf:FOLDER), or train all of it (--regime fine-tuned)"
        )
    if options.regime in ("fine-tuned", "two-step"):
        return "fine-tuned" if pretrained else "scratch"
    return "frozen"


def resolve_precision(asked: str, device: torch.device, regime: Regime) -> Precision:
    """Return the precision that the options mean.

    "auto" is bfloat16 where images go through the network on a GPU that has it, else float32: a CPU is rarely faster
    with short numbers, and a head on cached features has little to gain.

    Raises:
        InputError: the GPU has no bfloat16.
    """
    has_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if asked == "auto":
        return "bfloat16" if has_bfloat16 and regime != "frozen" else "float32"
    if asked == "bfloat16" and device.type == "cuda" and not has_bfloat16:
        raise InputError("this GPU has no bfloat16: take --precision float16 or float32")
    return next(known for known in PRECISIONS if known == asked)


def resolve_patience(options: TrainOptions, regime: Regime, *, chooses: bool) -> int:
    """Return after how many epochs without a gain on validation training ends; 0 for never.

    Args:
        options: what was asked for.
        regime: on frozen features nothing ends early unless it is asked for.
        chooses: whether validation chooses the epoch.

    Raises:
        InputError: a patience was asked for, and validation chooses nothing.
    """
    if options.patience and not chooses:
        raise InputError(
            "patience ends training by what validation says, and validation does not choose the epoch here: leave it "
            "out (--patience)"
        )
    if options.patience is not None:
        return options.patience
    return PATIENCE if chooses and regime != "frozen" and options.preset is None else 0


def check_augmentation(options: TrainOptions, regime: Regime) -> None:
    """Raise `InputError` where views, augmentation or perturbations are asked for that the regime would not use."""
    if options.adversarial is not None and regime == "frozen":
        raise InputError(
            "adversarial training perturbs pixels, and on cached features of a frozen backbone there is nothing to "
            "attack: train all of the network (--regime fine-tuned, or --backbone small), or leave adversarial "
            "(--adversarial) out"
        )
    if options.backbone_factor is not None and regime == "frozen":
        if options.preset is not None:
            raise InputError(
                f"the recipe {options.preset} trains the whole network, and here a head alone would be, on features of "
                "a frozen backbone: leave the regime as the recipe has it (--regime fine-tuned), or leave the preset "
                "(--preset) out"
            )
        raise InputError(
            "a frozen backbone has no learning rate: leave backbone_factor (--backbone-factor) out, or train all of "
            "the network (--regime fine-tuned)"
        )
    for name in ("workers", "keep_decoded", "compile", "published_selection", "batch_norm"):
        if getattr(options, name) not in (None, 0, "auto") and regime == "frozen":
            raise InputError(
                f"{name} is for a network that is trained whole, and on features of a frozen backbone a head alone is: "
                f"leave {name} (--{name.replace('_', '-')}) out, or train all of the network (--regime fine-tuned)"
            )
    if options.views > 1 and regime != "frozen" and options.regime != "two-step":
        raise InputError(
            f"cached views are for frozen features, and this run is {regime}, which augments anew in every epoch: "
            "leave views (--views) out"
        )
    if options.views > 1 and options.augment == "none":
        raise InputError("all views but the first are augmented: leave augment 'none' out, or take 1 view")
    if regime == "frozen" and options.views == 1 and options.augment not in ("auto", "none"):
        raise InputError(
            f"frozen features are augmented only in views above 1, so augment {options.augment!r} would do nothing: "
            "give more views (--views 4), or leave augment out"
        )


def resolve_schedule(
    method: Method,
    options: TrainOptions,
    regime: Regime,
    kind: HeadKind,
    n_train: int,
    *,
    multi_label: bool = False,
) -> Schedule:
    """Return the method's schedule for the regime, the kind of head, and the size and the kind of the training set.

    What the options give replaces it; without epochs among them a small set gets more of them.
    """
    schedule = method.schedule_for(regime)
    if kind == "linear":
        schedule = replace(schedule, learning_rate=schedule.learning_rate * schedule.linear_factor)
    chosen = {name: getattr(options, name) for name in OF_SCHEDULES if getattr(options, name) is not None}
    schedule = replace(schedule, **chosen)
    return (
        schedule
        if options.epochs is not None
        else replace(schedule, epochs=schedule.epochs_for(n_train, multi_label=multi_label))
    )


def hurried(method: Method, options: TrainOptions, regime: Regime) -> str | None:
    """Return what to say of few epochs at a learning rate that is meant for many; None where there is nothing to say.

    Schedules of fine-tuning are those of the papers, of 90 to 300 epochs.
    """
    schedule, epochs = method.schedule_for(regime), options.epochs
    if regime != "fine-tuned" or epochs is None or FEWER * epochs > schedule.epochs:
        return None
    if any(value is not None for value in (options.learning_rate, options.backbone_factor, options.preset)):
        return None
    return (
        f"{epochs} epochs at the learning rate {schedule.learning_rate:g}, which {method.name} has for "
        f"{schedule.epochs}: in few epochs --learning-rate 1e-3 --backbone-factor 0.1 --head hidden learn more; or "
        "tune the backbone alone (--regime two-step)"
    )


def head_candidates(method: Method, options: TrainOptions, regime: Regime) -> tuple[HeadKind, ...]:
    """Return the kinds of head to train: one, or for "auto" on frozen features both, to be chosen on validation.

    Raises:
        InputError: a head is asked for, and the method has one of its own.
    """
    if method.head is not None:
        if options.head not in ("auto", method.head):
            raise InputError(f"{method.name} has a head of its own ({method.head}): leave head {options.head!r} out")
        return (method.head,)
    if options.head != "auto":
        return (options.head,)
    return HEADS if regime == "frozen" else ("linear",)


def mirrors(options: TrainOptions, *, dataset_mirror: bool) -> bool:
    """Tell whether augmentation mirrors images."""
    return options.augment == "crop+mirror" or (options.augment == "auto" and dataset_mirror)
