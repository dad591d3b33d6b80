"""What a caller gives, as it is kept: numbers of NumPy as Python's own, texts as paths, and one check for each kind."""

import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, cast, overload

from nearbit.errors import InputError


def path_of(name: str, given: object) -> Path:
    """Return the path that an argument gives, as a text or as a path; raise `InputError` for anything else."""
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else given
    if not isinstance(text, str):
        raise InputError(f"{name} must be a path, not {type(text).__name__}")
    if not text or "\0" in text:
        raise InputError(f"{name} must be a path, not {'an empty text' if not text else repr(text) + ' with a NUL'}")
    return Path(text)


def check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    """Raise `InputError` unless an option is one of the known texts."""
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def check_flag(name: str, value: object) -> None:
    """Raise `InputError` unless an option is True or False: a text such as "no" would count as True."""
    if not isinstance(value, bool):
        raise InputError(f"{name} must be True or False, not {value!r}")


@overload
def check_number(
    name: str, value: object, *, whole: Literal[True], at_least: float = 0, below: float | None = None
) -> int: ...


@overload
def check_number(
    name: str,
    value: object,
    *,
    at_least: float = 0,
    below: float | None = None,
    whole: Literal[False] = False,
    is_positive: bool = False,
    why: str = "",
) -> float: ...


def check_number(
    name: str,
    value: object,
    *,
    at_least: float = 0,
    below: float | None = None,
    whole: bool = False,
    is_positive: bool = False,
    why: str = "",
) -> float:
    """Return an option as a number of Python; raise `InputError` unless it is a finite one within its limits.

    Args:
        name: of the option.
        value: as it was given, a number of Python or of NumPy.
        at_least: the least that it may be.
        below: what it must be less than; None for no such limit.
        whole: whether it must be a whole number.
        is_positive: whether it must be above 0, in the place of `at_least`.
        why: what is to be said of a 0 where it must be above.
    """
    number = plain(value)
    is_number = not isinstance(number, bool) and isinstance(number, int if whole else (int, float))
    is_finite = is_number and abs(number) <= sys.float_info.max
    is_within = is_finite and (number > 0 if is_positive else number >= at_least)
    if is_within and (below is None or number < below):
        return cast(float, number)
    told = f": {why}" if why and is_number and number == 0 else ""
    kind = "whole number" if whole else "number"
    least = "above 0" if is_positive else f"of at least {at_least}"
    most = "" if below is None else f" and below {below}"
    raise InputError(f"{name} must be a {kind} {least}{most}, not {value!r}{told}")


def plain(value: Any) -> Any:
    """Return a number or a text of NumPy as Python's own, which JSON and the names of runs know; others as they are."""
    from numpy import generic

    return value.item() if isinstance(value, generic) else value


def keep_plain(options: Any) -> None:
    """Let a frozen dataclass of options hold numbers and texts of Python where NumPy's were given."""
    for one in fields(options):
        object.__setattr__(options, one.name, plain(getattr(options, one.name)))
