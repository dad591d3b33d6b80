"""A hinge on triplets: an image is nearer to one of its own label than to one of another, by a margin."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def margin_triplets(outputs: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Return the mean of max(margin - cos(u_a, u_p) + cos(u_a, u_n), 0) over the triplets of a batch.

    Args:
        outputs: float `(n, n_bits)`: u, before any tanh.
        labels: float `(n, n_classes)`, 0 or 1: p shares a label with a, and n shares none.
        margin: from 0 to 2.

    Returns:
        A scalar, at least 0; 0 for a batch without triplets.
    """
    unit = normalize(outputs, dim=1)
    cosines = unit @ unit.T
    similar = labels @ labels.T > 0
    others = ~torch.eye(len(outputs), dtype=torch.bool, device=outputs.device)
    triplets = (similar & others)[:, :, None] & ~similar[:, None, :]
    terms = (margin - cosines[:, :, None] + cosines[:, None, :]).clamp(min=0)
    return (terms * triplets).sum() / triplets.sum().clamp(min=1)
