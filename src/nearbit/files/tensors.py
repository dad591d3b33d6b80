"""What the safetensors library raises, turned into errors that name the file: one place for all that read and write."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from nearbit.errors import NearbitError

LARGEST_HEADER = 16 * 2**20
"""Bytes of a safetensors header above which a file is refused: names and shapes of some 100,000 tensors."""

_SYSTEM = re.compile(r"\(os error (\d+)\)")


@contextmanager
def tensors_written(path: Path) -> Iterator[None]:
    """Turn what safetensors raises as it writes `path` into the error of the system, such as of a full disk."""
    try:
        yield
    except SafetensorError as error:
        found = _SYSTEM.search(str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error


@contextmanager
def tensors_read(what: str, kind: type[NearbitError]) -> Iterator[None]:
    """Turn what safetensors raises as it reads into an error of the class `kind`; `what` names the file."""
    try:
        yield
    except (SafetensorError, ValueError, OverflowError) as error:
        raise kind(f"{what} is not a safetensors file, or a damaged one: {error}") from error


def header_of(path: Path, kind: type[NearbitError]) -> bytes:
    """Return the JSON header of a safetensors file without reading what follows.

    Raises:
        NearbitError: of the class `kind`: there is no file, or it says that its header is longer than it is or than
            any that we read.
    """
    if not path.is_file():
        raise kind(f"{path} is missing")
    with open(path, "rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise kind(f"{path} is not a safetensors file (its header would have {length} bytes)")
        return handle.read(length)
