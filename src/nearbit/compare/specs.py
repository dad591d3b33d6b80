"""What a comparison calls a method: its name, or its name with options of it ("crh:reassign_every=0,margin=0.3")."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nearbit.errors import InputError
from nearbit.json_text import json_or_text
from nearbit.methods import Baseline, Method, find_method
from nearbit.methods.method import options_text

_BETWEEN = re.compile(r",(?=[^,=]*=)")
"""What stands between two options: a comma before a name; others are within a value, such as nested=8,16."""


class Spec(NamedTuple):
    """A method with the options that a comparison gives it.

    Attributes:
        method: the method or baseline; "auto" for the one that each run chooses for itself.
        values: options of it by name; all others are the method's own.
    """

    method: Method | Baseline | Literal["auto"]
    values: dict[str, Any]

    @property
    def meaning(self) -> str:
        """The method with all of its options: equal for texts that mean the same."""
        if self.method == "auto":
            return "auto"
        return f"{self.method.name}: {options_text(self.method.with_options(self.values))}"

    @property
    def has_own_head(self) -> bool:
        """Whether it has no choice of heads: baselines, methods with a head of their own, and auto."""
        return not isinstance(self.method, Method) or self.method.head is not None


def parse_spec(text: str) -> Spec:
    """Read NAME or NAME:OPTION=VALUE[,OPTION=VALUE]…; values are read as JSON where they can be.

    Raises:
        InputError: an unknown method or option, or a value that the option does not take.
    """
    name, colon, pairs = text.partition(":")
    if name == "auto":
        if colon:
            raise InputError(f"auto chooses a method and takes no options, and {text!r} has some: name that method")
        return Spec("auto", {})
    method = find_method(name)
    given = [_pair(text, pair) for pair in _BETWEEN.split(pairs)] if colon else []
    values = dict(given)
    if len(values) < len(given):
        raise InputError(f"each option of a method counts once, and {text!r} names one twice: leave one out")
    method.with_options(values)
    return Spec(method, values)


def refuse_other_names(folder: Path, known: Sequence[str], asked: Sequence[str]) -> None:
    """Raise `InputError` where a method that is asked for is there already under another text."""
    meant = {parse_spec(spec).meaning: spec for spec in asked}
    for spec in known:
        try:
            other = meant.get(parse_spec(spec).meaning, spec)
        except InputError:  # of a package that is gone, or of an older version: its figures stay
            continue
        if other != spec:
            raise InputError(f"{folder} holds {spec}, which is the same as {other}: name it so")


def _pair(text: str, pair: str) -> tuple[str, Any]:
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise InputError(f"a method with options must read NAME:OPTION=VALUE,OPTION=VALUE, not {text!r}")
    return name, json_or_text(value, f"the value of {name} in {text!r}", InputError)
