"""Hinge: fixed centers, and a loss that drives every output beyond a margin."""

from dataclasses import dataclass

from hinge_loss import hinge_loss
from torch import Tensor

from nearbit.centers import CenterState, Generator, csq_centers, random_signs
from nearbit.losses import torch_centroids
from nearbit.methods.method import Method, Schedule, Targets, Task, check_number


@dataclass(frozen=True, kw_only=True)
class HingeOptions:
    """Options of the hinge.

    Attributes:
        margin: how far from 0 an output has to be.
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        check_number("margin", self.margin)


def _centers(task: Task, options: HingeOptions, rng: Generator) -> CenterState:
    centers = csq_centers(task.n_classes, task.n_bits, rng)
    return CenterState(centers=centers, tie_break=random_signs((task.n_bits,), rng))


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: HingeOptions) -> Tensor:
    own = torch_centroids(labels, targets.centers, targets.tie_break)  # with several labels: the majority of each bit
    return hinge_loss(outputs, own, options.margin)


HINGE = Method(
    name="hinge",
    title="Hinge: a hinge on every output, towards fixed centers",
    citation="an example; the hinge is that of Cortes and Vapnik, Support-Vector Networks, Machine Learning 1995",
    options=HingeOptions(),
    make_centers=_centers,
    loss=_loss,
    schedules={
        "frozen": Schedule(epochs=40, batch_size=256, learning_rate=2e-2, linear_factor=0.05),
        "fine-tuned": Schedule(epochs=90, batch_size=64, learning_rate=1e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
