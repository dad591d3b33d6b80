"""Data sets of a few small images, which networks learn in a second."""

from dataclasses import replace

import numpy as np
from PIL import Image

from nearbit.datasets import ArrayImages, Dataset, SplitSizes, content_digest, make_split
from nearbit.errors import ImageError

TINY = ["--image-size", "8", "--epochs", "2", "--bits", "12", "--device", "cpu", "--batch-size", "8"]
"""Options of a training of a second on the command line."""


COLORS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]], np.uint8)


def tiny_pixels(labels, *, side=12, seed=0):
    """Return noisy images uint8 `(n, side, side, 3)`: a vertical band of its color for each label."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (len(labels), side, side, 3), dtype=np.uint8)
    width = side // labels.shape[1]
    for row, label in np.argwhere(labels):
        images[row, :, label * width : (label + 1) * width] = COLORS[label] + rng.integers(0, 50)
    return images


def dataset_of(pixels, labels, classes):
    """Return a data set over arrays."""
    return Dataset(
        name="tiny",
        source=ArrayImages(pixels),
        keys=tuple(f"tiny/{row}" for row in range(len(pixels))),
        labels=labels,
        classes=classes,
        digests=tuple(content_digest(image) for image in pixels),
    )


def tiny_labels(*, multi_label=False, n_classes=3, per_class=10):
    """Return labels bool `(n, n_classes)`, one an image, or a second one for every other image."""
    numbers = np.repeat(np.arange(n_classes), per_class)
    labels = numbers[:, None] == np.arange(n_classes)
    if multi_label:
        rows = np.arange(0, len(numbers), 2)
        labels[rows, (numbers[rows] + 1) % n_classes] = True
    return labels


def tiny_dataset(*, multi_label=False, n_classes=3, per_class=10, seed=0):
    """Return a data set of 12 x 12 pixels with one label an image, or one or two."""
    labels = tiny_labels(multi_label=multi_label, n_classes=n_classes, per_class=per_class)
    return dataset_of(tiny_pixels(labels, seed=seed), labels, tuple("abcd"[:n_classes]))


def tiny_split(dataset, *, validation=0.2, seed=0):
    """Return a split of a fifth each for validation (or None), query and database."""
    sizes = SplitSizes(train="rest", validation=validation, query=0.2, database=0.2)
    return make_split(dataset, sizes=sizes, seed=seed)


def few_split(dataset):
    """Two training images a class, one to validate, one to ask for and one to find: no two validation images agree."""
    parts = {"train": [], "validation": [], "query": [], "database": []}
    for label in range(3):
        rows = np.flatnonzero(dataset.labels[:, label])[:5]
        for part, chosen in zip(parts, (rows[:2], rows[2:3], rows[3:4], rows[4:5]), strict=True):
            parts[part] += chosen.tolist()
    return replace(tiny_split(dataset), **{part: np.sort(rows) for part, rows in parts.items()})


def write_folder(root, *, n_classes=3, per_class=8, seed=0):
    """Write a folder of class folders of PNG files, and return it."""
    labels = tiny_labels(n_classes=n_classes, per_class=per_class)
    for row, image in enumerate(tiny_pixels(labels, seed=seed)):
        folder = root / "abcd"[int(labels[row].argmax())]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{row:03d}.png")
    return root


class FailingImages:
    """The images of the tiny data set, of which some rows cannot be read."""

    def __init__(self, rows):
        self.rows, self.images = rows, tiny_dataset().source

    def __len__(self):
        return len(self.images)

    def read(self, row, at_least=None):
        if row in self.rows:
            raise ImageError("damaged")
        return self.images.read(row, at_least)
