"""Compilation of the kernels: kept on disk where a folder can be written, so that only the first run waits for it."""

from collections.abc import Callable
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


def compiled(kernel: Kernel) -> Kernel:
    """Return the compiled form of a kernel: it frees other threads while it runs and checks no bounds.

    The machine code is kept beside the module, else in the user's cache folder (`NUMBA_CACHE_DIR` names another);
    where neither can be written, each process compiles anew.
    """
    try:
        kept: Kernel = numba.njit(kernel, nogil=True, cache=True)
    except RuntimeError:  # numba found no folder that it can write
        kept = numba.njit(kernel, nogil=True)
    return kept


def lean(kernel: Kernel) -> Kernel:
    """Return the compiled form of an inner kernel that allocates nothing and returns numbers only.

    It counts no references to the arrays that it is given or cuts out of them: in a short loop that counting would be
    most of the work. Only other kernels may call it, since they hold the arrays.
    """
    counts_nothing: dict[str, Any] = {"_nrt": False}
    try:
        kept: Kernel = numba.njit(kernel, nogil=True, cache=True, **counts_nothing)
    except RuntimeError:  # numba found no folder that it can write
        kept = numba.njit(kernel, nogil=True, **counts_nothing)
    return kept


@lean
def ones(word: Any) -> Any:
    """Return the number of bits set in a word; the compiler makes one instruction of it."""
    word = word - ((word >> np.uint64(1)) & _PAIRS)
    word = (word & _NIBBLES) + ((word >> np.uint64(2)) & _NIBBLES)
    word = (word + (word >> np.uint64(4))) & _FOURS
    return (word * _ONES) >> np.uint64(56)
