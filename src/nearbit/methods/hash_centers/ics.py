"""ICS: instance-weighted central similarity, for images with several labels. A reconstruction."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from nearbit.centers import CenterState, Generator, csq_centers, random_signs
from nearbit.losses import instance_similarity, quantization
from nearbit.methods.hash_centers.csq import CSQ
from nearbit.methods.method import Method, Targets, Task, check_choice, check_number, refuse_idle


@dataclass(frozen=True, kw_only=True)
class ICSOptions:
    """Options of ICS.

    Attributes:
        entropy_weight: the larger, the more alike the labels of an image count. Below the share of bits in which two
            centers differ (a half, mostly) an image collapses onto one of its labels.
        weights: "instance" (found for each image in each step) or "equal" (all labels of an image count alike: the
            limit of large entropy weights, and the control).
        quantization_weight: weight of the quantization loss, as in CSQ.
    """

    entropy_weight: float = 1.0
    weights: Literal["instance", "equal"] = "instance"
    quantization_weight: float = 0.05

    def __post_init__(self) -> None:
        why = "at 0 one label of an image counts and the others do not"
        check_number("entropy_weight", self.entropy_weight, is_positive=True, why=why)
        check_choice("weights", self.weights, ("instance", "equal"))
        check_number("quantization_weight", self.quantization_weight)
        if self.weights == "equal":
            refuse_idle(self, "all labels count alike", "entropy_weight")


def _check(task: Task, options: ICSOptions) -> None:
    if not task.multi_label:
        refuse_idle(options, "every image has one label", "weights", "entropy_weight")


def _centers(task: Task, options: ICSOptions, rng: Generator) -> CenterState:
    return CenterState(
        centers=csq_centers(task.n_classes, task.n_bits, rng), tie_break=random_signs((task.n_bits,), rng)
    )


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: ICSOptions) -> Tensor:
    weight = options.entropy_weight if options.weights == "instance" else None
    loss = instance_similarity(outputs, labels, targets.centers, entropy_weight=weight)
    return loss + options.quantization_weight * quantization(outputs)


ICS = Method(
    name="ics",
    title="ICS (reconstruction): CSQ whose labels count by what an image shows of each; with one label it is CSQ",
    citation="Zhang and Peng, Instance-weighted Central Similarity for Multi-label Image Retrieval, arXiv 2108.05274",
    options=ICSOptions(),
    make_centers=_centers,
    loss=_loss,
    schedules=CSQ.schedules,
    check=_check,
)
