"""DCWH: a softmax over distances to the mean outputs of the classes, which are taken anew every few epochs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nearbit.centers import CenterState, Generator, random_signs
from nearbit.losses import class_wise, hypercube, vertex_distance
from nearbit.methods.method import Method, Schedule, Targets, Task, check_number, check_scale


@dataclass(frozen=True, kw_only=True)
class DCWHOptions:
    """Options of DCWH; the defaults are those that the authors' code uses.

    Attributes:
        sigma: the inverse variance of each class.
        cube_side: beyond which an output is drawn back.
        cube_weight: weight of that.
        vertex_weight: weight of the squared distance to the signs.
        update_every: epochs between two updates of the class means.
    """

    sigma: float = 1.0
    cube_side: float = 1.1
    cube_weight: float = 10.0
    vertex_weight: float = 0.01
    update_every: int = 2

    def __post_init__(self) -> None:
        check_scale("sigma", self.sigma)
        check_number("cube_side", self.cube_side)
        check_number("cube_weight", self.cube_weight)
        check_number("vertex_weight", self.vertex_weight)
        check_number("update_every", self.update_every, at_least=1, whole=True)


def state_of_means(means: npt.NDArray[np.float64], tie_break: npt.NDArray[np.int8]) -> CenterState:
    """Return real-valued centers, with their signs as the words of the classes."""
    signs = np.where(means >= 0, 1, -1).astype(np.int8)
    return CenterState(centers=signs, tie_break=tie_break, class_means=means.astype(np.float32))


def _first_means(task: Task, options: DCWHOptions, rng: Generator) -> CenterState:
    means = rng.standard_normal((task.n_classes, task.n_bits))
    return state_of_means(means, random_signs((task.n_bits,), rng))


def _means_of_outputs(
    state: CenterState, class_means: npt.NDArray[np.float64], epoch: int, options: DCWHOptions, rng: Generator
) -> CenterState:
    return state if (epoch + 1) % options.update_every else state_of_means(class_means, state.tie_break)


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: DCWHOptions) -> Tensor:
    assert targets.class_means is not None  # noqa: S101 - its centers have them
    return (
        class_wise(outputs, labels, targets.class_means, sigma=options.sigma)
        + options.cube_weight * hypercube(outputs, side=options.cube_side)
        + options.vertex_weight * vertex_distance(outputs)
    )


DCWH = Method(
    name="dcwh",
    title="DCWH: a softmax over the distances to the mean outputs of the classes",
    citation="Zhe, Chen, Yan, Deep Class-Wise Hashing: Semantics-Preserving Hashing via Class-Wise Loss, TNNLS 2019, "
    "arXiv 1803.04137",
    options=DCWHOptions(),
    make_centers=_first_means,
    reassign=_means_of_outputs,
    means_of="outputs",
    loss=_loss,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=1e-2, least_steps=720),
        "fine-tuned": Schedule(epochs=150, batch_size=128, learning_rate=1e-4, weight_decay=5e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
