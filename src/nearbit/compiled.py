"""Compilation of the kernels: kept on disk where a folder can be written, so that only the first run waits for it."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


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
