"""DPSH: whether two images share a label is likely by the inner product of their outputs; a memory holds all images."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from nearbit.losses.pairwise import pair_likelihood, sign_quantization
from nearbit.methods.method import MemoryTerm, Method, Schedule, Targets, Task, check_choice, check_number


@dataclass(frozen=True, kw_only=True)
class DPSHOptions:
    """Options of DPSH.

    Attributes:
        quantization_weight: weight of the mean squared distance of an output from its sign. The authors' is
            10 · n_bits / n_train in these units: .096 for 48 bits and 5,000 images.
        pairs: "balanced": similar ones and others have a mean each; or all count "equal", as in the paper, which with
            many classes lets the few similar ones go under (`docs/methods/dpsh.md`).
    """

    quantization_weight: float = 0.1
    pairs: Literal["equal", "balanced"] = "balanced"

    def __post_init__(self) -> None:
        check_number("quantization_weight", self.quantization_weight)
        check_choice("pairs", self.pairs, ("equal", "balanced"))


def _memory(options: DPSHOptions) -> MemoryTerm:
    return MemoryTerm()


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: DPSHOptions) -> Tensor:
    assert targets.memory is not None  # noqa: S101 - `memory` asks for one
    seen, seen_labels = targets.memory
    loss = pair_likelihood(outputs, labels, seen, seen_labels, balanced=options.pairs == "balanced")
    return loss + options.quantization_weight * sign_quantization(outputs)


DPSH = Method(
    name="dpsh",
    title="DPSH: pairs of each batch and a memory of all training images, by a likelihood",
    citation="Li et al., Feature Learning based Deep Supervised Hashing with Pairwise Labels, IJCAI 2016",
    options=DPSHOptions(),
    loss=_loss,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=1e-2, linear_factor=0.1, least_steps=720),
        "fine-tuned": Schedule(epochs=150, batch_size=128, learning_rate=1e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
    memory=_memory,
)
