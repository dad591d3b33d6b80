"""What may be told of a training as it goes: that it was resumed, and the figures of each epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

EpochFigures = dict[str, Any]


def _nothing(*told: Any) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """What is called as networks are trained; by default nothing.

    Attributes:
        resumed: with (stage, epochs done, epochs in all) where training goes on from a checkpoint, and has not ended.
        estimated: with (stage, seconds, epochs left, steps of an epoch), once, after the first steps of a training that
            takes some seconds: it will take about so long, validation left out, and less where it ends early.
        epoch: with (name, figures) after each epoch. The name is that of the head of a hash network ("linear",
            "hidden", "experts", "memory"), or of what is trained before it: "classifier", "classifier 1", … (those of
            ECH), or "tuning" (the backbone). In the rehearsal of `auto` it begins with "rehearsal-", in the final
            training with "final-". The figures are what the history in a record holds of the epoch.
    """

    resumed: Callable[[str, int, int], None] = _nothing
    estimated: Callable[[str, float, int, int], None] = _nothing
    epoch: Callable[[str, EpochFigures], None] = _nothing


NO_CALLBACKS = Callbacks()


def told_apart(callbacks: Callbacks, prefix: str, what: str) -> Callbacks:
    """Return callbacks that are told of a training that is like another one under names of its own.

    Args:
        callbacks: what is told.
        prefix: stands before the names of its networks, with a dash.
        what: stands behind the names of its stages.
    """
    return Callbacks(
        resumed=lambda stage, *told: callbacks.resumed(f"{stage}, {what}", *told),
        estimated=lambda stage, *told: callbacks.estimated(f"{stage}, {what}", *told),
        epoch=lambda name, figures: callbacks.epoch(f"{prefix}-{name}", figures),
    )
