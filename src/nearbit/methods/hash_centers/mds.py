"""MDS: centers with a guaranteed minimum distance, a softmax over them as the loss, and later pairs of images."""

import math
from dataclasses import dataclass

from torch import Tensor

from nearbit.centers import CenterState, Generator, mds_centers, random_signs
from nearbit.losses import center_softmax, memory_pairs, quantization
from nearbit.methods.method import (
    MemoryTerm,
    Method,
    Schedule,
    Targets,
    Task,
    check_number,
    check_scale,
    refuse_idle,
)

ENCODER_MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True)
class MDSOptions:
    """Options of MDS; but for `pair_weight`, which is 1 there, the defaults are those of the authors' code.

    Attributes:
        quantization_weight: weight of the quantization loss.
        scale: factor of the cosines; None for √n_bits.
        pair_weight: weight of the pairwise term; 0 leaves it out, since on frozen features it costs mean average
            precision (`docs/methods/mds.md`).
        pair_after: how many first epochs go without the pairwise term.
    """

    quantization_weight: float = 1e-4
    scale: float | None = None
    pair_weight: float = 0.0
    pair_after: int = 9

    def __post_init__(self) -> None:
        check_number("quantization_weight", self.quantization_weight)
        if self.scale is not None:
            check_scale("scale", self.scale)
        check_number("pair_weight", self.pair_weight)
        check_number("pair_after", self.pair_after, whole=True)
        if not self.pair_weight:
            refuse_idle(self, "pair_weight is 0", "pair_after")


def _centers(task: Task, options: MDSOptions, rng: Generator) -> CenterState:
    centers = mds_centers(task.n_classes, task.n_bits, rng)
    return CenterState(centers=centers, tie_break=random_signs((task.n_bits,), rng))


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: MDSOptions) -> Tensor:
    scale = math.sqrt(task.n_bits) if options.scale is None else options.scale
    loss = center_softmax(outputs, labels, targets.centers, scale=scale)
    return loss + options.quantization_weight * quantization(outputs)


def _memory(options: MDSOptions) -> MemoryTerm | None:
    if options.pair_weight == 0:
        return None
    return MemoryTerm(
        loss=memory_pairs, weight=options.pair_weight, after=options.pair_after, momentum=ENCODER_MOMENTUM
    )


MDS = Method(
    name="mds",
    title="MDS: centers at a guaranteed minimum distance, and a softmax over them",
    citation="Wang et al., Deep Hashing with Minimal-Distance-Separated Hash Centers, CVPR 2023",
    options=MDSOptions(),
    make_centers=_centers,
    loss=_loss,
    distinct=True,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=1e-2, least_steps=720),
        "fine-tuned": Schedule(epochs=100, batch_size=64, learning_rate=1e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
    normalized=True,
    memory=_memory,
)
