"""HashNet: pairs of a batch, similar ones as heavy as all others, of outputs that grow towards their signs."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nearbit.centers import Generator
from nearbit.losses.pairwise import tanh_pairs
from nearbit.methods.method import Method, Schedule, Targets, Task, check_choice, check_number, refuse_idle
from nearbit.methods.sampling import balanced_batches


@dataclass(frozen=True, kw_only=True)
class HashNetOptions:
    """Options of HashNet.

    Attributes:
        continuation: outputs are tanh(β u) with β = √(1 + continuation · the share of the epochs that is done); 50 is
            where the authors' schedule ends. With 0 β stays 1.
        scale: the largest logit of a pair; above 0. 10 in the authors' code, for any number of bits.
        pairs: "balanced", as in the paper (similar ones and others have a mean each), or all "equal".
        grades: "jaccard" weighs similar pairs by the share of their labels that both have; "none" does not.
        images_a_class: how many images of a class are to be in a batch, if any is; see `balanced_batches`.
    """

    continuation: float = 50.0
    scale: float = 10.0
    pairs: Literal["equal", "balanced"] = "balanced"
    grades: Literal["none", "jaccard"] = "none"
    images_a_class: int = 2

    def __post_init__(self) -> None:
        check_number("continuation", self.continuation)
        check_number("scale", self.scale, is_positive=True, why="with 0 every pair costs the same")
        check_choice("pairs", self.pairs, ("equal", "balanced"))
        check_choice("grades", self.grades, ("none", "jaccard"))
        check_number("images_a_class", self.images_a_class, at_least=1, whole=True)


def _check(task: Task, options: HashNetOptions) -> None:
    if not task.multi_label:
        refuse_idle(options, "every image has one label", "grades")


def _batches(
    labels: npt.NDArray[np.bool_], batch_size: int, options: HashNetOptions, rng: Generator
) -> list[npt.NDArray[np.int64]]:
    return balanced_batches(labels, batch_size, options.images_a_class, rng)


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: HashNetOptions) -> Tensor:
    return tanh_pairs(
        outputs,
        labels,
        beta=math.sqrt(1 + options.continuation * targets.progress),
        scale=options.scale,
        balanced=options.pairs == "balanced",
        jaccard=options.grades == "jaccard",
    )


HASHNET = Method(
    name="hashnet",
    title="HashNet: weighted pairs of a batch, of outputs that grow towards their signs",
    citation="Cao et al., HashNet: Deep Learning to Hash by Continuation, ICCV 2017, arXiv 1702.00758",
    options=HashNetOptions(),
    loss=_loss,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=1e-2, linear_factor=0.1, least_steps=720),
        "fine-tuned": Schedule(epochs=100, batch_size=64, learning_rate=1e-3, backbone_factor=0.1),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
    batches=_batches,
    check=_check,
)
