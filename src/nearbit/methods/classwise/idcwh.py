"""IDCWH: the class-wise loss with centers that are learnt beside the network, and pushed apart."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from nearbit.centers import CenterState, Generator, random_signs
from nearbit.centers.state import no_centers
from nearbit.losses import center_push, class_wise, vertex_distance
from nearbit.methods.method import LossModule, Method, Schedule, Targets, Task, check_number, check_scale


@dataclass(frozen=True, kw_only=True)
class IDCWHOptions:
    """Options of IDCWH, which is a reconstruction; sigma and the weights are those of DCDH, by the same authors.

    Attributes:
        sigma: the inverse variance of each class.
        push_weight: weight of what drives the centers apart.
        vertex_weight: weight of the squared distance of outputs to their signs.
        center_rate: the learning rate of the centers, relative to the head's.
    """

    sigma: float = 0.25
    push_weight: float = 0.1
    vertex_weight: float = 0.01
    center_rate: float = 10.0

    def __post_init__(self) -> None:
        check_scale("sigma", self.sigma)
        check_number("push_weight", self.push_weight)
        check_number("vertex_weight", self.vertex_weight)
        check_number("center_rate", self.center_rate)


class LearntCenters(LossModule):
    """The centers: `centers`, float `(n_classes, n_bits)`, normally distributed at the start."""

    def __init__(self, task: Task, options: IDCWHOptions) -> None:
        super().__init__()
        self.rate_factor = options.center_rate
        self.centers = nn.Parameter(torch.randn(task.n_classes, task.n_bits))


def _no_words_yet(task: Task, options: IDCWHOptions, rng: Generator) -> CenterState:
    """Return a state whose centers are about to be replaced by the signs of the learnt ones."""
    words = random_signs((task.n_classes, task.n_bits), rng)
    return replace(no_centers(task.n_bits), centers=words, tie_break=random_signs((task.n_bits,), rng))


def _signs_of(module: LossModule, state: CenterState) -> CenterState:
    assert isinstance(module, LearntCenters)  # noqa: S101 - the method makes it
    learnt = module.centers.detach().cpu().numpy()
    return replace(state, centers=np.where(learnt >= 0, 1, -1).astype(np.int8))


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: IDCWHOptions) -> Tensor:
    """Return both steps as one: the gradients of each reach only what it moves, as `docs/methods/idcwh.md` shows."""
    assert isinstance(targets.module, LearntCenters)  # noqa: S101 - the method makes it
    centers = targets.module.centers
    return (
        class_wise(outputs, labels, centers, sigma=options.sigma)
        + options.push_weight * center_push(centers)
        + options.vertex_weight * vertex_distance(outputs)
    )


IDCWH = Method(
    name="idcwh",
    title="IDCWH (reconstruction): class centers that are learnt beside the network and pushed apart",
    citation="Zhang, Yan, Improved Deep Classwise Hashing With Centers Similarity Learning, ICPR 2020, "
    "arXiv 2103.09442",
    options=IDCWHOptions(),
    make_centers=_no_words_yet,
    centers_of=_signs_of,
    module=LearntCenters,
    loss=_loss,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=1e-2, least_steps=720),
        "fine-tuned": Schedule(epochs=150, batch_size=128, learning_rate=1e-4, weight_decay=5e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
