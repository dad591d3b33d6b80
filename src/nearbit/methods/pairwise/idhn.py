"""IDHN: pairs of a batch whose similarity has grades: all labels agree, none, or some."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nearbit.centers import Generator
from nearbit.losses.pairwise import graded_pairs, softsign_quantization
from nearbit.methods.method import Method, Schedule, Targets, Task, check_number
from nearbit.methods.sampling import balanced_batches


@dataclass(frozen=True, kw_only=True)
class IDHNOptions:
    """Options of IDHN; the weights and the scale are those of the authors' code.

    Attributes:
        soft_weight: weight of pairs only some of whose labels agree.
        quantization_weight: weight of the mean distance of an output from -1 or +1.
        scale: the largest logit of a hard pair, for any number of bits; above 0.
        images_a_class: how many images of a class are to be in a batch, if any is; see `balanced_batches`.
    """

    soft_weight: float = 0.1
    quantization_weight: float = 0.1
    scale: float = 5.0
    images_a_class: int = 2

    def __post_init__(self) -> None:
        for name in ("soft_weight", "quantization_weight"):
            check_number(name, getattr(self, name))
        check_number("scale", self.scale, is_positive=True, why="with 0 every hard pair costs the same")
        check_number("images_a_class", self.images_a_class, at_least=1, whole=True)


def _batches(
    labels: npt.NDArray[np.bool_], batch_size: int, options: IDHNOptions, rng: Generator
) -> list[npt.NDArray[np.int64]]:
    return balanced_batches(labels, batch_size, options.images_a_class, rng)


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: IDHNOptions) -> Tensor:
    loss = graded_pairs(outputs, labels, scale=options.scale, soft_weight=options.soft_weight)
    return loss + options.quantization_weight * softsign_quantization(outputs)


IDHN = Method(
    name="idhn",
    title="IDHN: pairs of a batch whose similarity has grades",
    citation="Zhang et al., Improved Deep Hashing with Soft Pairwise Similarity for Multi-label Image Retrieval, "
    "TMM 2019, arXiv 1803.02987",
    options=IDHNOptions(),
    loss=_loss,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=1e-2, linear_factor=0.1, least_steps=720),
        "fine-tuned": Schedule(epochs=100, batch_size=128, learning_rate=1e-3, backbone_factor=0.01),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
    batches=_batches,
)
