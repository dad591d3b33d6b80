"""In which numbers a network computes while it is trained; its weights, losses and validation are always float32."""

from typing import Literal

import torch

from nearbit.errors import InputError
from nearbit.methods import Regime

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")


def resolve_precision(asked: str, device: torch.device, regime: Regime) -> Precision:
    """Return the precision that the options mean.

    "auto" is bfloat16 where images go through the network on a GPU that has it, else float32: a CPU is rarely faster
    with short numbers, and a head on cached features has little to gain.

    Raises:
        InputError: the GPU has no bfloat16.
    """
    has_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if asked == "auto":
        return "bfloat16" if has_bfloat16 and regime != "frozen" else "float32"
    if asked == "bfloat16" and device.type == "cuda" and not has_bfloat16:
        raise InputError("this GPU has no bfloat16: take --precision float16 or float32")
    return next(known for known in PRECISIONS if known == asked)


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context in which a network's forward pass computes in that precision."""
    dtype = torch.float16 if precision == "float16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "float32")
