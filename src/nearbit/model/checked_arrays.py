"""Arrays of a model folder: what a file says of itself is compared with what must be there before it is read."""

import math
import os
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.errors import BundleError
from nearbit.model.manifest import checked_bytes, or_damaged

HEADER_BYTES = 512
"""The beginning of an .npy file that is looked at: NumPy writes headers of 128 bytes."""

HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype>[<|][biuf][1248])', 'fortran_order': (?:False|True), "
    rb"'shape': \((?P<shape>(?:[0-9]{1,18},? ?){0,4})\), \} *\n",
    re.DOTALL,
)


def declared(folder: Path, files: dict[str, str], name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return the type and the shape that an .npy file says it holds, without reading its values.

    Raises:
        BundleError: it is missing, no .npy file, or has not as many bytes as it says.
    """
    if not (folder / name).is_file():
        raise BundleError(f"{folder / name} is missing")
    with or_damaged(folder, files, name):
        return _declared(folder / name)


def _declared(path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    with open(path, "rb") as handle:
        start = handle.read(HEADER_BYTES)
        size = os.fstat(handle.fileno()).st_size
    found = HEADER.match(start)
    if found is None:
        raise BundleError(f"{path} is not an array that nearbit wrote: it begins with other bytes")
    dtype = np.dtype(found["dtype"].decode())
    shape = tuple(int(side) for side in found["shape"].replace(b" ", b"").split(b",") if side)
    if found.end() + math.prod(shape) * dtype.itemsize != size:
        raise BundleError(f"{path} has not the values that it says: {dtype} {shape}")
    return dtype, shape


def read_array(folder: Path, files: dict[str, str], name: str) -> npt.NDArray[Any]:
    """Return an array whose type and shape were found right in what is `declared`."""
    array: npt.NDArray[Any] = np.load(BytesIO(checked_bytes(folder, files, name)), allow_pickle=False)
    return array


def check_declared(
    folder: Path, files: dict[str, str], name: str, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> None:
    """Raise `BundleError` unless an .npy file says that it holds an array of this type and shape."""
    found = declared(folder, files, name)
    if found != (dtype, shape):
        with or_damaged(folder, files, name):
            raise BundleError(f"{folder / name} must be {dtype} {shape}, not {found[0]} {found[1]}")


def read_signs(folder: Path, files: dict[str, str], name: str, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """Return int8 -1 and +1 of this shape from the file `name`; raise `BundleError` for anything else."""
    check_declared(folder, files, name, np.dtype(np.int8), shape)
    array = read_array(folder, files, name)
    if array.dtype != np.int8 or array.shape != shape or not np.isin(array, (-1, 1)).all():
        raise BundleError(f"{folder / name} must hold -1 and +1 only")
    return array
