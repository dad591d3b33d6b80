"""Hadamard centers: rows of a Hadamard matrix, any two of them n_bits / 2 bits apart."""

import numpy as np
from scipy.linalg import hadamard

from nearbit.centers.state import Centers, check_sizes
from nearbit.errors import InputError


def hadamard_fits(n_classes: int, n_bits: int) -> bool:
    """Tell whether Hadamard centers exist: n_bits a power of two, and at most 2 * n_bits classes."""
    return n_bits & (n_bits - 1) == 0 and n_classes <= 2 * n_bits


def hadamard_centers(n_classes: int, n_bits: int) -> Centers:
    """Return rows of Sylvester's Hadamard matrix H, and of -H where H has too few.

    Source: CSQ (Yuan et al., CVPR 2020), Algorithm 1. Deterministic. Differs from the authors' code: none known.

    Args:
        n_classes: 2 to 2 * n_bits.
        n_bits: a power of two.

    Returns:
        int8 `(n_classes, n_bits)`; distances are n_bits / 2, or n_bits between a row and its negative.

    Raises:
        InputError: n_bits is not a power of two, or there are more than 2 * n_bits classes.
    """
    check_sizes(n_classes, n_bits)
    if not hadamard_fits(n_classes, n_bits):
        raise InputError(
            f"Hadamard centers need n_bits to be a power of two and at most 2 * n_bits classes, not "
            f"{n_bits} bits and {n_classes} classes: take 'bernoulli' or 'csq' centers"
        )
    matrix = hadamard(n_bits, dtype=np.int8)
    return np.concatenate([matrix, -matrix])[:n_classes]
