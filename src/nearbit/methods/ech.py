"""ECH, expected-center hashing: nearbit's own. Where an image may be of several classes, its code says so."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nearbit.centers import CenterState, Generator
from nearbit.errors import InputError
from nearbit.methods.crh import CRH
from nearbit.methods.method import (
    Committee,
    Method,
    Similarity,
    Targets,
    Task,
    TrainingImages,
    check_choice,
    check_number,
)
from nearbit.methods.shc import SHC


@dataclass(frozen=True, kw_only=True)
class ECHOptions:
    """Options of ECH.

    Attributes:
        base: whose centers and loss the hash network has: "shc", "crh", or "auto": SHC where every image has one label,
            CRH where some have several (SHC then trains towards majorities of centers, half of whose bits are ties).
        members: how many classifiers say what an image may be.
        member_epochs: passes of each over the training images, at least 240 steps.
        member_hidden, member_dropout: units of the hidden layer of each, and dropout behind it.
    """

    base: Literal["auto", "shc", "crh"] = "auto"
    members: int = 3
    member_epochs: int = 40
    member_hidden: int = 1024
    member_dropout: float = 0.8

    def __post_init__(self) -> None:
        check_choice("base", self.base, ("auto", "shc", "crh"))
        for name in ("members", "member_epochs", "member_hidden"):
            check_number(name, getattr(self, name), at_least=1, whole=True)
        check_number("member_dropout", self.member_dropout)
        if self.member_dropout >= 1:
            raise InputError(f"member_dropout must be below 1, not {self.member_dropout}")


def _base(task: Task, options: ECHOptions) -> Method:
    if options.base == "auto":
        return CRH if task.multi_label else SHC
    return CRH if options.base == "crh" else SHC


def _centers(task: Task, options: ECHOptions, rng: Generator) -> CenterState:
    base = _base(task, options)
    return base.make_centers(task, base.options, rng)


def _similarity(images: TrainingImages, task: Task, options: ECHOptions) -> Similarity | None:
    base = _base(task, options)
    return None if base.similarity is None else base.similarity(images, task, base.options)


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: ECHOptions) -> Tensor:
    base = _base(task, options)
    return base.loss(outputs, labels, targets, task, base.options)


def _reassign(
    state: CenterState, class_means: npt.NDArray[np.float64], epoch: int, options: ECHOptions, rng: Generator
) -> CenterState:
    """Reassign as CRH does; centers that come from no codebook are SHC's, which stay."""
    if state.codebook is None or CRH.reassign is None:
        return state
    return CRH.reassign(state, class_means, epoch, CRH.options, rng)


def _committee(options: ECHOptions) -> Committee:
    return Committee(
        members=options.members,
        epochs=options.member_epochs,
        least_steps=240,
        learning_rate=2e-2,
        hidden=options.member_hidden,
        dropout=options.member_dropout,
    )


ECH = Method(
    name="ech",
    title="ECH: codes joined with the expected center, what classifiers say that an image may be",
    citation="nearbit; centers and loss are those of SHC (arXiv 2507.08404) or CRH (arXiv 2511.12162)",
    options=ECHOptions(),
    make_centers=_centers,
    loss=_loss,
    distinct=True,
    schedules={"frozen": SHC.schedules["frozen"]},
    reassign=_reassign,
    similarity=_similarity,
    committee=_committee,
)
