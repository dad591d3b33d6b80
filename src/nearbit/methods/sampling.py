"""Batches for losses over pairs and triplets: a few images each of many classes."""

import numpy as np
import numpy.typing as npt

from nearbit.centers import Generator


def balanced_batches(
    labels: npt.NDArray[np.bool_], batch_size: int, images_a_class: int, rng: Generator
) -> list[npt.NDArray[np.int64]]:
    """Return the batches of an epoch: groups of images that share a label, each image in one batch.

    The images of a class are spread evenly over the epoch: one by one where a batch has room for `images_a_class` of
    each class, else in groups of so many, so that a batch holds about batch_size / images_a_class of the classes.
    An image with several labels is taken for one of them, drawn anew in each epoch.

    Args:
        labels: bool `(n, n_classes)`, each row with a label; n is at least 2.
        batch_size: the most images of a batch; a batch that would be left with one image joins the others.
        images_a_class: how many of a class are to stand in a batch, if any does; 1 never makes groups.
        rng: decides which images are together.

    Returns:
        int64 places `(batch,)` of each batch; all batches are equally large, or differ by one.
    """
    n, n_classes = labels.shape
    classes = (rng.random((n, n_classes)) * labels).argmax(axis=1)
    size = images_a_class if batch_size < images_a_class * n_classes else 1
    groups: list[npt.NDArray[np.int64]] = []
    moments: list[float] = []
    for number in np.unique(classes):
        images = rng.permutation(np.flatnonzero(classes == number))
        own = np.split(images, np.arange(size, len(images), size))
        groups.extend(own)
        moments.extend((np.arange(len(own)) + rng.random(len(own))) / len(own))
    order = np.concatenate([groups[place] for place in np.argsort(moments, kind="stable")])
    return np.array_split(order, max(1, min(-(-n // batch_size), n // 2)))
