"""CSQ: central similarity quantization with fixed Hadamard or Bernoulli centers."""

from dataclasses import dataclass

from torch import Tensor

from nearbit.centers import CenterState, Generator, csq_centers, random_signs
from nearbit.losses import central_similarity, quantization, torch_centroids
from nearbit.methods.class_balance import check_balance, image_balance, prepare_balance
from nearbit.methods.method import Method, Schedule, Targets, Task, check_number


@dataclass(frozen=True, kw_only=True)
class CSQOptions:
    """Options of CSQ.

    Attributes:
        quantization_weight: weight of the quantization loss; 0.05 in the authors' commands.
        class_balance: beta of class-balanced weights: 0, as published, weighs all classes alike.
    """

    quantization_weight: float = 0.05
    class_balance: float = 0.0

    def __post_init__(self) -> None:
        check_number("quantization_weight", self.quantization_weight)
        check_balance(self.class_balance)


def _centers(task: Task, options: CSQOptions, rng: Generator) -> CenterState:
    return CenterState(
        centers=csq_centers(task.n_classes, task.n_bits, rng), tie_break=random_signs((task.n_bits,), rng)
    )


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: CSQOptions) -> Tensor:
    centroids = torch_centroids(labels, targets.centers, targets.tie_break)
    weights = image_balance(targets, labels)
    return central_similarity(outputs, centroids, weights) + options.quantization_weight * quantization(outputs)


CSQ = Method(
    name="csq",
    title="CSQ: central similarity quantization with fixed centers",
    citation="Yuan et al., Central Similarity Quantization for Efficient Image and Video Retrieval, CVPR 2020",
    options=CSQOptions(),
    make_centers=_centers,
    loss=_loss,
    prepare=prepare_balance,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=2e-2, linear_factor=0.05, least_steps=720),
        "fine-tuned": Schedule(epochs=90, batch_size=64, learning_rate=1e-3, backbone_factor=0.01),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
