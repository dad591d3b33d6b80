"""The images that an exported network is compared and calibrated on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.datasets import Dataset, FeatureRows, Split, load_dataset
from nearbit.encoding.pipeline import CHUNK, decoded_chunks, plain_reader
from nearbit.encoding.preprocessing import AnyInput, FeatureInput, Pixels, Preprocessing
from nearbit.errors import DataError, ImageError, InputError
from nearbit.networks import Head

MOST_COMPARED, MOST_CALIBRATION = 256, 128
"""Images; calibration keeps what every layer says of each of them in memory."""
BUILT_IN_IMAGES = 24

RowNumbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleRows:
    """Rows of a data set: what to compare on, what to calibrate with (no row is both), and the first in words."""

    compared: RowNumbers
    calibration: RowNumbers
    words: str


def built_in_inputs(takes: AnyInput, head: Head) -> tuple[str, npt.NDArray[Any]]:
    """Return what a network is compared on where no data set is given, in words and itself; always the same.

    Features are drawn around the mean of those that the head was trained on, as far from it as they lay.
    """
    if not isinstance(takes, FeatureInput):
        return "built-in images and noise", built_in_pixels(takes)
    noise = np.random.default_rng(0).normal(size=(MOST_COMPARED, takes.width)).astype(np.float32)
    return "noise", head.feature_mean.cpu().numpy() + noise * head.feature_std.cpu().numpy()


def inputs_of(dataset: Dataset, rows: RowNumbers, takes: AnyInput) -> npt.NDArray[Any]:
    """Return what a network is given for rows of a data set: pixels (see `pixels_of`), or features.

    Raises:
        InputError: no image can be read, or features are wanted of images, or of another width.
    """
    if not isinstance(takes, FeatureInput):
        return pixels_of(dataset, rows, takes)
    if not isinstance(dataset.source, FeatureRows) or dataset.source.width != takes.width:
        raise InputError(f"the model takes features of the width {takes.width}, and {dataset!r} has no such rows")
    return dataset.source.features[rows]


def built_in_pixels(preprocessing: Preprocessing) -> Pixels:
    """Return digits, drawn shapes and noise of several grains as pixels uint8 `(n, 3, size, size)`; always the same."""
    images: list[Image.Image] = []
    for name in ("digits", "shapes"):
        source = load_dataset(name).source
        images += [source.read(int(row)) for row in spread(np.arange(len(source)), BUILT_IN_IMAGES)]
    return np.stack([preprocessing.apply(image) for image in [*images, *_noise(preprocessing.resize)]])


def _noise(largest: int) -> Iterator[Image.Image]:
    rng = np.random.default_rng(0)
    for side in (2, 4, 8, 16, largest):
        for _ in range(4):
            yield Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))


def chosen_rows(dataset: Dataset, split: Split | None) -> SampleRows:
    """Return rows to compare on and to calibrate with: of the query and the training images where the split fits.

    Where it does not, or there is none, every other row is for the one, the rest for the other.
    """
    if split is not None and fits(split, dataset) is None and len(split.query) and len(split.train):
        compared, calibration, words = split.query, split.train, "query images"
    else:
        rows = np.arange(len(dataset))
        compared, calibration, words = rows[::2], rows[1::2], "images"
    return SampleRows(
        compared=spread(compared, MOST_COMPARED), calibration=spread(calibration, MOST_CALIBRATION), words=words
    )


def fits(split: Split, dataset: Dataset) -> str | None:
    """Return why a split does not belong to a data set; None where it does."""
    try:
        split.check(dataset)
    except DataError as error:
        return str(error)
    return None


def spread(rows: RowNumbers, most: int) -> RowNumbers:
    """Return at most `most` of the rows, evenly spread, in order."""
    if len(rows) <= most:
        return rows
    return rows[np.arange(most) * len(rows) // most]


def pixels_of(dataset: Dataset, rows: RowNumbers, preprocessing: Preprocessing) -> Pixels:
    """Return the pixels uint8 `(n, 3, size, size)` of rows; images that cannot be read are left out.

    Raises:
        InputError: none can be read.
    """
    chunks = decoded_chunks(plain_reader(dataset.source, preprocessing), rows.tolist(), CHUNK)
    good = [item for chunk in chunks for item in chunk if not isinstance(item, ImageError)]
    if not good:
        raise InputError(f"{dataset.name} has too few readable images to compare and calibrate with: name other DATA")
    return np.stack(good)
