"""The cubic penalty of GreedyHash: outputs are to lie near -1 or +1."""

from torch import Tensor


def cubic_penalty(outputs: Tensor) -> Tensor:
    """Return the mean of | |u| - 1 |³ over images and bits.

    Source: GreedyHash (Su et al., NeurIPS 2018), section 3.3; a mean, as its authors' code computes it.

    Args:
        outputs: float `(n, n_bits)`, as they are.

    Returns:
        A scalar, at least 0; 0 where every output is -1 or +1.
    """
    return ((outputs.abs() - 1).abs() ** 3).mean()
