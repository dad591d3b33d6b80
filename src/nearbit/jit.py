"""Compilation of the kernels: kept on disk where a folder can be written, so that only the first run waits for it.

Kernels live in modules whose names end in "kernels". Machine code that is kept belongs to the text of all of them: a
kernel has others inside it, and a change of any one makes all compile anew.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_PAIRS, _NIBBLES, _FOURS, _ONES = (
    np.uint64(0x5555555555555555),
    np.uint64(0x3333333333333333),
    np.uint64(0x0F0F0F0F0F0F0F0F),
    np.uint64(0x0101010101010101),
)


def jit(kernel: Kernel) -> Kernel:
    """Return the compiled form of a kernel: it frees other threads while it runs and checks no bounds.

    The machine code is kept beside the module, else in the user's cache folder (`NUMBA_CACHE_DIR` names another);
    where neither can be written, each process compiles anew.
    """
    return _kept(kernel, {})


def lean(kernel: Kernel) -> Kernel:
    """Return the compiled form of an inner kernel that allocates nothing and returns numbers only.

    It counts no references to the arrays that it is given or cuts out of them: in a short loop that counting would be
    most of the work. Only other kernels may call it, since they hold the arrays.
    """
    return _kept(kernel, {"_nrt": False})


def _kept(kernel: Kernel, options: dict[str, Any]) -> Kernel:
    """Return the compiled form of a kernel, kept on disk where numba finds a folder that it can write."""
    try:
        kept: Kernel = numba.njit(kernel, nogil=True, cache=True, **options)
    except RuntimeError:  # numba found no such folder
        return numba.njit(kernel, nogil=True, **options)  # type: ignore[no-any-return]
    file = getattr(getattr(kept, "_cache", None), "_cache_file", None)
    if file is not None:
        file._source_stamp = (file._source_stamp, sources())
    return kept


@cache
def sources() -> str:
    """Return the SHA-256 of the text of this module and of all modules with kernels."""
    digest = hashlib.sha256()
    for file in sorted([Path(__file__), *Path(__file__).parent.rglob("*kernels.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


@lean
def ones(word: Any) -> Any:
    """Return the number of bits set in a word; the compiler makes one instruction of it."""
    word = word - ((word >> np.uint64(1)) & _PAIRS)
    word = (word & _NIBBLES) + ((word >> np.uint64(2)) & _NIBBLES)
    word = (word + (word >> np.uint64(4))) & _FOURS
    return (word * _ONES) >> np.uint64(56)
