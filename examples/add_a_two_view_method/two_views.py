"""A method that needs no labels: two views of each image, and nothing else."""

from dataclasses import dataclass

from agreement import agreement, sameness
from torch import Tensor

from nearbit.methods import Method, Schedule, Targets, Task
from nearbit.methods.method import check_number


@dataclass(frozen=True, kw_only=True)
class TwoViewOptions:
    """Options: the weight of what keeps codes apart."""

    diversity: float = 0.1

    def __post_init__(self) -> None:
        check_number("diversity", self.diversity)


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: TwoViewOptions) -> Tensor:
    one, other = outputs.chunk(2)  # all images in the first view, then all in the second
    return agreement(one, other) + options.diversity * (sameness(one) + sameness(other)) / 2


TWO_VIEWS = Method(
    name="two-views",
    title="Two views of an image agree on its code",
    citation="after Moummad et al., arXiv 2510.27584, 2025",
    options=TwoViewOptions(),
    loss=_loss,
    views=2,
    needs_labels=False,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=1e-3, least_steps=720),
        "fine-tuned": Schedule(epochs=30, batch_size=64, learning_rate=1e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
