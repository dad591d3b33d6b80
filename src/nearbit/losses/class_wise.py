"""The class-wise loss of DCWH and IDCWH: a softmax over squared distances to real-valued centers."""

from torch import Tensor

from nearbit.losses.cross_entropy import cross_entropy


def class_wise(outputs: Tensor, labels: Tensor, centers: Tensor, *, sigma: float) -> Tensor:
    """Return the cross-entropy of softmax_c(-(sigma / 2) |u - m_c|²).

    The |u|² that all classes share falls out of the softmax, so the logits are sigma · u · m_c - (sigma / 2) |m_c|²: a
    linear classifier whose weights and shifts are the centers. Computed so, it stays exact for far outputs.

    Source: DCWH (Zhe, Chen, Yan, TNNLS 2019, arXiv 1803.04137). Differs from the authors' code: nothing is added to
    the logarithm or to the denominator. Several labels share the target equally.

    Args:
        outputs: float `(n, n_bits)`: u, before any tanh.
        labels: float `(n, n_classes)`, 0 or 1, at least one 1 in each row.
        centers: float `(n_classes, n_bits)`: m, any real numbers.
        sigma: the inverse variance of each class, above 0.

    Returns:
        A scalar, at least 0.
    """
    logits = sigma * (outputs @ centers.T - (centers**2).sum(dim=1) / 2)
    return cross_entropy(logits, labels)
