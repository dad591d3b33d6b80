"""The center rule of CSQ: Hadamard rows where they exist, Bernoulli words elsewhere."""

from nearbit.centers.bernoulli import bernoulli_centers
from nearbit.centers.hadamard import hadamard_centers, hadamard_fits
from nearbit.centers.state import Centers, Generator


def csq_centers(n_classes: int, n_bits: int, rng: Generator) -> Centers:
    """Return Hadamard centers for at most 2 * n_bits classes and a power of two of bits, else Bernoulli centers.

    Source: CSQ (Yuan et al., CVPR 2020), Algorithm 1. Deterministic for a given `rng`.

    Returns:
        int8 `(n_classes, n_bits)`.
    """
    if hadamard_fits(n_classes, n_bits):
        return hadamard_centers(n_classes, n_bits)
    return bernoulli_centers(n_classes, n_bits, rng)
