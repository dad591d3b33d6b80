"""Compilation of the kernels: kept on disk where a folder can be written, so that only the first run waits for it.

Kernels live in modules whose names end in "kernels". Machine code that is kept belongs to the text of all of them: a
kernel has others inside it, and a change of any one makes all compile anew.
"""

import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

MINUS: Any = np.int64(-1)
ZERO: Any = np.int64(0)
ONE: Any = np.int64(1)
"""Not the literals -1, 0 and 1: of a kernel that is called with those numba compiles a variant of its own."""

_PAIRS, _NIBBLES, _FOURS, _ONES = (
    np.uint64(0x5555555555555555),
    np.uint64(0x3333333333333333),
    np.uint64(0x0F0F0F0F0F0F0F0F),
    np.uint64(0x0101010101010101),
)


_KERNELS: list[Any] = []


def jit(kernel: Kernel) -> Kernel:
    """Return the compiled form of a kernel: it frees other threads while it runs and checks no bounds.

    The machine code is kept beside the module, else in the user's cache folder (`NUMBA_CACHE_DIR` names another);
    where neither can be written, each process compiles anew.
    """
    return _kept(kernel, {})


def kernel(function: Kernel) -> Kernel:
    """Return the compiled form, kept on disk, of a kernel that allocates nothing and returns numbers only.

    Its callers in Python hold all arrays, those that it fills too: it compiles in a third of the time of one that
    allocates, copies slices or sorts, for which numba compiles counting, checks and messages along.
    """
    return _kept(function, {"_nrt": False})


def lean(kernel: Kernel) -> Kernel:
    """Return the compiled form of an inner kernel that allocates nothing and returns numbers only.

    It counts no references to the arrays that it is given or cuts out of them: in a short loop that counting would be
    most of the work. Only other kernels may call it, since they hold the arrays. What calls it is kept with it inside:
    it is not kept alone, which would take as long again.
    """
    options: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(kernel, nogil=True, **options)  # type: ignore[no-any-return]


def _kept(kernel: Kernel, options: dict[str, Any]) -> Kernel:
    """Return the compiled form of a kernel, kept on disk where numba finds a folder that it can write."""
    try:
        kept: Kernel = numba.njit(kernel, nogil=True, cache=True, **options)
    except RuntimeError:  # numba found no such folder
        return numba.njit(kernel, nogil=True, **options)  # type: ignore[no-any-return]
    file = getattr(getattr(kept, "_cache", None), "_cache_file", None)
    if file is not None:
        file._source_stamp = (file._source_stamp, sources())
    _KERNELS.append(kept)
    return kept


@cache
def sources() -> str:
    """Return the SHA-256 of the text of this module and of all modules with kernels."""
    digest = hashlib.sha256()
    for file in _modules():
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _modules() -> list[Path]:
    return sorted([Path(__file__), *Path(__file__).parent.rglob("*kernels.py")])


def note_kept(family: str) -> None:
    """Note on disk that all kernels of a family are kept there: the files of those that this process has called."""
    note = _note(family)
    if note is None or is_kept(family):
        return
    from nearbit.files.writing import write_json

    files = [kernel._cache._cache_file._index_path for kernel in _KERNELS if kernel.signatures and _is_cached(kernel)]
    write_json(note, sorted(files))


def is_kept(family: str) -> bool:
    """Return whether machine code for a family's kernels, of these sources and this processor, is kept on disk."""
    note = _note(family)
    if note is None or not note.is_file():
        return False
    from nearbit.errors import DataError
    from nearbit.json_text import parse_json

    try:
        files = parse_json(note.read_bytes(), f"{note}", DataError)
    except (DataError, OSError):
        return False  # a damaged note: what it is about is compiled and noted anew
    return isinstance(files, list) and all(isinstance(file, str) and Path(file).is_file() for file in files)


def kept_in() -> Path | None:
    """Return the folder in which machine code is kept; None where no folder can be written."""
    from numba.core.caching import FunctionCache

    try:
        return Path(FunctionCache(kept_in).cache_path)  # type: ignore[no-untyped-call]
    except RuntimeError:
        return None


def _note(family: str) -> Path | None:
    """Return the file that says that a family is kept on disk; None where nothing is kept."""
    folder = kept_in()
    if folder is None:
        return None
    from numba.core.registry import cpu_target

    about = [sources(), _dates(), numba.__version__, sys.version, cpu_target.target_context.codegen().magic_tuple()]
    digest = hashlib.sha256(repr(about).encode()).hexdigest()[:16]
    return folder / f"nearbit-{family}-{digest}.json"


def _is_cached(kernel: Any) -> bool:
    return getattr(getattr(kernel, "_cache", None), "_cache_file", None) is not None


def _dates() -> list[float]:
    """Return when the modules with kernels were written: numba keeps no machine code beyond that."""
    return [file.stat().st_mtime for file in _modules()]


@lean
def ones(word: Any) -> Any:
    """Return the number of bits set in a word; the compiler makes one instruction of it."""
    word = word - ((word >> np.uint64(1)) & _PAIRS)
    word = (word & _NIBBLES) + ((word >> np.uint64(2)) & _NIBBLES)
    word = (word + (word >> np.uint64(4))) & _FOURS
    return (word * _ONES) >> np.uint64(56)
