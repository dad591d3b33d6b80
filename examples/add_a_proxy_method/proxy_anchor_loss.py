"""Proxy-Anchor: every proxy draws the images of its class near and sends all others away, the hardest ones most."""

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus


def proxy_anchor_loss(outputs: Tensor, labels: Tensor, proxies: Tensor, *, scale: float, margin: float) -> Tensor:
    """Return the loss of Kim et al., Proxy Anchor Loss for Deep Metric Learning, CVPR 2020, equation 4.

    Args:
        outputs: float `(n, n_bits)`.
        labels: float `(n, n_classes)`, 0 or 1.
        proxies: float `(n_classes, n_bits)`.
        scale: factor of the cosines, above 0.
        margin: at least 0.
    """
    cosines = normalize(outputs, dim=1) @ normalize(proxies, dim=1).T
    near = (-scale * (cosines - margin)).masked_fill(labels == 0, -torch.inf)
    far = (scale * (cosines + margin)).masked_fill(labels > 0, -torch.inf)
    shown = labels.any(dim=0)  # a proxy none of whose images is in the batch draws nothing
    drawn = softplus(near[:, shown].logsumexp(dim=0)).mean()
    sent = torch.where(labels.all(dim=0), 0.0, softplus(far.logsumexp(dim=0))).mean()
    return drawn + sent
