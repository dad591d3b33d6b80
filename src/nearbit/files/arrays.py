"""What NumPy raises of an .npy or .npz file that anyone may have made or damaged."""

import struct
import zlib
from tokenize import TokenError
from zipfile import BadZipFile

UNREADABLE = (
    OSError, ValueError, EOFError, BadZipFile, zlib.error, struct.error, LookupError, MemoryError, OverflowError,
    NotImplementedError, RuntimeError, SyntaxError, TypeError, TokenError,
)  # fmt: skip
"""Headers that are no header, archives that are none, packed in an unknown or secret way, or of more than memory."""
