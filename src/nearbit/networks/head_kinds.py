"""The layers of each kind of head, behind the standardised features; a method may bring a kind of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nearbit.errors import InputError, did_you_mean

HeadKind = str
HEADS: tuple[HeadKind, ...] = ("linear", "hidden")
"""The heads that any loss can train, and that add-class can extend: their last layer is linear."""


@dataclass(frozen=True, kw_only=True)
class HeadSizes:
    """What the layers of a head are made of.

    Attributes:
        feature_dim, n_bits: from where, to where.
        hidden: units of a hidden layer.
        dropout: of a hidden layer.
        normalized: whether the last layer has no bias and batch normalisation behind it.
        own: what a kind of its own is made with besides: JSON-ready.
    """

    feature_dim: int
    n_bits: int
    hidden: int
    dropout: float
    normalized: bool
    own: Mapping[str, Any] = field(default_factory=dict)


Layers = Callable[[HeadSizes], nn.Sequential]

KINDS: dict[HeadKind, Layers] = {}
"""Every kind of head by name: a model's folder names its kind, so a kind must be here to open such a model."""


def head_kind(name: HeadKind) -> Callable[[Layers], Layers]:
    """Return a decorator that makes layers known as a kind of head.

    The layers map float `(n, feature_dim)` to `(n, n_bits)` in evaluation mode; in training mode they may give a loss
    more columns behind those. All of their state is in parameters and buffers, whose number does not depend on `own`:
    a foreign model's folder must not have many layers built.

    Raises:
        InputError: another kind has that name.
    """

    def register(layers: Layers) -> Layers:
        if KINDS.setdefault(name, layers) is not layers:
            raise InputError(f"a kind of head is called {name!r} already: take another name")
        return layers

    return register


def make_layers(kind: HeadKind, sizes: HeadSizes) -> nn.Sequential:
    """Return new layers of a kind; raise `InputError` for an unknown one."""
    if kind not in KINDS:
        raise InputError(
            f"a head must be one of {', '.join(KINDS)}, not {kind!r}.{did_you_mean(str(kind), list(KINDS))}"
        )
    return KINDS[kind](sizes)


@head_kind("linear")
def _linear_head(sizes: HeadSizes) -> nn.Sequential:
    return nn.Sequential(*last_layers(sizes.feature_dim, sizes))


@head_kind("hidden")
def _hidden_head(sizes: HeadSizes) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(sizes.feature_dim, sizes.hidden, bias=False),
        nn.BatchNorm1d(sizes.hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(sizes.dropout),
        *last_layers(sizes.hidden, sizes),
    )


@head_kind("label")
def _label_head(sizes: HeadSizes) -> nn.Sequential:
    return nn.Sequential(new_linear(sizes.feature_dim, sizes.hidden), WordOfLargest(sizes.hidden, sizes.n_bits))


class WordOfLargest(nn.Module):
    """Scores of classes `(n, n_classes)` to the word of the class with the largest one (of equal ones the first)."""

    words: Tensor

    def __init__(self, n_classes: int, n_bits: int) -> None:
        super().__init__()
        self.register_buffer("words", torch.ones(n_classes, n_bits))

    def forward(self, scores: Tensor) -> Tensor:
        """Return rows of `words`: float `(n, n_bits)`."""
        return self.words[scores.argmax(dim=1)]


def last_layers(width: int, sizes: HeadSizes) -> tuple[nn.Module, ...]:
    """Return the layers that give one output a bit: a linear one, or one without bias and batch normalisation."""
    if not sizes.normalized:
        return (new_linear(width, sizes.n_bits),)
    layer = nn.Linear(width, sizes.n_bits, bias=False)
    nn.init.normal_(layer.weight, std=0.01)
    return layer, nn.BatchNorm1d(sizes.n_bits)


def new_linear(width: int, n_outputs: int) -> nn.Linear:
    """Return a linear layer with small random weights and no shift, as hash layers of the field begin."""
    layer = nn.Linear(width, n_outputs)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer
