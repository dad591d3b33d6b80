"""DPN: random targets, and a hinge that polarizes every output beyond a margin."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nearbit.centers import CENTERS, CenterState, Generator, random_signs
from nearbit.losses import polarization
from nearbit.methods.hash_centers.orthohash import GENERATORS, TargetKind
from nearbit.methods.method import Method, Schedule, Targets, Task, check_choice, check_number


@dataclass(frozen=True, kw_only=True)
class DPNOptions:
    """Options of DPN; the defaults are those of the author's code.

    Attributes:
        margin: how far from 0 an output has to be.
        targets: "bernoulli" (every bit drawn on its own: the signs of normal numbers), "maxhd" (drawn again until they
            are far apart) or "csq" (Hadamard rows where they exist).
        update_every: after so many epochs each, a class's target becomes the sign of the mean of its codes; 0: never.
    """

    margin: float = 1.0
    targets: TargetKind = "bernoulli"
    update_every: int = 0

    def __post_init__(self) -> None:
        check_number("margin", self.margin)
        check_choice("targets", self.targets, tuple(GENERATORS))
        check_number("update_every", self.update_every, whole=True)


def _centers(task: Task, options: DPNOptions, rng: Generator) -> CenterState:
    centers = CENTERS[GENERATORS[options.targets]](task.n_classes, task.n_bits, rng)
    return CenterState(centers=centers, tie_break=random_signs((task.n_bits,), rng))


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: DPNOptions) -> Tensor:
    return polarization(outputs, labels, targets.centers, margin=options.margin)


def _update(
    state: CenterState, class_means: npt.NDArray[np.float64], epoch: int, options: DPNOptions, rng: Generator
) -> CenterState:
    """Return the signs of the class means where an update is due; a bit whose mean is 0 stays."""
    if not options.update_every or (epoch + 1) % options.update_every:
        return state
    signs = np.where(class_means == 0, state.centers, np.sign(class_means)).astype(np.int8)
    return replace(state, centers=signs)


DPN = Method(
    name="dpn",
    title="DPN: a hinge on every output, towards random targets",
    citation="Fan et al., Deep Polarized Network for Supervised Learning of Accurate Binary Hashing Codes, IJCAI 2020",
    options=DPNOptions(),
    make_centers=_centers,
    loss=_loss,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=2e-2, linear_factor=0.05, least_steps=720),
        "fine-tuned": Schedule(epochs=100, batch_size=256, learning_rate=1e-4, weight_decay=5e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
    reassign=_update,
    moves=lambda options: options.update_every > 0,
    center_options=("targets",),
)
