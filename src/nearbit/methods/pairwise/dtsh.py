"""DTSH: an image is to be more like one that shares a label with it than like one that does not, by a margin."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nearbit.centers import Generator
from nearbit.losses.pairwise import sign_quantization, triplet_likelihood
from nearbit.methods.method import Method, Schedule, Targets, Task, check_number
from nearbit.methods.sampling import balanced_batches


@dataclass(frozen=True, kw_only=True)
class DTSHOptions:
    """Options of DTSH.

    Attributes:
        margin: by how many bits an image that shares a label is to be nearer than one that does not; None for half of
            the bits, as in the authors' code.
        quantization_weight: weight of the mean squared distance of an output from its sign.
        images_a_class: how many images of a class are to be in a batch, if any is; see `balanced_batches`.
    """

    margin: float | None = None
    quantization_weight: float = 0.1
    images_a_class: int = 2

    def __post_init__(self) -> None:
        if self.margin is not None:
            check_number("margin", self.margin)
        check_number("quantization_weight", self.quantization_weight)
        check_number("images_a_class", self.images_a_class, at_least=1, whole=True)


def _batches(
    labels: npt.NDArray[np.bool_], batch_size: int, options: DTSHOptions, rng: Generator
) -> list[npt.NDArray[np.int64]]:
    return balanced_batches(labels, batch_size, options.images_a_class, rng)


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: DTSHOptions) -> Tensor:
    margin = task.n_bits / 2 if options.margin is None else options.margin
    loss = triplet_likelihood(outputs, labels, margin)
    return loss + options.quantization_weight * sign_quantization(outputs)


DTSH = Method(
    name="dtsh",
    title="DTSH: triplets of a batch, by a likelihood with a margin",
    citation="Wang et al., Deep Supervised Hashing with Triplet Labels, ACCV 2016, arXiv 1612.03900",
    options=DTSHOptions(),
    loss=_loss,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=1e-2, linear_factor=0.1, least_steps=720),
        "fine-tuned": Schedule(epochs=100, batch_size=128, learning_rate=1e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
    batches=_batches,
)
