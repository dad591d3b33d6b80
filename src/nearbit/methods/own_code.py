"""The code of a method that is not nearbit's own: what it does may change from run to run under one name."""

import hashlib
import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache, partial
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from nearbit.methods import GROUP, Baseline, Method

OURS = "nearbit"
PLAIN = (type(None), bool, int, float, complex, str, bytes)

_KNOWN: dict[int, tuple[Any, str | None]] = {}
"""What was found of each method by its number, with the method, which keeps its number as long as it is there."""


def code_digest(method: Method | Baseline) -> str | None:
    """Return the SHA-256 of the code that a method is made of; None for one of nearbit's own.

    That is the source of the modules of its functions and classes, of the whole package of each, and of modules that
    these take anything from; of installed libraries it is their names, but for packages that declare methods. Of
    functions and classes of a script or a notebook it is what they were compiled to, with what they name there. The
    same in every process, as long as the files are.
    """
    if id(method) not in _KNOWN:
        code = _Code()
        for one in fields(method):
            code.add(one.name, getattr(method, one.name))
        _KNOWN[id(method)] = method, code.digest()
    return _KNOWN[id(method)][1]


class _Code:
    """What was found of the code of a method, by name."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}
        self._seen: set[int] = set()
        self._kept: list[Any] = []
        self._packages: set[str] = set()
        self._is_foreign = False

    def digest(self) -> str | None:
        """Return the SHA-256 of all that was found; None where all of it is nearbit's."""
        if not self._is_foreign:
            return None
        return _sha256("\n".join(f"{name} {self._found[name]}" for name in sorted(self._found)))

    def add(self, name: str, value: Any) -> None:
        """Add a value under a name."""
        self._found[name] = self._said(value)

    def _said(self, value: Any) -> str:
        """Return a text of a value that is the same in every process, after adding the code that it is of."""
        if isinstance(value, PLAIN):
            return repr(value)
        if isinstance(value, np.ndarray):
            return f"{value.dtype} {value.shape} {_sha256(value.tobytes())}"
        if isinstance(value, tuple | list):
            return f"[{', '.join(map(self._said, value))}]"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(map(self._said, value)))}}}"
        if isinstance(value, Mapping):
            return f"{{{', '.join(sorted(f'{self._said(key)}: {self._said(one)}' for key, one in value.items()))}}}"
        if isinstance(value, partial):
            return self._said((value.func, value.args, value.keywords))
        if isinstance(value, MethodType):
            return self._said((value.__func__, value.__self__))
        if isinstance(value, staticmethod | classmethod):
            return self._said(value.__func__)
        if isinstance(value, property):
            return self._said((value.fget, value.fset, value.fdel))
        if isinstance(value, ModuleType):
            return self._of_module(value)
        if isinstance(value, CodeType):
            return self._said((value.co_code, value.co_consts, value.co_names, value.co_varnames, value.co_freevars))
        if isinstance(value, type | FunctionType):
            return self._of_code(value)
        return self._of_object(value)

    def _of_code(self, value: Any) -> str:
        """Return the name of a function or class, after adding its module, or itself where that is being run."""
        module = sys.modules.get(value.__module__)
        name = f"{value.__module__}.{value.__qualname__}"
        if _is_ours(value.__module__) or _is_library(value.__module__):
            return name
        self._is_foreign = True
        if module is not None and _source_of(module) is not None:
            self._of_module(module)
            more = (value.__defaults__, value.__kwdefaults__) if isinstance(value, FunctionType) else ()
            return f"{name} {self._said((more, *_cells_of(value)))}"
        if not self._is_new(value):
            return name
        if isinstance(value, FunctionType):
            used = {one: value.__globals__[one] for one in _names_in(value.__code__) if one in value.__globals__}
            parts: Any = (value.__code__, value.__defaults__, value.__kwdefaults__, used, *_cells_of(value))
        else:
            own = {one: part for one, part in vars(value).items() if not one.startswith("__") or callable(part)}
            parts = (value.__bases__, own)
        return f"{name} {_sha256(self._said(parts))}"

    def _of_object(self, value: Any) -> str:
        """Return what an object is of, and what it holds; of nearbit's own and of libraries the kind alone."""
        kind = self._said(type(value))
        if _is_ours(type(value).__module__) or _is_library(type(value).__module__) or not self._is_new(value):
            return kind
        return f"{kind} {self._said(dict(vars(value)) if hasattr(value, '__dict__') else ())}"

    def _of_module(self, module: ModuleType) -> str:
        """Return the name of a module, after adding the source of its package and of what it takes from."""
        name, top = module.__name__, module.__name__.partition(".")[0]
        source = _source_of(module)
        if _is_ours(name) or _is_library(name) or source is None or not self._is_new(module):
            return name
        self._is_foreign = True
        self._found[f"module {name}"] = _sha256(source.read_bytes())
        for folder in () if top in self._packages else getattr(sys.modules.get(top), "__path__", ()):
            for file in Path(folder).rglob("*.py"):
                self._found[f"file {top}/{file.relative_to(folder).as_posix()}"] = _sha256(file.read_bytes())
        self._packages.add(top)
        for one in list(vars(module).values()):
            other = one if isinstance(one, ModuleType) else sys.modules.get(str(getattr(one, "__module__", None)))
            if other is not None:
                self._of_module(other)
        return name

    def _is_new(self, value: Any) -> bool:
        if id(value) in self._seen:
            return False
        self._seen.add(id(value))
        self._kept.append(value)  # so that no other one gets its number
        return True


def _sha256(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def _cells_of(value: Any) -> Iterable[Any]:
    """Return what a function took from around it."""
    for cell in getattr(value, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            yield None


def _names_in(code: CodeType) -> set[str]:
    """Return the names that a function and those within it look up."""
    inner = [_names_in(one) for one in code.co_consts if isinstance(one, CodeType)]
    return set(code.co_names).union(*inner)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == OURS


@cache
def _is_library(module: str) -> bool:
    """Return whether a module is of the standard library, or of an installed package that declares no method."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == "builtins":
        return True
    authors = {entry.dist.name for entry in entry_points(group=GROUP) if entry.dist is not None}
    owners = _owners().get(top, [])
    return bool(owners) and not authors & set(owners)


@cache
def _owners() -> Mapping[str, list[str]]:
    """Return the distributions that bring each importable name."""
    return packages_distributions()


def _source_of(module: ModuleType) -> Path | None:
    """Return the source of a module; None where there is none, and for a script, whose other lines may change."""
    if module.__name__ in ("__main__", "__mp_main__") or getattr(module, "__file__", None) is None:
        return None
    file = inspect.getsourcefile(module)
    return Path(file) if file is not None and Path(file).is_file() else None
