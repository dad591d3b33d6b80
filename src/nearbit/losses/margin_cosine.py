"""Margin cosine cross-entropy (OrthoHash, CRH): classify by the angle to the centers."""

import math

from torch import Tensor
from torch.nn.functional import normalize

from nearbit.errors import InputError
from nearbit.losses.cross_entropy import cross_entropy


def crh_scale(n_classes: int) -> float:
    """Return the scale √2 · ln(n_classes - 1) of CRH, which is AdaCos's fixed scale.

    Source: CRH (arXiv 2511.12162). Differs from the paper: two classes would give 0 and three less than 1, where a
    softmax learns nothing, so the scale is at least 1.

    Example:
        >>> round(crh_scale(196), 3)
        7.457
    """
    if n_classes < 2:
        raise InputError(f"the scale of CRH needs at least 2 classes, not {n_classes}")
    return max(1.0, math.sqrt(2) * math.log(n_classes - 1))


def margin_cosine(
    outputs: Tensor,
    labels: Tensor,
    centers: Tensor,
    *,
    scale: float,
    margin: float = 0.2,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the cross-entropy of scaled cosines, with a margin taken from every positive class.

    With cos_c = <v, z_c> / (|v| |z_c|) and targets t = y / |y|_1 the loss is
    -mean_n sum_c t_c log softmax_c(scale * (cos_c - margin * y_c)).

    Source: CRH (arXiv 2511.12162), equations 1 to 4; OrthoHash (Hoe et al., NeurIPS 2021), equation 5.

    Args:
        outputs: float `(n, n_bits)`: v.
        labels: float `(n, n_classes)`, 0 or 1, at least one 1 in each row.
        centers: float `(n_classes, n_bits)`: z, -1 or +1.
        scale: factor of the cosines, above 0.
        margin: taken from the cosine of each positive class.
        weights: float `(n_classes,)`: of the classes in the cross-entropy; None for 1.

    Returns:
        A scalar, at least 0.
    """
    cosines = normalize(outputs, dim=1) @ normalize(centers, dim=1).T
    logits = scale * (cosines - margin * labels)
    return cross_entropy(logits, labels, weights)
