"""Two views of an image agree on its code, and the codes of a batch differ: after CroVCA (arXiv 2510.27584)."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, normalize


def agreement(one: Tensor, other: Tensor) -> Tensor:
    """Return how badly each view's outputs `(n, n_bits)` say the signs of the other's: a mean of cross-entropies."""
    there = binary_cross_entropy_with_logits(one, (other > 0).to(one.dtype))
    back = binary_cross_entropy_with_logits(other, (one > 0).to(one.dtype))
    return (there + back) / 2


def sameness(outputs: Tensor, epsilon: float = 0.05) -> Tensor:
    """Return minus the volume that outputs `(n, n_bits)` fill at length 1: high where all of them are alike."""
    n, n_bits = outputs.shape
    rows = normalize(outputs, dim=1)
    spread = torch.eye(n_bits, dtype=rows.dtype) + n_bits / (n * epsilon) * rows.T @ rows
    return -torch.linalg.slogdet(spread).logabsdet * (n_bits + n) / (2 * n_bits * n)
