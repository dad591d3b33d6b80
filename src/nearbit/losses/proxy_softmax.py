"""Proxy softmax (HCLM): classify by the plain products of tanh outputs with the words of classes."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from nearbit.losses.cross_entropy import cross_entropy


def proxy_softmax(outputs: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """Return the cross-entropy of softmax_c(h_c · v) with v = tanh(u): no scale, no margin, no length.

    Source: HCLM (Morgado et al., IJCV 2020), for one label an image.

    Args:
        outputs: float `(n, n_bits)`: u, before tanh.
        labels: float `(n, n_classes)`, 0 or 1, at least one 1 in each row; several share the target equally.
        centers: float `(n_classes, n_bits)`: h, -1 or +1.

    Returns:
        A scalar, at least 0.
    """
    return cross_entropy(outputs.tanh() @ centers.T, labels)


def balanced_proxies(outputs: Tensor, labels: Tensor, centers: Tensor, weights: Tensor) -> Tensor:
    """Return -Σ_k [w_k t_k log p_k + (1 - w_k) (1 - t_k) log(1 - p_k)], p_k = sigmoid(h_k · v), averaged over images.

    Source: HCLM (Morgado et al., IJCV 2020), for several labels an image. The sign in its sigmoid, a misprint, is
    corrected.

    Args:
        outputs: float `(n, n_bits)`: u, before tanh.
        labels: float `(n, n_classes)`: t, 0 or 1.
        centers: float `(n_classes, n_bits)`: h, -1 or +1.
        weights: float `(n_classes,)`: w, 0 to 1.

    Returns:
        A scalar, at least 0.
    """
    logits = outputs.tanh() @ centers.T
    yes, no = weights * labels, (1 - weights) * (1 - labels)
    return (yes * softplus(-logits) + no * softplus(logits)).sum(dim=1).mean()


def code_triplets(outputs: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """Return the mean of softplus(margin + d_ap - d_an) over the triplets of a batch, d = (n_bits - v · v') / 2.

    An anchor, a positive that shares a label with it and is another image, and a negative that shares none; distances
    are in bits. 0 where there are none.

    Source: HCLM (Morgado et al., IJCV 2020), the term that helps classes that were not trained.

    Args:
        outputs: float `(n, n_bits)`: u, before tanh.
        labels: float `(n, n_classes)`, 0 or 1.
        margin: in bits.

    Returns:
        A scalar, at least 0.
    """
    values = outputs.tanh()
    distances = (values.shape[1] - values @ values.T) / 2
    related = labels @ labels.T > 0
    pairs = related & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    anchors, positives = pairs.nonzero(as_tuple=True)
    terms = softplus(margin + distances[anchors, positives][:, None] - distances[anchors])
    negatives = (~related[anchors]).to(terms.dtype)
    return (terms * negatives).sum() / negatives.sum().clamp(min=1)
