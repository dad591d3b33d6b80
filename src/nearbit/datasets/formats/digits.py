"""The digits: 1,797 scans of 8 x 8 pixels, ten classes, that come with the package (see digits.LICENSE.txt)."""

from functools import lru_cache
from importlib import resources

import numpy as np

from nearbit.datasets.dataset import Dataset
from nearbit.datasets.formats.format import KnownDataset
from nearbit.datasets.images import ArrayImages, array_digests


@lru_cache(maxsize=1)
def load_digits() -> Dataset:
    """Return the UCI optical digits: 1,797 greyscale images of 8 x 8 pixels, 174 to 183 a class; deterministic.

    A mirrored digit is another sign, so `mirror` is False. Read once and then kept in memory.

    Source: E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    CC BY 4.0.
    """
    file = resources.files("nearbit.datasets.formats") / "digits.npz"
    with file.open("rb") as handle, np.load(handle, allow_pickle=False) as packed:
        pixels, numbers = packed["pixels"], packed["labels"]
    labels = numbers[:, None] == np.arange(10)
    for array in (pixels, labels):
        array.setflags(write=False)
    return Dataset(
        name="digits",
        source=ArrayImages(pixels),
        keys=tuple(f"digits/{row:04d}" for row in range(len(pixels))),
        labels=labels,
        classes=tuple("0123456789"),
        digests=array_digests(pixels),
        mirror=False,
    )


DIGITS = KnownDataset(name="digits", load=lambda _: load_digits())
