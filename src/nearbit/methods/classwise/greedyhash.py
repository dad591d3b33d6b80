"""GreedyHash: a linear classifier on the signs themselves, whose gradient passes the sign unchanged."""

from dataclasses import dataclass

from torch import Tensor, nn

from nearbit.losses import cross_entropy, cubic_penalty, straight_through
from nearbit.methods.class_balance import balance_of, check_balance, prepare_balance
from nearbit.methods.method import LossModule, Method, Schedule, Targets, Task, check_number


@dataclass(frozen=True, kw_only=True)
class GreedyHashOptions:
    """Options of GreedyHash.

    Attributes:
        penalty_weight: weight of the cubic penalty; 0.1 for CIFAR and 1 for ImageNet in the authors' code.
        class_balance: beta of class-balanced weights: 0 weighs all classes alike, 0.99 favors rare ones.
    """

    penalty_weight: float = 0.1
    class_balance: float = 0.0

    def __post_init__(self) -> None:
        check_number("penalty_weight", self.penalty_weight)
        check_balance(self.class_balance)


class CodeClassifier(LossModule):
    """A linear classifier of codes, without a shift: logits `(n, n_classes)` of `(n, n_bits)`."""

    def __init__(self, task: Task, options: GreedyHashOptions) -> None:
        super().__init__()
        self.linear = nn.Linear(task.n_bits, task.n_classes, bias=False)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the logits of codes."""
        logits: Tensor = self.linear(codes)
        return logits


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: GreedyHashOptions) -> Tensor:
    assert targets.module is not None  # noqa: S101 - the method has one
    logits = targets.module(straight_through(outputs))
    return cross_entropy(logits, labels, balance_of(targets)) + options.penalty_weight * cubic_penalty(outputs)


GREEDYHASH = Method(
    name="greedyhash",
    title="GreedyHash: a classifier on the signs, with a gradient that passes them",
    citation="Su et al., Greedy Hash: Towards Fast Optimization for Accurate Hash Coding in CNN, NeurIPS 2018",
    options=GreedyHashOptions(),
    loss=_loss,
    module=CodeClassifier,
    prepare=prepare_balance,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=3e-3, least_steps=720),
        "fine-tuned": Schedule(epochs=100, batch_size=64, learning_rate=1e-4, backbone_factor=0.1, weight_decay=5e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
