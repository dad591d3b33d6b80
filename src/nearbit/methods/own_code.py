"""The code of a method that is not nearbit's own: what it does may change from run to run under one name."""

import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache, partial
from importlib.metadata import packages_distributions
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from nearbit.methods.baseline import Baseline
from nearbit.methods.method import Method

OURS = "nearbit"


def code_digest(method: Method | Baseline) -> str | None:
    """Return the SHA-256 of the code that a method is made of; None for one of nearbit's own.

    That is the source of the modules of its functions and options, of the whole package of each, and of what these take
    from modules beside them; what installed libraries bring is left out. Of functions of a notebook or a script it is
    what they, and functions that they call there, were compiled to.
    """
    parts = [getattr(method, one.name) for one in fields(method)]
    found: dict[str, str] = {}
    for part in parts:
        for module in _modules_of(part):
            _add(module, found)
        if (function := _function_of(part)) is not None and not _file_of(sys.modules.get(function.__module__)):
            _add_compiled(function, found)
    if not found:
        return None
    return hashlib.sha256("\n".join(f"{name} {found[name]}" for name in sorted(found)).encode()).hexdigest()


def _function_of(part: Any) -> FunctionType | None:
    while isinstance(part, partial):
        part = part.func
    return part if isinstance(part, FunctionType) and not _is_ours(part.__module__) else None


def _modules_of(part: Any) -> Iterator[ModuleType]:
    """Yield the modules, but for nearbit's, that a part of a method comes from."""
    while isinstance(part, partial):
        part = part.func
    for name in {getattr(part, "__module__", None), type(part).__module__}:
        module = sys.modules.get(str(name))
        if module is not None and not _is_ours(module.__name__) and not _is_library(module):
            yield module


def _add(module: ModuleType, found: dict[str, str]) -> None:
    """Add the source of a module, of its package, and of the modules that these name in their globals."""
    name, file = module.__name__, _file_of(module)
    if file is None or name in found:
        return
    found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    package = sys.modules.get(name.partition(".")[0])
    for folder in getattr(package, "__path__", ()):
        for source in sorted(Path(folder).rglob("*.py")):
            place = source.relative_to(folder).as_posix()
            found[f"{name.partition('.')[0]}/{place}"] = hashlib.sha256(source.read_bytes()).hexdigest()
    for value in list(vars(module).values()):
        other = value if isinstance(value, ModuleType) else sys.modules.get(str(getattr(value, "__module__", None)))
        if other is not None and not _is_ours(other.__name__) and not _is_library(other, of=module):
            _add(other, found)


def _add_compiled(function: FunctionType, found: dict[str, str]) -> None:
    """Add what a function was compiled to, and what it names beside itself."""
    name = f"{function.__module__}.{function.__qualname__}"
    if name in found:
        return
    found[name] = _compiled(function.__code__)
    for used in function.__code__.co_names:
        value = function.__globals__.get(used)
        if isinstance(value, FunctionType) and value.__module__ == function.__module__:
            _add_compiled(value, found)
        elif isinstance(value, int | float | str | tuple):
            found[f"{function.__module__}.{used}"] = repr(value)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == OURS


def _is_library(module: ModuleType, of: ModuleType | None = None) -> bool:
    """Return whether a module is of the standard library, or of another installed package than the one beside it."""
    top = module.__name__.partition(".")[0]
    if top in sys.stdlib_module_names:
        return True
    owners = _owners() if of is not None else {}
    return (
        of is not None and top in owners and not set(owners[top]) & set(owners.get(of.__name__.partition(".")[0], ()))
    )


@cache
def _owners() -> Mapping[str, list[str]]:
    """Return the distributions that bring each importable name."""
    return packages_distributions()


def _file_of(module: ModuleType | None) -> Path | None:
    """Return the source of a module; None where there is none, and for a script, whose other lines may change."""
    if module is None or module.__name__ == "__main__" or getattr(module, "__file__", None) is None:
        return None
    file = inspect.getsourcefile(module)
    return Path(file) if file is not None and Path(file).is_file() else None


def _compiled(code: CodeType) -> str:
    """Return the SHA-256 of what a function was compiled to, whatever its file and lines."""
    digest = hashlib.sha256(code.co_code)
    for one in code.co_consts:
        digest.update((_compiled(one) if isinstance(one, CodeType) else repr(one)).encode())
    digest.update(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    return digest.hexdigest()
