"""Which form of the kernels works: NumPy's until machine code is there, so that no one waits for a compiler.

Kernels that are wanted together make a *family*, named in the table below. Each has its loops twice: compiled, in
modules whose names end in "kernels", and as NumPy, with results equal to the last bit that is shown. Nobody but this
module decides which of the two works:

    from nearbit.compiled import COUNTING

    if COUNTING.serves(seconds=1.5e-9 * n_query * n_database):
        from nearbit.metrics.counting import kernels
        ...
    else:
        from nearbit.metrics.counting import plain
        ...

`seconds` is roughly what NumPy takes for this piece of work. It is added up: code that is kept on disk is loaded once
that would have taken as long as NumPy has worked, and what was never compiled is compiled once much was done (the work
may then end no later than by twice the best way). Long work comes in pieces, each of which asks anew: it goes on in
machine code when that is ready. Modules with kernels are imported behind the question only, since they load numba.

Compilation runs in a thread of its own and never delays an answer. A process that lives long (a service, a notebook)
begins at once, with `prepare(*FAMILIES)`; a command that answers one question never does, unless its work takes as
long as the compiler. `NEARBIT_COMPILE` overrules: "now" compiles before the first answer, as the tests do, and "never"
leaves all to NumPy.

A family is warmed by a generator, `warm()` in a module of its own or another function: between two of its steps a
process may end. Each step calls a kernel with small arrays of the very types, dimensions, orders and writeability that
callers give it; `tests/test_compiled.py` looks whether real work then compiles nothing more.
"""

import builtins
import os
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import final

from nearbit.errors import InputError

LOADING_SECONDS = 0.5
"""About what loading numba and kept machine code takes: NumPy may have worked for so long before it is worth it."""
COMPILING_SECONDS = 5.0
"""How long NumPy may have worked in a process that is not known to live long before a family is compiled aside."""
PIECE_SECONDS = 0.25
"""How long NumPy works before it is asked again whether the kernels are there."""
MODES = ("auto", "now", "never")


def mode() -> str:
    """Return what `NEARBIT_COMPILE` asks for: "auto" where it is not set.

    Raises:
        InputError: it is set to something else than one of `MODES`.
    """
    named = os.environ.get("NEARBIT_COMPILE", "") or "auto"
    if named not in MODES:
        raise InputError(f"NEARBIT_COMPILE must be auto, now or never, not {named!r}: correct or unset it")
    return named


def lives_long() -> bool:
    """Return whether a person works in this process: interactive Python, IPython or a notebook."""
    return bool(hasattr(sys, "ps1") or sys.flags.interactive or hasattr(builtins, "__IPYTHON__"))


@final
class Family:
    """Kernels that are compiled, kept and loaded together; threads share it."""

    def __init__(self, name: str, warming: str) -> None:
        """Name the family and the generator that calls all of its kernels; nothing is loaded.

        Args:
            name: what people see.
            warming: the full name of a module, whose `warm` it is, or "module:function".
        """
        self.name = name
        self._warming = warming
        self._loading = threading.Lock()
        self._is_loaded = False
        self._is_coming = False
        self._is_kept: bool | None = None
        self._spent = 0.0

    @property
    def is_loaded(self) -> bool:
        """Whether machine code for all kernels is in this process."""
        return self._is_loaded

    def serves(self, seconds: float) -> bool:
        """Return whether compiled kernels do the next piece of work; if not, NumPy does.

        Args:
            seconds: about how long NumPy takes for it, by one core.

        Raises:
            InputError: see `mode`.
        """
        wanted = mode()
        if self._is_loaded or wanted != "auto":
            return wanted != "never" and self.load()
        if self._is_coming:
            return False
        self._spent += seconds  # two threads may lose one of two sums: it is no more than a measure
        if self._spent >= LOADING_SECONDS and not is_compiling() and self.is_kept():
            return self.load()
        if lives_long() or self._spent >= COMPILING_SECONDS:
            prepare(self)
        return False

    def pieces(self, n: int, seconds: float) -> Iterator[tuple[slice, bool]]:
        """Yield work of `n` equal parts in pieces, each with whether compiled kernels do it.

        As long as NumPy works a piece is short; once the kernels are there they do all the rest.

        Args:
            n: how many parts there are.
            seconds: about how long NumPy takes for one, by one core.
        """
        start, count = 0, max(1, int(PIECE_SECONDS / seconds))
        while start < n:
            stop = min(n, start + count)
            if self.serves((stop - start) * seconds):
                yield slice(start, n), True
                return
            yield slice(start, stop), False
            start = stop

    def load(self) -> bool:
        """Load the kernels, or compile them here and now; return True when all are there."""
        if not self._is_loaded:
            for _ in self.steps():
                pass
        return True

    def is_kept(self) -> bool:
        """Return whether machine code of these sources is kept on disk for this processor; looked at once."""
        if self._is_kept is None:
            from nearbit import jit

            self._is_kept = jit.is_kept(self.name)
        return self._is_kept

    def steps(self) -> Iterator[None]:
        """Load or compile one kernel at each step; after the last the family is there, in this process and on disk."""
        with self._loading:
            if self._is_loaded:
                return
            from nearbit import jit

            module, _, function = self._warming.partition(":")
            yield from getattr(import_module(module), function or "warm")()
            jit.note_kept(self.name)
            self._is_loaded = True


_COMING: list[Family] = []
_COMPILER: list[threading.Thread] = []
_LOCK = threading.Lock()


def prepare(*families: Family) -> None:
    """Begin to load kernels, or to compile them, in a thread of its own, one family after the other.

    `Family.serves` tells when they are there. A process that ends meanwhile waits for the kernel that is being
    compiled, for no more.
    """
    if mode() == "never":
        return
    with _LOCK:
        for family in families:
            if not family.is_loaded and not family._is_coming:
                family._is_coming = True
                _COMING.append(family)
        if _COMING and not _COMPILER:
            _COMPILER.append(threading.Thread(target=_compile_aside, name="nearbit-compile"))
            _COMPILER[0].start()


def is_compiling() -> bool:
    """Return whether kernels are being compiled or loaded aside."""
    return bool(_COMPILER)


def _compile_aside() -> None:
    """Take along what is coming until there is no more, or the process ends; an error ends it, and is printed."""
    family = _next()
    while family is not None:
        try:
            for _ in family.steps():
                if not threading.main_thread().is_alive():
                    break
        except BaseException:
            _COMPILER.clear()
            raise
        family = _next()


def _next() -> Family | None:
    with _LOCK:
        if _COMING and threading.main_thread().is_alive():
            return _COMING.pop(0)
        _COMPILER.clear()
        return None


SEARCH = Family("search", "nearbit.index.engine.warming:search")
"""Exact search in memory, by distance."""
WEIGHTED = Family("weighted", "nearbit.index.engine.warming:weighted")
"""Exact search in memory, by weighted distance."""
BUILDING = Family("building", "nearbit.index.engine.warming:building")
"""The structure that spares a search most codes."""
COUNTING = Family("counting", "nearbit.metrics.counting.warming")
"""The metrics: distances, histograms and rankings."""

FAMILIES: tuple[Family, ...] = (SEARCH, BUILDING, WEIGHTED, COUNTING)
