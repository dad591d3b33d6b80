"""The errors of nearbit: one base class for what a user can put right.

Each message says what was expected, what came, and what to do. The command line prints it on one line and exits
with status 2; anything that is not a `NearbitError` is our fault and exits with status 1.
"""

import errno
import os

FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""What the system answers where a disk, or a user's share of it, is full."""


class NearbitError(Exception):
    """Base of every error that the user of nearbit can put right."""


class InputError(NearbitError, ValueError):
    """An argument, an option or an array has the wrong value, shape or type."""


class DataError(NearbitError):
    """A data set, a labels file or a split cannot be used as it is."""


class ImageError(NearbitError):
    """One image cannot be read; the message holds the reason."""


class TrainingError(NearbitError):
    """Training cannot go on: not-a-number losses, a class without images, too few classes."""


class BundleError(NearbitError):
    """A model folder is missing, damaged, of a newer format, or not a model."""


class IndexFileError(NearbitError):
    """An index file is missing, damaged, of a newer format, or of another model."""


class IndexBusyError(IndexFileError):
    """Another process, or another open handle, writes to an index: the same call works once it is done."""


class ElsewhereError(NearbitError):
    """Another process of the same run failed, and has said why: this one has nothing to add."""


class MissingExtraError(NearbitError):
    """An optional dependency is not installed; the message holds the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        from nearbit.extras import install_hint

        super().__init__(
            f"{purpose} needs the package {package}, which is not installed: {install_hint(extra, package)}"
        )


def said_of(error: Exception) -> str:
    """Return what an error says, with all that was noted on it; of one of the system also the file and a remedy."""
    said = str(error)
    if isinstance(error, OSError):
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else error.filename
        said = f"{'the system says' if name is None else name}: {error.strerror or error}"
        if error.errno in FULL:
            said += "; make room there, or choose another place"
    return " ".join([said, *getattr(error, "__notes__", [])])


def did_you_mean(name: object, known: list[str] | tuple[str, ...]) -> str:
    """Return " Did you mean 'x'?" for the known name nearest to `name`, or an empty string where none is, or no text.

    Capitals count for nothing. Of equally near ones it is one that begins alike: the first letter is seldom mistyped.
    """
    import difflib

    if not isinstance(name, str):
        return ""
    name, spelled = name.lower(), {one.lower(): one for one in known}
    near = difflib.get_close_matches(name, spelled, n=3)
    if not near:
        return ""
    nearest = difflib.SequenceMatcher(None, near[0], name).ratio()
    equal = [one for one in near if difflib.SequenceMatcher(None, one, name).ratio() >= nearest - 1e-9]
    return f" Did you mean {spelled[next((one for one in equal if one[:1] == name[:1]), near[0])]!r}?"
