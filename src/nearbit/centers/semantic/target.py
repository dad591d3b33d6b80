"""What the searches for semantic centers share: a similarity in whole numbers, random states, the effort."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nearbit.centers.semantic.loss import Similarity, row_blocks
from nearbit.centers.state import Generator
from nearbit.errors import InputError

LARGEST = 32767
"""The largest int16, in which targets and residuals are kept."""

MOST_CLASSES = 65536
"""So many residuals, each within int16, still have sums within int32."""

FROZEN = 1e-9
"""A temperature at which nothing that costs is accepted."""


class Rounded(NamedTuple):
    """A similarity in whole numbers, as the kernels read it.

    Attributes:
        target: int16 `(n_classes, n_classes)`: n_bits · scale · similarity, 0 on the diagonal.
        scale: the whole number that a product of two words is multiplied with.
        unit: what turning a random bit of a random word typically changes in the energy.
    """

    target: npt.NDArray[np.int16]
    scale: int
    unit: float


def rounded(matrix: Similarity, n_bits: int) -> Rounded:
    """Return a similarity times n_bits in whole numbers, as finely as int16 allows.

    Raises:
        InputError: too many classes, or similarities so large that int16 cannot hold them.
    """
    if len(matrix) > MOST_CLASSES:
        raise InputError(f"at most {MOST_CLASSES} classes, not {len(matrix)}")
    reach = max(float(matrix.max()), -float(matrix.min()), 1.0)
    scale = int(LARGEST // (n_bits * (1 + reach)))
    if scale < 1:
        raise InputError(
            f"{n_bits} bits with similarities up to {reach:.4g} are more than the search can hold: scale the "
            "similarity into -1 to 1, and use at most 16383 bits"
        )
    target = np.empty(matrix.shape, np.int16)
    total = 0.0
    for rows in row_blocks(len(matrix)):
        values = np.rint(matrix[rows] * (n_bits * scale))
        total += float(np.square(values).sum())
        target[rows] = values
    np.fill_diagonal(target, 0)
    per_row = total / len(matrix) + len(matrix) * n_bits * scale**2
    return Rounded(target, scale, 4 * scale * math.sqrt(per_row))


def random_state(rng: Generator) -> npt.NDArray[np.uint64]:
    """Return a state for the random numbers of the kernels: uint64 `(1,)`, not 0."""
    return rng.integers(1, 2**63, size=1, dtype=np.uint64)
