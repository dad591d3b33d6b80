"""What losses over pairs of images share: who shares a label, the likelihood of that, and means over pairs."""

import torch
from torch import Tensor
from torch.nn.functional import softplus


def shares_label(labels: Tensor, others: Tensor) -> Tensor:
    """Return which pairs of images share a label: bool `(n, m)`, for labels float `(n, n_classes)` and `(m, …)`."""
    return (labels @ others.T) > 0


def different_images(n: int, device: torch.device) -> Tensor:
    """Return the pairs of a batch whose images differ: bool `(n, n)`, False on the diagonal."""
    return ~torch.eye(n, dtype=torch.bool, device=device)


def negative_log_likelihood(logits: Tensor, similar: Tensor) -> Tensor:
    """Return log(1 + exp(t)) - s · t for each pair, without overflow: t are logits, s is 1 where a pair is similar."""
    return softplus(torch.where(similar, -logits, logits))


def mean_of_pairs(values: Tensor, similar: Tensor, counted: Tensor, *, balanced: bool) -> Tensor:
    """Return a mean over the pairs that count; 0 where there are none.

    Args:
        values: float `(n, m)`, finite.
        similar: bool `(n, m)`.
        counted: bool, of that shape or broadcast to it: the pairs that count.
        balanced: the mean over the similar pairs plus that over the others, as the weights |S| / |S1| and |S| / |S0|
            of HashNet have it; the part that has no pair is 0. Otherwise all pairs count alike.
    """
    groups = (similar & counted, ~similar & counted) if balanced else (counted.expand_as(similar),)
    total = values.new_zeros(())
    for group in groups:
        total = total + (values * group).sum() / group.sum().clamp(min=1)
    return total
