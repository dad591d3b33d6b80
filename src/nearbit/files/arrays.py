"""What NumPy raises of an .npy or .npz file that anyone may have made or damaged."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

from nearbit.errors import NearbitError

UNREADABLE = (
    OSError, ValueError, EOFError, BadZipFile, zlib.error, struct.error, LookupError, MemoryError, OverflowError,
    NotImplementedError, RuntimeError, SyntaxError, TypeError, TokenError,
)  # fmt: skip
"""Headers that are no header, archives that are none, packed in an unknown or secret way, or of more than memory."""


@contextmanager
def arrays_read(path: Path, kind: type[NearbitError], expected: str) -> Iterator[None]:
    """Turn what NumPy raises of a file that is none, or is damaged, into one line of the class `kind`."""
    try:
        yield
    except NearbitError:
        raise
    except UNREADABLE as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise kind(f"{path} cannot be read as {expected}: {said}") from error
