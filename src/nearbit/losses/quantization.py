"""Quantization: what the real-valued outputs lose when their signs are taken."""

from torch import Tensor


def quantization(outputs: Tensor) -> Tensor:
    """Return the mean of (|tanh(u)| - 1)² over images and bits.

    Source: SHC (arXiv 2507.08404), equation 42 as its code computes it (a mean where the text prints a sum); CRH
    (arXiv 2511.12162) uses the same form.

    Args:
        outputs: float `(n, n_bits)`, before tanh.

    Returns:
        A scalar from 0 (all outputs saturated) to 1.
    """
    return ((outputs.tanh().abs() - 1) ** 2).mean()
