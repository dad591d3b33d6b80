"""MLH: one branch learns centers, one learns pairs, and each from the other; hash experts are shared by both."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nearbit.centers import CenterState, Generator, mds_centers, random_signs
from nearbit.errors import InputError
from nearbit.given import check_flag
from nearbit.losses import center_softmax, quantization
from nearbit.losses.mutual import batch_pair_likelihood, disagreement
from nearbit.methods.method import Method, Schedule, Targets, Task, check_choice, check_number, refuse_idle
from nearbit.networks.experts import MOST_EXPERTS


@dataclass(frozen=True, kw_only=True)
class MLHOptions:
    """Options of MLH; the three weights are those that reviews of the paper name.

    Attributes:
        center_weight, pair_weight, mutual_weight: of the loss towards centers, of pairs, and between the branches.
        center_reduction: whether the loss towards centers is a "sum" over classes, as printed, or a "mean".
        pair_scale: factor of the inner products of pairs.
        quantization_weight: of the quantization loss of both branches.
        experts: how many; 0 for a linear layer of its own for each branch.
        active: how many of them a branch takes for an image.
        trunk: whether there is a hidden layer before the experts.
    """

    center_weight: float = 4.0
    pair_weight: float = 1.0
    mutual_weight: float = 1.0
    center_reduction: str = "sum"
    pair_scale: float = 1.0
    quantization_weight: float = 1e-4
    experts: int = 0
    active: int = 2
    trunk: bool = True

    def __post_init__(self) -> None:
        for name in ("center_weight", "pair_weight", "mutual_weight", "quantization_weight"):
            check_number(name, getattr(self, name))
        check_number("pair_scale", self.pair_scale, is_positive=True, why="with 0 every pair costs the same")
        check_choice("center_reduction", self.center_reduction, ("sum", "mean"))
        check_number("experts", self.experts, whole=True)
        check_number("active", self.active, at_least=1, whole=True)
        if self.experts > MOST_EXPERTS:
            raise InputError(f"experts must be at most {MOST_EXPERTS}, not {self.experts}")
        if self.experts and self.active > self.experts:
            raise InputError(f"active must be at most the {self.experts} experts, not {self.active}")
        check_flag("trunk", self.trunk)
        if not self.experts:
            refuse_idle(self, "there are no experts", "active")


def _centers(task: Task, options: MLHOptions, rng: Generator) -> CenterState:
    centers = mds_centers(task.n_classes, task.n_bits, rng)
    return CenterState(centers=centers, tie_break=random_signs((task.n_bits,), rng))


def _head(task: Task, options: MLHOptions) -> Mapping[str, Any]:
    active = options.active if options.experts else 1
    return {"experts": options.experts, "active": active, "trunk": options.trunk}


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: MLHOptions) -> Tensor:
    central, paired = outputs.split(task.n_bits, dim=1)  # type: ignore[no-untyped-call]
    of_centers = center_softmax(central, labels, targets.centers, scale=math.sqrt(task.n_bits))
    if options.center_reduction == "sum":
        of_centers = of_centers * task.n_classes
    of_pairs = batch_pair_likelihood(paired.tanh(), labels, scale=options.pair_scale)
    return (
        options.center_weight * of_centers
        + options.pair_weight * of_pairs
        + options.mutual_weight * disagreement(central.tanh(), paired.tanh())
        + options.quantization_weight * (quantization(central) + quantization(paired))
    )


MLH = Method(
    name="mlh",
    title="MLH: a branch for centers and one for pairs, which learn from each other (reconstructed)",
    citation="Ma, Li and Weng, Mutual Learning for Hashing: Unlocking Strong Hash Functions from Weak Supervision, "
    "arXiv 2510.07703, 2025 (reconstructed)",
    options=MLHOptions(),
    make_centers=_centers,
    loss=_loss,
    distinct=True,
    head="experts",
    head_options=_head,
    normalized=True,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=1e-2, least_steps=720),
        "fine-tuned": Schedule(epochs=100, batch_size=64, learning_rate=1e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
