"""The size of images: what the small network sees them at, and whether it is the one for them."""

import statistics

import numpy as np

from nearbit.datasets.images import ImageSource
from nearbit.errors import ImageError
from nearbit.networks.backbones import SMALL_SIZE

STEP, LEAST = 8, 16
"""The small network halves an image three times; of fewer than 16 pixels its last map would be a single place."""
SAMPLE = 32
"""Images whose size is looked at, evenly spread over the data set."""


def fitting_size(source: ImageSource) -> int:
    """Return the multiple of 8 pixels, from 16 to 64, that the median image's shorter side just fits in.

    It depends on the data set alone, whatever its split: larger squares would hold no more, and cost their area.
    Images that cannot be read have no say.
    """
    side = _median_side(source, SMALL_SIZE)
    return SMALL_SIZE if side is None else min(max(STEP * -(-int(side) // STEP), LEAST), SMALL_SIZE)


def is_small(source: ImageSource) -> bool:
    """Return whether the median image's shorter side is at most 64 pixels: what the small network sees whole."""
    side = _median_side(source, SMALL_SIZE + 1)
    return side is not None and side <= SMALL_SIZE


def _median_side(source: ImageSource, at_least: int) -> float | None:
    """Return the median of the shorter sides of a sample, exact up to `at_least`; None where none can be read."""
    sides = []
    for row in np.unique(np.linspace(0, len(source) - 1, SAMPLE).round().astype(int)).tolist():
        try:
            sides.append(min(source.read(row, at_least=at_least).size))
        except ImageError:
            continue
    return statistics.median(sides) if sides else None
