"""Features in the place of images: one row of numbers each, from any network."""

import hashlib
import os
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.errors import InputError

FloatRows = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """The rows of a data set of features: float32 `(n, width)`, finite. They take the place of images and have none."""

    features: FloatRows

    def __post_init__(self) -> None:
        feature_matrix(self.features)

    def __len__(self) -> int:
        return len(self.features)

    def __repr__(self) -> str:
        return f"FeatureRows({len(self)} x {self.width})"

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return int(self.features.shape[1])

    def read(self, row: int, at_least: int | None = None) -> Image.Image:
        """Raise `InputError`: there is no image."""
        raise InputError(
            f"row {row} is {self.width} features, not an image: what shows, augments or fine-tunes on images needs the "
            "images themselves (nb.load_dataset, nb.from_images)"
        )


def feature_matrix(given: Any, width: int | None = None) -> FloatRows:
    """Return features as float32 `(n, width)`, a copy only where the type differs.

    Args:
        given: numbers `(n, width)`: a numpy array, a torch tensor, or what numpy makes one of.
        width: how wide they must be; None for any width.

    Raises:
        InputError: a path, another shape, another width, no numbers, or values that are not finite in float32.
    """
    if isinstance(given, str | PathLike):
        read = f"np.load({os.fspath(given)!r:.60})"
        raise InputError(f"features must be an array (n, width), not a path: give what {read} reads")
    array = as_array(given)
    if array.ndim != 2 or array.shape[1] < 1:
        hint = ": give one row as X[None]" if array.ndim == 1 and array.dtype.kind in "fiu" else ""
        raise InputError(f"features must have the shape (n, width), not {array.shape}{hint}")
    if array.dtype.kind not in "fiu":
        raise InputError(f"features must be real numbers (float32, say), not {array.dtype}")
    if width is not None and array.shape[1] != width:
        raise InputError(f"expected features of the width {width}, as the model was trained on, not {array.shape[1]}")
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(array, np.float32)
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise InputError(
            f"features must be finite float32 numbers, and {len(bad)} of {len(matrix)} rows are not, the first: row "
            f"{bad[0]} (NaN, infinity, or too large)"
        )
    return matrix


def as_array(given: Any) -> npt.NDArray[Any]:
    """Return a numpy array of what is given; of a torch tensor its values, on the CPU (bfloat16 as float32)."""
    if hasattr(given, "detach") and hasattr(given, "cpu"):
        tensor = given.detach().cpu()
        return np.asarray((tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy())
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InputError(f"expected an array of numbers, all rows of one length: {error}") from error


def feature_digests(features: FloatRows) -> tuple[str, ...]:
    """Return the SHA-256 of each row, by its float32 values and their number."""
    head = hashlib.sha256(f"features float32 {features.shape[1]}\n".encode())
    digests = []
    for row in np.ascontiguousarray(features.astype("<f4", copy=False)):
        digest = head.copy()
        digest.update(row.data)
        digests.append(digest.hexdigest())
    return tuple(digests)
