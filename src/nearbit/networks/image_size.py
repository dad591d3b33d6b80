"""The size at which the small network sees images where none is asked for: it follows the images."""

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
    sides = []
    for row in np.unique(np.linspace(0, len(source) - 1, SAMPLE).round().astype(int)).tolist():
        try:
            sides.append(min(source.read(row, at_least=SMALL_SIZE).size))
        except ImageError:
            continue
    if not sides:
        return SMALL_SIZE
    return min(max(STEP * -(-int(statistics.median(sides)) // STEP), LEAST), SMALL_SIZE)
