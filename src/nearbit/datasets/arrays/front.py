"""`from_features`, `from_images`, `from_torch`: data sets out of what a program holds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nearbit.datasets.arrays.features import FeatureRows, as_array, feature_digests, feature_matrix
from nearbit.datasets.arrays.labels import given_labels
from nearbit.datasets.arrays.pixels import TorchImages, pixel_array
from nearbit.datasets.dataset import Dataset
from nearbit.datasets.images import ArrayImages, ImageSource, array_digests
from nearbit.errors import InputError
from nearbit.json_text import unstorable
from nearbit.keywords import suggesting
from nearbit.names import escaped


@suggesting
def from_features(
    features: Any,
    labels: Any = None,
    *,
    classes: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    name: str = "features",
) -> Dataset:
    """Return a data set whose rows are features, from whatever network, in the place of images.

    `make_split`, `train`, `evaluate` and `compare_methods` take it. A model that is trained on it is a head for frozen
    features: its `encode` and `outputs` take features of the same width, from the same network.

    Args:
        features: real numbers `(n, width)`: a numpy array or a torch tensor; kept as float32.
        labels: of each row: class numbers `(n,)` from 0 on; a matrix `(n, n_classes)` of bools, or of 0 and 1; a list
            with a name or several names of each, or None for a row without one; or None for no labels at all.
        classes: the names of the classes, in order: class number 2 is `classes[2]`. By default the numbers or names
            that occur, sorted.
        keys: a unique name of each row, such as the path of its image; an index keeps it as the path of the item.
        name: of the data set.

    Raises:
        InputError: another shape or type, values that are not finite, a class number below 0, or lengths that differ.

    Example:
        >>> from_features([[0.5, 1.0], [2.0, -1.0]], ["cat", "dog"])
        Dataset('features': 2 rows of 2 features, 2 classes)
    """
    matrix = feature_matrix(features).copy()
    matrix.setflags(write=False)
    return _dataset(FeatureRows(matrix), feature_digests(matrix), labels, classes, keys, name)


@suggesting
def from_images(
    pixels: Any,
    labels: Any = None,
    *,
    classes: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    name: str = "images",
    mirror: bool = True,
) -> Dataset:
    """Return a data set of images in one array or tensor.

    Args:
        pixels: uint8 `(n, height, width, 3)`, `(n, 3, height, width)`, or `(n, height, width)` for greyscale. Where
            both forms of color fit, a tensor has its channels first, an array last. The array is not copied: leave
            it as it is.
        labels: as for `from_features`.
        classes: as for `from_features`.
        keys: as for `from_features`.
        name: of the data set.
        mirror: whether a mirrored image means the same (not so for digits and letters).

    Raises:
        InputError: another shape or type, or lengths that differ.

    Example:
        >>> from_images(np.zeros((4, 8, 8, 3), np.uint8), [0, 0, 1, 1])
        Dataset('images': 4 images, 2 classes)
    """
    array = pixel_array(pixels)
    return _dataset(ArrayImages(array), array_digests(array), labels, classes, keys, name, mirror=mirror)


@suggesting
def from_torch(
    dataset: Any,
    *,
    classes: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    name: str | None = None,
    mirror: bool = True,
) -> Dataset:
    """Return a data set over a torch one: anything with a length whose items are pairs (image, label).

    Every item is asked for once at first, and again whenever its image is needed, one at a time; nothing is kept in
    memory.

    Args:
        dataset: its images are Pillow ones, uint8 arrays `(height, width[, 3])` or uint8 tensors `(3, height, width)`,
            the same each time: without random transforms, and without those that make floats of pixels. Its labels are
            class numbers, names, lists of names, or bool vectors.
        classes: the names of the classes; by default `dataset.classes`, else as for `from_features`.
        keys: as for `from_features`.
        name: by default that of the class of the data set.
        mirror: whether a mirrored image means the same (not so for digits and letters).

    Raises:
        InputError: an item is no such pair.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise InputError(f"expected a data set with a length and items, not {type(dataset).__name__}")
    source = TorchImages(dataset)
    given = classes if classes is not None else getattr(dataset, "classes", None)
    labels = _stacked(source.labels)
    return _dataset(source, source.digests, labels, given, keys, name or type(dataset).__name__, mirror=mirror)


def _stacked(labels: list[Any]) -> Any:
    """Return the labels of all items: a matrix where each is a vector."""
    if labels and all(getattr(one, "ndim", 0) == 1 for one in labels):
        return np.stack([as_array(one) for one in labels])
    return labels


def _dataset(
    source: ImageSource,
    digests: tuple[str, ...],
    given: Any,
    classes: Sequence[str] | None,
    keys: Sequence[str] | None,
    name: str,
    *,
    mirror: bool = True,
) -> Dataset:
    if not len(source):
        raise InputError("expected at least one row, came none")
    labels, names = given_labels(given, len(source), classes)
    return Dataset(
        name=name,
        source=source,
        keys=_keys(keys, len(source), name),
        labels=labels,
        classes=names,
        digests=digests,
        mirror=mirror,
    )


def _keys(keys: Sequence[str] | None, n_rows: int, name: str) -> tuple[str, ...]:
    if keys is None:
        return tuple(f"{escaped(name)}/{row:0{len(str(n_rows - 1))}d}" for row in range(n_rows))
    given = tuple(str(key) for key in keys)
    if len(given) != n_rows:
        raise InputError(f"expected one key for each of {n_rows} rows, came {len(given)}")
    for key in given:
        if reason := unstorable(key):
            raise InputError(f"the key {escaped(key)!r} cannot be kept: {reason}")
    return given
