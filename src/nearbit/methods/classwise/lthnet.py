"""LTHNet, for long tails: what a memory of the classes says joins the features, and a classifier asks the codes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from nearbit.errors import InputError
from nearbit.losses import cross_entropy
from nearbit.methods.class_balance import balance_of, check_balance, prepare_balance
from nearbit.methods.method import LossModule, Method, Schedule, Targets, Task, check_number
from nearbit.networks import refresh_memory

MOST_PROTOTYPES = 64


@dataclass(frozen=True, kw_only=True)
class LTHNetOptions:
    """Options of LTHNet.

    Attributes:
        prototypes: rows of the memory for each class beside its mean; 3 in the paper's tables, 0 in its released code.
        class_balance: beta of class-balanced weights: 0, as the paper has it, weighs all classes alike.
    """

    prototypes: int = 0
    class_balance: float = 0.0

    def __post_init__(self) -> None:
        check_number("prototypes", self.prototypes, whole=True)
        if self.prototypes > MOST_PROTOTYPES:
            raise InputError(f"prototypes must be at most {MOST_PROTOTYPES} a class, not {self.prototypes}")
        check_balance(self.class_balance)


class ClassScores(LossModule):
    """A linear classifier of tanh outputs: logits `(n, n_classes)` of `(n, n_bits)`."""

    def __init__(self, task: Task, options: LTHNetOptions) -> None:
        super().__init__()
        self.linear = nn.Linear(task.n_bits, task.n_classes)

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the logits of outputs in [-1, 1]."""
        logits: Tensor = self.linear(outputs)
        return logits


def _own(task: Task, options: LTHNetOptions) -> Mapping[str, Any]:
    return {"rows": task.n_classes * (1 + options.prototypes)}


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: LTHNetOptions) -> Tensor:
    assert targets.module is not None  # noqa: S101 - the method has one
    return cross_entropy(targets.module(outputs.tanh()), labels, balance_of(targets))


LTHNET = Method(
    name="lthnet",
    title="LTHNet: a memory of the classes beside the features, for data of which some classes have few images",
    citation="Chen et al., Long-Tail Hashing, SIGIR 2021",
    options=LTHNetOptions(),
    loss=_loss,
    module=ClassScores,
    prepare=prepare_balance,
    head="memory",
    head_options=_own,
    refresh=refresh_memory,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=3e-3, least_steps=720),
        "fine-tuned": Schedule(epochs=100, batch_size=128, learning_rate=1e-4, weight_decay=5e-4),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
