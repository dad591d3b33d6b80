"""OrthoHash: one cosine loss towards random binary targets, behind batch normalisation."""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from nearbit.centers import CENTERS, CenterState, Generator, random_signs
from nearbit.losses import margin_cosine
from nearbit.methods.method import Method, Schedule, Targets, Task, check_choice, check_number, check_scale

TargetKind = Literal["bernoulli", "maxhd", "csq"]
GENERATORS = {"bernoulli": "orthohash", "maxhd": "maxhd", "csq": "csq"}
"""The name of a generator of centers for each kind of target."""


@dataclass(frozen=True, kw_only=True)
class OrthoHashOptions:
    """Options of OrthoHash; the defaults are the paper's.

    Attributes:
        margin: taken from the cosine of each positive class.
        scale: factor of the cosines; None for √n_bits.
        targets: "bernoulli" (every bit drawn on its own), "maxhd" (drawn again until they are far apart) or "csq"
            (Hadamard rows where they exist).
    """

    margin: float = 0.2
    scale: float | None = None
    targets: TargetKind = "bernoulli"

    def __post_init__(self) -> None:
        check_number("margin", self.margin)
        if self.scale is not None:
            check_scale("scale", self.scale)
        check_choice("targets", self.targets, tuple(GENERATORS))


def _centers(task: Task, options: OrthoHashOptions, rng: Generator) -> CenterState:
    centers = CENTERS[GENERATORS[options.targets]](task.n_classes, task.n_bits, rng)
    return CenterState(centers=centers, tie_break=random_signs((task.n_bits,), rng))


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: OrthoHashOptions) -> Tensor:
    scale = math.sqrt(task.n_bits) if options.scale is None else options.scale
    return margin_cosine(outputs, labels, targets.centers, scale=scale, margin=options.margin)


ORTHOHASH = Method(
    name="orthohash",
    title="OrthoHash: the cosine to fixed random targets, with a batch-normalised head",
    citation="Hoe et al., One Loss for All: Deep Hashing with a Single Cosine Similarity based Learning Objective, "
    "NeurIPS 2021",
    options=OrthoHashOptions(),
    make_centers=_centers,
    center_options=("targets",),
    loss=_loss,
    schedules={
        "frozen": Schedule(
            epochs=20, batch_size=256, learning_rate=1e-2, linear_factor=0.3, weight_decay=5e-4, least_steps=720
        ),
        "fine-tuned": Schedule(epochs=100, batch_size=256, learning_rate=1e-4, backbone_factor=0.1, weight_decay=5e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3, weight_decay=5e-4),
    },
    normalized=True,
)
