"""Preprocessing: how an image becomes the square of pixels that a backbone sees. Part of every model, saved with it."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.errors import InputError

Pixels = npt.NDArray[np.uint8]
INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
PIXELS, FEATURES = "pixels", "features"
"""Names of what networks are given."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
SMALLEST_CROP = 0.7
LARGEST_VALUE = 1e6
"""What a mean or a standard deviation of pixel values from 0 to 1 is certainly below."""


@dataclass(frozen=True)
class NetworkInput:
    """What a network is given: the name of the array, its type, and the shape of one row of it."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Resize the shorter side, cut the central square, then subtract `mean` and divide by `std` (of values 0 to 1).

    Attributes:
        size: side of the square that the backbone sees, in pixels.
        resize: length of the shorter side before the cut, in pixels, at least `size`.
        mean, std: per channel (red, green, blue).
        interpolation: a name in `INTERPOLATIONS`.
    """

    size: int
    resize: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if self.size < 1 or self.resize < self.size:
            raise InputError(f"preprocessing needs 1 <= size <= resize, not size {self.size} and resize {self.resize}")
        if self.interpolation not in INTERPOLATIONS:
            raise InputError(f"unknown interpolation {self.interpolation!r}; known: {', '.join(INTERPOLATIONS)}")
        sane = all(abs(value) < LARGEST_VALUE for value in (*self.mean, *self.std))  # false for NaN too
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0 or not sane:
            raise InputError("preprocessing needs three means and three standard deviations above 0, all finite")

    def with_size(self, size: int) -> "Preprocessing":
        """Return the same preprocessing for another image size, the cut in proportion."""
        values = asdict(self) | {"size": size, "resize": max(size, round(size * self.resize / self.size))}
        return Preprocessing(**values)

    @property
    def takes(self) -> NetworkInput:
        """What a network behind it is given."""
        return NetworkInput(PIXELS, "uint8", (3, self.size, self.size))

    @property
    def augment_side(self) -> int:
        """The shorter side, in pixels, from which a random square is at least as fine as the backbone's."""
        return max(self.resize, math.ceil(self.size / SMALLEST_CROP))

    def apply(self, image: Image.Image) -> Pixels:
        """Return the square of pixels of an RGB image: uint8 `(3, size, size)`. Deterministic."""
        side = min(image.size) * self.size / self.resize
        left, top = (image.width - side) / 2, (image.height - side) / 2
        return self._cut(image, left, top, side)

    def augment(self, image: Image.Image, rng: np.random.Generator, *, mirror: bool) -> Pixels:
        """Return a random square of at least 70 % of the shorter side, mirrored half of the time if `mirror`."""
        side = min(image.size) * rng.uniform(SMALLEST_CROP, 1.0)
        left, top = rng.uniform(0, image.width - side), rng.uniform(0, image.height - side)
        pixels = self._cut(image, left, top, side)
        return np.ascontiguousarray(pixels[:, :, ::-1]) if mirror and rng.random() < 0.5 else pixels

    def _cut(self, image: Image.Image, left: float, top: float, side: float) -> Pixels:
        box = (max(0.0, left), max(0.0, top), min(image.width, left + side), min(image.height, top + side))
        square = image.resize((self.size, self.size), INTERPOLATIONS[self.interpolation], box=box)
        return np.ascontiguousarray(np.asarray(square, np.uint8).transpose(2, 0, 1))

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready data; `from_dict` is the inverse."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocessing":
        """Return the preprocessing that `to_dict` described."""
        return cls(**(values | {"mean": tuple(values["mean"]), "std": tuple(values["std"])}))


@dataclass(frozen=True, kw_only=True)
class FeatureInput:
    """In the place of a preprocessing, for a model of features: a row is taken as it is.

    Attributes:
        width: how many numbers a row has.
    """

    width: int

    def __post_init__(self) -> None:
        if isinstance(self.width, bool) or not isinstance(self.width, int) or self.width < 1:
            raise InputError(f"the width of features must be a whole number of at least 1, not {self.width!r}")

    @property
    def takes(self) -> NetworkInput:
        """What a network behind it is given."""
        return NetworkInput(FEATURES, "float32", (self.width,))

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready data."""
        return {"features": self.width}


AnyInput = Preprocessing | FeatureInput


def input_from_dict(values: dict[str, Any]) -> AnyInput:
    """Return what `to_dict` of either kind described."""
    if set(values) == {"features"}:
        return FeatureInput(width=values["features"])
    return Preprocessing.from_dict(values)


def of_pixels(given: AnyInput, what: str) -> Preprocessing:
    """Return the preprocessing of images; raise `InputError` where a model of features has none.

    Args:
        given: of a model.
        what: needs images, for the message.
    """
    if isinstance(given, FeatureInput):
        raise InputError(
            f"{what} needs a model that sees images, and this one takes features ({given.width} numbers a row)"
        )
    return given
