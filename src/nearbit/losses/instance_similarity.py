"""Instance-weighted central similarity (ICS): how much each of an image's labels counts in its target."""

import torch
from torch import Tensor
from torch.nn.functional import softplus


def center_costs(outputs: Tensor, centers: Tensor) -> Tensor:
    """Return the binary cross-entropy of each image towards each center, averaged over bits: float `(n, n_classes)`.

    With b = tanh(u) and center h, both mapped to [0, 1], it is BCE((b + 1) / 2, (h + 1) / 2), from the logits 2u.

    Args:
        outputs: float `(n, n_bits)`: u, before tanh.
        centers: float `(n_classes, n_bits)`: h, -1 or +1.
    """
    misses = softplus(2 * outputs).mean(dim=1, keepdim=True)
    return misses - outputs @ (centers + 1).T / outputs.shape[1]


def instance_weights(costs: Tensor, labels: Tensor, entropy_weight: float) -> Tensor:
    """Return the weights of each image's labels: float `(n, n_classes)`, 0 elsewhere, of sum 1.

    They minimize Σ w_k D_k - entropy_weight · entropy(w) over the simplex on the labels: w_k is proportional to
    exp(-D_k / entropy_weight). For one label it is 1.

    Source: ICS (arXiv 2108.05274), whose abstract names the problem; the closed form in the place of projected gradient
    descent is ours.

    Args:
        costs: float `(n, n_classes)`: D.
        labels: float `(n, n_classes)`, 0 or 1, at least one 1 in each row.
        entropy_weight: above 0.
    """
    logits = (-costs / entropy_weight).masked_fill(labels == 0, -torch.inf)
    return logits.softmax(dim=1)


def instance_similarity(
    outputs: Tensor, labels: Tensor, centers: Tensor, *, entropy_weight: float | None = 1.0
) -> Tensor:
    """Return the mean over images of Σ w_k D_k, with constant weights: central similarity to a weighted centroid.

    The cross-entropy is linear in its target, so this is the cross-entropy towards Σ w_k (h_k + 1) / 2. No gradient
    goes through the weights.

    Args:
        outputs: float `(n, n_bits)`, before tanh.
        labels: float `(n, n_classes)`, 0 or 1, at least one 1 in each row.
        centers: float `(n_classes, n_bits)`, -1 or +1.
        entropy_weight: see `instance_weights`; None for the limit of large ones, where all labels count alike.

    Returns:
        A scalar, at least 0.
    """
    costs = center_costs(outputs, centers)
    if entropy_weight is None:
        weights = labels / labels.sum(dim=1, keepdim=True)
    else:
        weights = instance_weights(costs.detach(), labels, entropy_weight)
    return (weights * costs).sum(dim=1).mean()
