"""What a baseline is: a rule that makes a head from features and no epochs; most need no labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from nearbit.centers import Centers, Generator
from nearbit.methods.method import TrainingImages, options_with
from nearbit.networks import Head


class Fitted(NamedTuple):
    """What a baseline found: a head on the features, and for the label code the words of the classes."""

    head: Head
    centers: Centers | None = None


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One way to make codes of frozen features without training a hash network.

    Attributes:
        name: as typed on the command line.
        title: one line for people.
        citation: the paper.
        options: a frozen dataclass.
        fit: (images, n_bits, options, rng) to the head.
        needs_labels: whether the training images must have labels.
        trains_classifier: whether it trains a classifier, in batches over several epochs.
    """

    name: str
    title: str
    citation: str
    options: Any
    fit: Callable[[TrainingImages, int, Any, Generator], Fitted]
    needs_labels: bool = False
    trains_classifier: bool = False

    def with_options(self, values: Mapping[str, Any] | None) -> Any:
        """Return the options with some values replaced; an unknown name is an error that suggests one."""
        return options_with(self.name, self.options, values)
