"""Pairs with grades (IDHN): images all or none of whose labels agree are hard pairs, the others soft ones."""

import torch
from torch import Tensor
from torch.nn.functional import normalize, softsign

from nearbit.losses.pairwise.pairs import different_images, negative_log_likelihood

AGREE, DIFFER = 0.99, 0.01
"""Cosines of labels above the first and below the second make hard pairs, as in the authors' code."""


def graded_pairs(outputs: Tensor, labels: Tensor, *, scale: float, soft_weight: float) -> Tensor:
    """Return the mean loss over the pairs of a batch: a likelihood for hard pairs, a squared error for soft ones.

    With v = softsign(u), c = v · v' / n_bits from -1 to 1 and s the cosine of the labels of two images: for hard pairs
    log(1 + exp(w)) - s · w with w = scale · c; for soft pairs soft_weight · n_bits · ((c + 1) / 2 - s)².

    Source: IDHN (Zhang et al., TMM 2019), in the form of the authors' code.

    Args:
        outputs: float `(n, n_bits)`, before softsign.
        labels: float `(n, n_classes)`, 0 or 1.
        scale: the largest w, whatever n_bits is.
        soft_weight: weight of the soft pairs.

    Returns:
        A scalar, at least 0; 0 for a batch of one image.
    """
    n, n_bits = outputs.shape
    values = softsign(outputs)
    likeness = values @ values.T / n_bits
    unit = normalize(labels, dim=1)
    grades = unit @ unit.T
    hard = negative_log_likelihood(scale * likeness, grades > AGREE)
    soft = soft_weight * n_bits * ((likeness + 1) / 2 - grades) ** 2
    terms = torch.where((grades > AGREE) | (grades < DIFFER), hard, soft)
    counted = different_images(n, outputs.device)
    return (terms * counted).sum() / counted.sum().clamp(min=1)


def softsign_quantization(outputs: Tensor) -> Tensor:
    """Return the mean of ||v| - 1| over images and bits, v = softsign(u).

    Source: IDHN (Zhang et al., TMM 2019), in the form of the authors' code.

    Args:
        outputs: float `(n, n_bits)`, before softsign.

    Returns:
        A scalar from 0 (all outputs saturated) to 1.
    """
    return (softsign(outputs).abs() - 1).abs().mean()
