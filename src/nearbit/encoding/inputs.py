"""Images as a person gives them to a model: paths, Pillow images or arrays, mixed in one list."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.datasets import open_image
from nearbit.datasets.arrays import pixel_array
from nearbit.datasets.decoding.decode import one_reason
from nearbit.datasets.decoding.orientation import upright
from nearbit.datasets.decoding.pixels import decoded_rgb
from nearbit.datasets.known_files import KnownFiles
from nearbit.errors import InputError

GivenImage = str | Path | Image.Image | npt.NDArray[np.uint8]


@dataclass(frozen=True)
class GivenImages:
    """An image source over a list of paths, Pillow images and uint8 arrays.

    With `known`, where all are paths: what the files held before; one that holds something else now cannot be read.
    """

    images: tuple[Any, ...]
    known: KnownFiles | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, images: Any) -> "GivenImages":
        """Return the source over a list of images; one image alone is an error, because it would be read as several."""
        if hasattr(images, "detach"):
            images = pixel_array(images)
        if isinstance(images, np.ndarray) and images.ndim == 2 and images.dtype.kind == "f":
            raise InputError(
                f"expected a list of images, came {images.dtype} {images.shape}: features go to a model that was "
                "trained on features (nb.from_features)"
            )
        one = isinstance(images, str | Path | Image.Image)
        if one or (isinstance(images, np.ndarray) and (images.ndim < 3 or (images.ndim, images.shape[-1]) == (3, 3))):
            raise InputError("expected a list of images, came one image: put it in a list")
        return cls(tuple(images))

    def __len__(self) -> int:
        return len(self.images)

    def name(self, row: int) -> str:
        """Return a name for messages: the path, or the place in the list."""
        image = self.images[row]
        return str(image) if isinstance(image, str | Path) else f"image {row}"

    def read(self, row: int, at_least: int | None = None) -> Image.Image:
        """Return one image in RGB, upright: a Pillow image is treated as the file it would be (see `open_image`)."""
        image = self.images[row]
        if isinstance(image, str | Path):
            path = Path(image)
            return open_image(path, at_least) if self.known is None else self.known.read(row, path, at_least)
        if isinstance(image, Image.Image):
            return _from_pillow(image)
        if isinstance(image, np.ndarray):
            return _from_array(image)
        raise InputError(f"an image must be a path, a Pillow image or a uint8 array, not {type(image).__name__}")


def _from_pillow(image: Image.Image) -> Image.Image:
    with one_reason():
        return upright(decoded_rgb(image, None), image)


def _from_array(array: np.ndarray[Any, Any]) -> Image.Image:
    if array.dtype != np.uint8 or not array.size or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
        raise InputError(
            f"an image array must be uint8 (height, width, 3) or (height, width), not {array.dtype} {array.shape}"
        )
    return Image.fromarray(array).convert("RGB")
