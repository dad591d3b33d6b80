"""Building what a foreign description asks for, with no more work and memory than its weights account for."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from nearbit.errors import BundleError

LARGEST_NUMBER = 2**20
"""The largest whole number in a configuration: larger than any vocabulary, smaller than what fills memory."""

COUNTS = re.compile("layers|depth|blocks|stages|repeats")
"""What names the number of parts of a network, one after the other."""


FILLING = {
    torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.fill_, torch.Tensor.zero_, nn.init.normal_,
    nn.init.uniform_, nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.xavier_uniform_, nn.init.trunc_normal_,
    nn.init.zeros_, nn.init.ones_, nn.init.constant_,
}  # fmt: skip
"""What fills a tensor with first values."""


class _Unfilled(TorchFunctionMode):
    """Leaves tensors without values as they are."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if func in FILLING:
            tensor = args[0] if args else named["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **named)


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Let what is built in the block have shapes, and neither memory nor values.

    Random numbers for a tensor without memory are none, but torch loads its compiler for them, which takes longer than
    all else that opening a model does.
    """
    with torch.device("meta"), _Unfilled():
        yield


def check_config(config: dict[str, Any], n_tensors: int) -> None:
    """Raise `BundleError` where a configuration asks for more layers than its weights can have, or for huge sizes.

    Args:
        config: of a transformers model, as a model folder keeps it.
        n_tensors: how many weights there are.
    """
    pending: list[tuple[str, Any]] = [("", config)]
    parts, most = 0, 4 * n_tensors + 256
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict):
            pending += [(str(key), one) for key, one in value.items()]
        elif isinstance(value, list):
            pending += [(name, one) for one in value]
        elif isinstance(value, int) and not isinstance(value, bool):
            if abs(value) > LARGEST_NUMBER:
                raise BundleError(f"the backbone's configuration sets {name} to {str(value)[:20]}: no network has that")
            parts += max(value, 0) if COUNTS.search(name) else 0
            if parts > most:
                raise BundleError(
                    f"the backbone's configuration asks for {parts} layers ({name} …), and its weights are {n_tensors}"
                )


@contextmanager
def bounded_building(n_tensors: int, n_values: int) -> Iterator[None]:
    """Stop what is built within the block as soon as it is far larger than its weights: raises `BundleError`.

    Parts that have no weights in the file, such as the text half of a model of images and text, have their room.

    Args:
        n_tensors: how many weights there are.
        n_values: how many numbers they hold.
    """
    mine = threading.get_ident()
    left = {"layers": 32 * n_tensors + 16_384, "weights": 8 * n_tensors + 4096, "values": 16 * n_values + 2**24}

    def spend(kind: str, number: int) -> None:
        left[kind] -= number
        if left[kind] < 0:
            raise BundleError(f"the backbone that is described has far more {kind} than the {n_tensors} tensors given")

    def on_module(parent: nn.Module, name: str, module: nn.Module | None) -> None:
        if threading.get_ident() == mine:
            spend("layers", 1)

    def on_parameter(parent: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if threading.get_ident() == mine and parameter is not None:
            spend("weights", 1)
            spend("values", parameter.numel())

    hooks = [
        register_module_module_registration_hook(on_module),
        register_module_parameter_registration_hook(on_parameter),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
