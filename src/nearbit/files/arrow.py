"""The library that reads and writes Parquet and Arrow files, loaded by the first that needs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from nearbit.errors import MissingExtraError, NearbitError


class Arrow(NamedTuple):
    """The modules of pyarrow: the package itself, its Parquet, and its file format."""

    pa: Any
    parquet: Any
    ipc: Any


def arrow_library(purpose: str) -> Arrow:
    """Return pyarrow; raise `MissingExtraError` where it is not installed, which says what for."""
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", purpose) from error
    return Arrow(pyarrow, pyarrow.parquet, pyarrow.ipc)


@contextmanager
def arrow_errors(what: str, kind: type[NearbitError], expected: str) -> Iterator[None]:
    """Turn what pyarrow raises of a file that is none, or is damaged, into an error of the class `kind`."""
    pa = arrow_library(what).pa
    try:
        yield
    except NearbitError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())[:200]
        raise kind(f"{what} cannot be read as {expected}: {said}") from error
