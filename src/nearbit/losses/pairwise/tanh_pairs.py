"""Weighted pairs of tanh outputs that grow steeper (HashNet): the loss nears that of the signs themselves."""

import torch
from torch import Tensor

from nearbit.losses.pairwise.pairs import different_images, mean_of_pairs, negative_log_likelihood, shares_label


def tanh_pairs(
    outputs: Tensor, labels: Tensor, *, beta: float, scale: float, balanced: bool = True, jaccard: bool = False
) -> Tensor:
    """Return the weighted mean of log(1 + exp(t)) - s · t over the pairs of a batch.

    t = scale · v · v' / n_bits with v = tanh(beta · u); s is 1 where two images share a label.

    Source: HashNet (Cao et al., ICCV 2017), the weighted pairwise likelihood; t as in the authors' PyTorch code, whose
    scale is 10.

    Args:
        outputs: float `(n, n_bits)`, before tanh.
        labels: float `(n, n_classes)`, 0 or 1.
        beta: steepness, above 0.
        scale: the largest logit.
        balanced: similar pairs and the others have each a mean of their own, and these are added.
        jaccard: a similar pair counts by the share of their labels that both have; dissimilar ones count whole.

    Returns:
        A scalar, at least 0; a kind of pairs that a batch lacks adds 0.
    """
    values = (beta * outputs).tanh()
    similar = shares_label(labels, labels)
    terms = negative_log_likelihood(scale * (values @ values.T) / outputs.shape[1], similar)
    if jaccard:
        shared, sizes = labels @ labels.T, labels.sum(dim=1)
        union = sizes[:, None] + sizes[None, :] - shared
        terms = terms * torch.where(similar, shared / union.clamp(min=1), 1.0)
    return mean_of_pairs(terms, similar, different_images(len(outputs), outputs.device), balanced=balanced)
