"""Reading .npz files of codes that anyone made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nearbit.errors import DataError


def read_arrays(
    path: Path, needed: Sequence[str], *, one_of: Sequence[str] = (), also: Sequence[str] = ()
) -> tuple[dict[str, Any], int]:
    """Return named arrays of an .npz file and its n_bits; never runs what a file may hold as code.

    Args:
        path: the file.
        needed: the arrays that it must hold beside n_bits.
        one_of: names of which it must hold one; the first that is there is returned.
        also: names of others, returned where they are there.

    Raises:
        DataError: the file cannot be read, an array is missing, or n_bits is not one whole number.
    """
    import numpy as np

    from nearbit.files.arrays import arrays_read

    with (
        arrays_read(path, DataError, "an .npz file of plain arrays"),
        open(path, "rb") as handle,
        _opened(np.load(handle, allow_pickle=False)) as file,
    ):
        wanted = [*needed, *[name for name in one_of if name in file.files][:1], *also, "n_bits"]
        arrays = {name: file[name] for name in wanted if name in file.files}
    missing = [name for name in (*needed, "n_bits") if name not in arrays]
    if one_of and not any(name in arrays for name in one_of):
        missing.insert(0, " or ".join(one_of))
    if missing:
        expected = ", ".join([*[" or ".join(one_of)] * bool(one_of), *needed, "n_bits"])
        raise DataError(f"{path} must hold {expected}; missing: {', '.join(missing)}")
    n_bits = arrays.pop("n_bits")
    if n_bits.ndim or n_bits.dtype.kind not in "iu":
        raise DataError(f"{path}: n_bits must be one whole number, not {n_bits.dtype} {n_bits.shape}")
    return arrays, int(n_bits)


def _opened(file: Any) -> Any:
    """Return what NumPy opened; raise `ValueError` where it is one array and no archive of several."""
    if not hasattr(file, "files"):
        raise ValueError("it holds one array without a name (.npy)")
    return file
