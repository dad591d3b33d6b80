"""Pixels as programs hold them: arrays and tensors, channels first or last, and torch data sets."""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.datasets.arrays.features import as_array
from nearbit.datasets.images import Pixels, content_digest
from nearbit.errors import ImageError, InputError


def pixel_array(given: Any) -> Pixels:
    """Return images as uint8 `(n, height, width, 3)`, or `(n, height, width)` for greyscale.

    Args:
        given: a numpy array or a torch tensor of uint8: `(n, height, width[, 3 or 1])` or `(n, 3 or 1, height, width)`.
            Where both fit, a tensor has its channels first, an array last.

    Raises:
        InputError: another type or shape.
    """
    array = as_array(given)
    if array.dtype != np.uint8:
        hint = ": (pixels * 255).round() as uint8, if they are from 0 to 1" if array.dtype.kind == "f" else ""
        raise InputError(f"pixels must be uint8, 0 to 255, not {array.dtype}{hint}")
    if array.ndim == 3:
        return np.ascontiguousarray(array)
    first, last = (array.ndim == 4 and array.shape[place] in (1, 3) for place in (1, 3))
    if not first and not last:
        raise InputError(
            "pixels must have the shape (n, height, width, 3), (n, 3, height, width) or (n, height, width), not "
            f"{array.shape}"
        )
    if first and (not last or hasattr(given, "detach")):
        array = array.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(array[..., 0] if array.shape[3] == 1 else array)


def one_image(given: Any, name: str) -> Pixels:
    """Return one image, a Pillow one, an array or a tensor, as uint8 `(height, width, 3)`."""
    if isinstance(given, Image.Image):
        return np.asarray(given.convert("RGB"), np.uint8)
    if not hasattr(given, "shape"):
        raise InputError(f"{name} must be a Pillow image, a uint8 array or a uint8 tensor, not {type(given).__name__}")
    try:
        pixels = pixel_array(given[None])[0]
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


class TorchImages:
    """The images of a torch data set, asked for one at a time; each must be the same whenever it is asked for."""

    def __init__(self, dataset: Any) -> None:
        self._dataset, self._lock = dataset, threading.Lock()
        self._digests: list[str] = []
        self._labels: list[Any] = []
        for row in range(len(dataset)):
            pixels, label = self._pair(row)
            self._digests.append(content_digest(pixels))
            self._labels.append(label)

    def __len__(self) -> int:
        return len(self._digests)

    def __repr__(self) -> str:
        return f"TorchImages({len(self)} images)"

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of the pixels of each row."""
        return tuple(self._digests)

    @property
    def labels(self) -> list[Any]:
        """What stands beside each image."""
        return self._labels

    def read(self, row: int, at_least: int | None = None) -> Image.Image:
        """Return one image; raise `ImageError` where it is not what it was when the data set was read."""
        pixels, _ = self._pair(row)
        if content_digest(pixels) != self._digests[row]:
            raise ImageError(
                "it is another image than the first time: leave random transforms out of the data set (training "
                "augments images by itself)"
            )
        return Image.fromarray(pixels)

    def _pair(self, row: int) -> tuple[npt.NDArray[np.uint8], Any]:
        with self._lock:
            item = self._dataset[row]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise InputError(f"item {row} of the data set must be a pair (image, label), not {type(item).__name__}")
        return one_image(item[0], f"the image of item {row}"), item[1]
