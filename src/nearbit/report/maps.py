"""Square matrices as small pictures: how far apart class centers are, or how alike classes are."""

import numpy as np
import numpy.typing as npt
from PIL import Image

Matrix = npt.NDArray[np.float64]

LARGEST = 240
"""Pixels of a side; larger matrices are averaged over blocks."""
RAMP = np.array(
    [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]], np.float64
)
"""Colours from low to high, in even steps: those of "viridis", which grow lighter for every eye."""


def matrix_picture(matrix: npt.ArrayLike, *, low: float, high: float) -> Image.Image:
    """Return a picture of a square matrix, one pixel a value: dark at `low` or less, light at `high` or more.

    Args:
        matrix: finite `(n, n)`; a single row does too.
        low: value of the darkest colour.
        high: value of the lightest colour, above `low`.
    """
    values = _averaged(np.asarray(matrix, np.float64))
    place = np.clip((values - low) / (high - low), 0, 1) * (len(RAMP) - 1)
    lower = np.minimum(place.astype(np.int64), len(RAMP) - 2)
    share = (place - lower)[..., None]
    colors = RAMP[lower] * (1 - share) + RAMP[lower + 1] * share
    return Image.fromarray(np.rint(colors).astype(np.uint8))


def ramp_picture() -> Image.Image:
    """Return the colours from low to high, as a strip."""
    return matrix_picture(np.linspace(0, 1, 64)[None], low=0, high=1)


def _averaged(matrix: Matrix) -> Matrix:
    """Return the matrix with rows and columns averaged in blocks, so that it is no larger than allowed."""
    block = -(-len(matrix) // LARGEST)
    if block == 1:
        return matrix
    starts = np.arange(0, len(matrix), block)
    sizes = np.diff([*starts, len(matrix)]).astype(np.float64)
    sums = np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts, axis=1)
    return np.asarray(sums / np.outer(sizes, sizes), np.float64)
