"""CRH: center-reassigned hashing, whose centers are chosen anew from a codebook while the network trains."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nearbit.centers import (
    CenterState,
    Generator,
    centers_from,
    default_codewords,
    make_codebook,
    random_signs,
    reassign,
)
from nearbit.centers.reassignment import Assignment
from nearbit.errors import InputError
from nearbit.losses import crh_scale, margin_cosine, quantization
from nearbit.methods.class_balance import balance_of, check_balance, prepare_balance
from nearbit.methods.method import Method, Schedule, Targets, Task, check_choice, check_number, check_scale


@dataclass(frozen=True, kw_only=True)
class CRHOptions:
    """Options of CRH; the defaults are the paper's.

    Attributes:
        margin: taken from the cosine of each positive class.
        scale: factor of the cosines; None for √2 · ln(n_classes - 1).
        quantization_weight: weight of the quantization loss; None for 0.1 with one label an image and 0 with several.
        n_codewords: codewords in each head; None for twice the number of classes.
        head_bits: bits of a head; None for the smallest divisor of n_bits that has enough words.
        codebook: "uniform" as published, or "separated": words of each head as far apart as nearbit can make them.
        assignment: "greedy" as published, or "exact".
        reassign_always_until: after each of this many first epochs the centers are reassigned;
        reassign_every: from then on after every so many epochs. 0 for both: never.
        class_balance: beta of class-balanced weights: 0, as published, weighs all classes alike.
    """

    margin: float = 0.2
    scale: float | None = None
    quantization_weight: float | None = None
    n_codewords: int | None = None
    head_bits: int | None = None
    codebook: Literal["uniform", "separated"] = "uniform"
    assignment: Assignment = "greedy"
    reassign_always_until: int = 20
    reassign_every: int = 5
    class_balance: float = 0.0

    def __post_init__(self) -> None:
        check_choice("assignment", self.assignment, ("greedy", "exact"))
        check_choice("codebook", self.codebook, ("uniform", "separated"))
        check_number("margin", self.margin)
        if self.scale is not None:
            check_scale("scale", self.scale)
        if self.quantization_weight is not None:
            check_number("quantization_weight", self.quantization_weight)
        if self.n_codewords is not None:
            check_number("n_codewords", self.n_codewords, at_least=2, whole=True)
        if self.head_bits is not None:
            check_number("head_bits", self.head_bits, at_least=1, whole=True)
        check_number("reassign_always_until", self.reassign_always_until, whole=True)
        check_number("reassign_every", self.reassign_every, whole=True)
        check_balance(self.class_balance)


def _centers(task: Task, options: CRHOptions, rng: Generator) -> CenterState:
    n_codewords = options.n_codewords
    if n_codewords is None:
        n_codewords = default_codewords(task.n_classes, task.n_bits)
    if n_codewords < task.n_classes:
        raise InputError(f"n_codewords must be at least the {task.n_classes} classes, not {n_codewords}")
    codebook = make_codebook(n_codewords, task.n_bits, rng, head_bits=options.head_bits, source=options.codebook)
    first = np.tile(np.arange(task.n_classes), (len(codebook), 1))
    return CenterState(
        centers=centers_from(codebook, first),
        tie_break=random_signs((task.n_bits,), rng),
        codebook=codebook,
        assignment=first,
    )


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: CRHOptions) -> Tensor:
    scale = crh_scale(task.n_classes) if options.scale is None else options.scale
    weight = options.quantization_weight
    if weight is None:
        weight = 0.0 if task.multi_label else 0.1
    loss = margin_cosine(
        outputs, labels, targets.centers, scale=scale, margin=options.margin, weights=balance_of(targets)
    )
    return loss + weight * quantization(outputs) if weight else loss


def reassigns_after(epoch: int, options: CRHOptions) -> bool:
    """Tell whether centers are reassigned after an epoch, counted from 0: each of the first 20, then every fifth."""
    if epoch < options.reassign_always_until:
        return True
    return options.reassign_every > 0 and (epoch + 1) % options.reassign_every == 0


def _reassign(
    state: CenterState, class_means: npt.NDArray[np.float64], epoch: int, options: CRHOptions, rng: Generator
) -> CenterState:
    if not reassigns_after(epoch, options):
        return state
    return reassign(state, class_means, rng, assignment=options.assignment)


CRH = Method(
    name="crh",
    title="CRH: centers reassigned from a codebook during training",
    citation="Yin et al., Codebook-Centric Deep Hashing: End-to-End Joint Learning of Semantic Hash Centers and Neural "
    "Hash Function, AAAI 2026, arXiv 2511.12162",
    options=CRHOptions(),
    make_centers=_centers,
    loss=_loss,
    distinct=True,
    schedules={
        "frozen": Schedule(
            epochs=20, batch_size=256, learning_rate=2e-2, linear_factor=0.05, betas=(0.5, 0.999), least_steps=720
        ),
        "fine-tuned": Schedule(
            epochs=300, multi_label_epochs=30, batch_size=128, learning_rate=1e-4, betas=(0.5, 0.999)
        ),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3, betas=(0.5, 0.999)),
    },
    reassign=_reassign,
    prepare=prepare_balance,
)
