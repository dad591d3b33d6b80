"""A method without centers: triplets of each batch, which holds several images of a class, and a pull to the signs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from margin_triplets import margin_triplets
from torch import Tensor

from nearbit.centers import Generator
from nearbit.losses import quantization
from nearbit.methods.method import Method, Schedule, Targets, Task, check_number
from nearbit.methods.sampling import balanced_batches


@dataclass(frozen=True, kw_only=True)
class TripletsOptions:
    """Options of the method.

    Attributes:
        margin: between two cosines.
        quantization_weight: weight of the quantization loss.
    """

    margin: float = 0.5
    quantization_weight: float = 0.05

    def __post_init__(self) -> None:
        check_number("margin", self.margin)
        check_number("quantization_weight", self.quantization_weight)


def _batches(
    labels: npt.NDArray[np.bool_], batch_size: int, options: TripletsOptions, rng: Generator
) -> list[npt.NDArray[np.int64]]:
    return balanced_batches(labels, batch_size, 2, rng)  # two images of a class, where it is in a batch


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: TripletsOptions) -> Tensor:
    loss = margin_triplets(outputs, labels, options.margin)
    return loss + options.quantization_weight * quantization(outputs)


TRIPLETS = Method(
    name="triplets",
    title="A hinge on triplets of cosines",
    citation="Schroff et al., FaceNet: A Unified Embedding for Face Recognition and Clustering, CVPR 2015",
    options=TripletsOptions(),
    loss=_loss,
    batches=_batches,
    schedules={
        "frozen": Schedule(epochs=40, batch_size=256, learning_rate=1e-2),
        "fine-tuned": Schedule(epochs=90, batch_size=64, learning_rate=1e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
