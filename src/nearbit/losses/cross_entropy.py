"""Cross-entropy of a classifier's logits, for one label an image or several."""

from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return -mean_n sum_c w_c t_c log softmax_c(logits) with t = y / |y|_1: several labels share the target equally.

    Source: SHC (arXiv 2507.08404), equations 2 to 5, for one label. Differs from the authors' code: theirs takes the
    softmax of a softmax.

    Args:
        logits: float `(n, n_classes)`.
        labels: float `(n, n_classes)`, 0 or 1, at least one 1 in each row.
        weights: float `(n_classes,)`: w, such as those of `class_weights`; None for 1.

    Returns:
        A scalar, at least 0.
    """
    targets = labels / labels.sum(dim=1, keepdim=True)
    if weights is not None:
        targets = targets * weights
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()
