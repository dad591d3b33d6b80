"""Quantization of outputs before any tanh: how far they lie from their own signs."""

import torch
from torch import Tensor


def sign_quantization(outputs: Tensor) -> Tensor:
    """Return the mean of (u - sign u)² over images and bits; the sign of 0 is +1.

    Source: DPSH (Li et al., IJCAI 2016) and DTSH (Wang et al., ACCV 2016), which sum over bits and images.

    Args:
        outputs: float `(n, n_bits)`.

    Returns:
        A scalar, at least 0; 0 where every output is -1 or +1.
    """
    signs = torch.where(outputs >= 0, 1.0, -1.0).to(outputs.dtype)
    return ((outputs - signs) ** 2).mean()
