"""DPN: fixed centers, and a hinge that drives every output beyond a margin."""

from dataclasses import dataclass

from polarization import polarization
from torch import Tensor

from nearbit.centers import CenterState, Generator, csq_centers, random_signs
from nearbit.losses import torch_centroids
from nearbit.methods.method import Method, Schedule, Targets, Task, check_number


@dataclass(frozen=True, kw_only=True)
class DPNOptions:
    """Options of DPN.

    Attributes:
        margin: how far from 0 an output has to be.
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        check_number("margin", self.margin)


def _centers(task: Task, options: DPNOptions, rng: Generator) -> CenterState:
    centers = csq_centers(task.n_classes, task.n_bits, rng)
    return CenterState(centers=centers, tie_break=random_signs((task.n_bits,), rng))


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: DPNOptions) -> Tensor:
    own = torch_centroids(labels, targets.centers, targets.tie_break)  # with several labels: the majority of each bit
    return polarization(outputs, own, options.margin)


DPN = Method(
    name="dpn",
    title="DPN: a hinge on every output, towards fixed centers",
    citation="Fan et al., Deep Polarized Network for Supervised Learning of Accurate Binary Hashing Codes, IJCAI 2020",
    options=DPNOptions(),
    make_centers=_centers,
    loss=_loss,
    schedules={
        "frozen": Schedule(epochs=40, batch_size=256, learning_rate=2e-2, linear_factor=0.05),
        "fine-tuned": Schedule(epochs=90, batch_size=64, learning_rate=1e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
