"""A hinge on every output: it is to lie beyond a margin, on the side of its target bit."""

from torch import Tensor


def hinge_loss(outputs: Tensor, targets: Tensor, margin: float) -> Tensor:
    """Return the mean of max(margin - u · t, 0) over images and bits.

    Args:
        outputs: float `(n, n_bits)`: u, before any tanh.
        targets: float `(n, n_bits)`: t, -1 or +1.
        margin: at least 0.

    Returns:
        A scalar, at least 0; 0 where every output is beyond the margin.
    """
    return (margin - outputs * targets).clamp(min=0).mean()
