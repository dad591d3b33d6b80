"""The center loss of MDS: a softmax over the centers, each of whose probabilities is a yes-no question."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def center_softmax(outputs: Tensor, labels: Tensor, centers: Tensor, *, scale: float) -> Tensor:
    """Return the binary cross-entropy between softmax probabilities of the centers and the labels.

    With p = softmax_c(scale * <u, z_c> / (|u| |z_c|)) the loss is -mean_{n,c} (y log p + (1 - y) log(1 - p)). It is
    computed from logarithms, so that it is finite also where p is 1 in floating point.

    Source: MDS (Wang et al., CVPR 2023), as its authors' code computes it, with scale = √n_bits.

    Args:
        outputs: float `(n, n_bits)`: u.
        labels: float `(n, n_classes)`, 0 or 1.
        centers: float `(n_classes, n_bits)`: z, -1 or +1, at least two rows.
        scale: factor of the cosines, above 0.

    Returns:
        A scalar, at least 0.
    """
    logits = scale * (normalize(outputs, dim=1) @ normalize(centers, dim=1).T)
    yes = logits.log_softmax(dim=1)
    largest = torch.zeros_like(logits, dtype=torch.bool).scatter(1, logits.argmax(dim=1, keepdim=True), True)
    others = logits.masked_fill(largest, -torch.inf).logsumexp(dim=1, keepdim=True)
    no_of_largest = (others - logits.logsumexp(dim=1, keepdim=True)).expand_as(logits)
    no_of_others = torch.log1p(-yes.exp().masked_fill(largest, 0))
    no = torch.where(largest, no_of_largest, no_of_others)
    return -(labels * yes + (1 - labels) * no).mean()
