"""Images as a person gives them to a model: paths, Pillow images or arrays, mixed in one list."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nearbit.datasets import open_image
from nearbit.errors import InputError


@dataclass(frozen=True)
class GivenImages:
    """An image source over a list of paths, Pillow images and uint8 arrays."""

    images: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.images)

    def name(self, row: int) -> str:
        """Return a name for messages: the path, or the place in the list."""
        image = self.images[row]
        return str(image) if isinstance(image, str | Path) else f"image {row}"

    def read(self, row: int, at_least: int | None = None) -> Image.Image:
        """Return one image in RGB; see `open_image` for paths."""
        image = self.images[row]
        if isinstance(image, str | Path):
            return open_image(Path(image), at_least)
        if isinstance(image, Image.Image):
            return image.convert("RGB")
        if isinstance(image, np.ndarray):
            return _from_array(image)
        raise InputError(f"an image must be a path, a Pillow image or a uint8 array, not {type(image).__name__}")


def _from_array(array: np.ndarray[Any, Any]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise InputError(
            f"an image array must be uint8 (height, width, 3) or (height, width), not {array.dtype} {array.shape}"
        )
    return Image.fromarray(array).convert("RGB")
