"""Methods of other installed packages: entry points of the group `nearbit.methods`, each named as its method."""

from importlib.metadata import EntryPoint, entry_points

from nearbit.errors import InputError
from nearbit.methods.baseline import Baseline
from nearbit.methods.method import Method

GROUP = "nearbit.methods"


def installed_methods() -> dict[str, list[EntryPoint]]:
    """Return what installed packages declare, by name; nothing of it is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, _place(entry))):
        found.setdefault(entry.name, []).append(entry)
    return found


def load_installed(entries: list[EntryPoint]) -> Method | Baseline:
    """Import a method that a package declares.

    Args:
        entries: all that was declared under its name.

    Raises:
        InputError: two packages declare it, it cannot be imported, or it is no method of that name.
    """
    entry = entries[0]
    if len(entries) > 1:
        raise InputError(
            f"several packages declare a method {entry.name!r} ({', '.join(map(_place, entries))}): remove all but one"
        )
    try:
        value = entry.load()
    except (ImportError, AttributeError) as error:
        raise InputError(f"the method {entry.name!r} of {_place(entry)} cannot be imported: {error}") from error
    if not isinstance(value, Method | Baseline) or value.name != entry.name:
        raise InputError(
            f"{_place(entry)} must be a Method or a Baseline named {entry.name!r}, not "
            + (f"one named {value.name!r}" if isinstance(value, Method | Baseline) else f"{type(value).__name__}")
        )
    return value


def _place(entry: EntryPoint) -> str:
    package = "" if entry.dist is None else f" (package {entry.dist.name})"
    return f"{entry.value}{package}"
