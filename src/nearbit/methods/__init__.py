"""Methods by name. A new method is one value in a file of its own and one line here."""

from nearbit.errors import InputError, did_you_mean
from nearbit.methods.crh import CRH, CRHOptions
from nearbit.methods.csq import CSQ, CSQOptions
from nearbit.methods.method import Method, Regime, Schedule, Targets, Task

__all__ = [
    "CRH",
    "CSQ",
    "METHODS",
    "CRHOptions",
    "CSQOptions",
    "Method",
    "Regime",
    "Schedule",
    "Targets",
    "Task",
    "find_method",
]

METHODS: dict[str, Method] = {method.name: method for method in (CRH, CSQ)}
"""Every method that the command line, model folders and the tests know."""


def find_method(name: str) -> Method:
    """Return the method of that name; raise `InputError` with the nearest name for an unknown one."""
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}; known: {', '.join(METHODS)}.{did_you_mean(name, list(METHODS))}")
    return METHODS[name]
