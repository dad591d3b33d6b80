"""Central similarity (CSQ): each bit is a yes-no question whose answer is the bit of the center."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def torch_centroids(labels: Tensor, centers: Tensor, tie_break: Tensor) -> Tensor:
    """Return the target of each image: its center, or for several labels the majority sign of its centers.

    Args:
        labels: float `(n, n_classes)`, 0 or 1.
        centers: float `(n_classes, n_bits)`, -1 or +1.
        tie_break: float `(n_bits,)`, -1 or +1, the sign where the votes are even.

    Returns:
        float `(n, n_bits)`, -1 or +1.
    """
    votes = labels @ centers
    return torch.where(votes == 0, tie_break, votes.sign())


def torch_words_of_sets(labels: Tensor, label_sets: Tensor, set_words: Tensor) -> Tensor:
    """Return the word of each image's set of labels; for a set without one, that of the set it differs least from.

    Args:
        labels: float `(n, n_classes)`, 0 or 1.
        label_sets: float `(n_sets, n_classes)`, 0 or 1.
        set_words: float `(n_sets, n_bits)`, -1 or +1.

    Returns:
        float `(n, n_bits)`, -1 or +1; of equally near sets the first.
    """
    nearness = 2 * labels @ label_sets.T - label_sets.sum(dim=1)  # the labels of an image less the difference
    return set_words[nearness.argmax(dim=1)]


def central_similarity(outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the binary cross-entropy between tanh outputs and targets, averaged over images and bits.

    With b = tanh(u) and target h, both mapped to [0, 1], the loss is BCE((b + 1) / 2, (h + 1) / 2). Because
    (tanh(u) + 1) / 2 = sigmoid(2u), it is computed from the logits 2u, which stays finite for any u.

    Source: CSQ (Yuan et al., CVPR 2020), equation 5; SHC (arXiv 2507.08404), equation 41, which omits the minus sign.

    Args:
        outputs: float `(n, n_bits)`, before tanh.
        targets: float `(n, n_bits)`, -1 or +1.
        weights: float `(n,)`: of the images; None for 1.

    Returns:
        A scalar, at least 0.
    """
    weight = None if weights is None else weights[:, None]
    return binary_cross_entropy_with_logits(2 * outputs, (targets + 1) / 2, weight)
