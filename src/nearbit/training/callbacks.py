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
        epoch: with (name, figures) after each epoch: the name is "linear", "hidden", "classifier" or "tuning"
            ("final-hidden" and so on in the final training), and the figures are what `record["history"]` holds of the
            epoch.
    """

    resumed: Callable[[str, int, int], None] = _nothing
    estimated: Callable[[str, float, int, int], None] = _nothing
    epoch: Callable[[str, EpochFigures], None] = _nothing


NO_CALLBACKS = Callbacks()
