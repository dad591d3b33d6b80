"""Class structure (DSAH): outputs are drawn to the word of their class, and to each other within a class."""

from torch import Tensor


def class_structure(outputs: Tensor, labels: Tensor, centers: Tensor, *, pair_weight: float = 0.1) -> Tensor:
    """Return mean |v - h|² and, with a weight, the mean square of v less its class's mean in the batch; v = tanh(u).

    The second term is that of pairs: Σ_ij |v_i - v_j|² / (2 n_class) over pairs of one class is the scatter within the
    classes, Σ_i |v_i - mean of its class|². Both are means over images and bits.

    Source: our reconstruction of DSAH (arXiv 2110.12478), whose text was not at hand.

    Args:
        outputs: float `(n, n_bits)`: u, before tanh.
        labels: float `(n, n_classes)`, 0 or 1, at least one 1 in each row; with several, their mean counts.
        centers: float `(n_classes, n_bits)`: h, -1 or +1.
        pair_weight: of the second term.

    Returns:
        A scalar, at least 0; 0 only where v = h.
    """
    values = outputs.tanh()
    shares = labels / labels.sum(dim=1, keepdim=True)
    loss = ((values - shares @ centers) ** 2).mean()
    if not pair_weight:
        return loss
    means = (shares.T @ values) / shares.sum(dim=0).clamp(min=1e-12)[:, None]
    return loss + pair_weight * ((values - shares @ means) ** 2).mean()
