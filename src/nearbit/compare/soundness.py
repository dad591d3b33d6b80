"""One error for a comparison whose files are JSON, but not what `nearbit compare` writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nearbit.errors import DataError, NearbitError


@contextmanager
def sound(folder: Path) -> Iterator[None]:
    """Turn what comes of values of another kind, within the block, into a `DataError` that names the folder."""
    try:
        yield
    except NearbitError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(
            f"{folder} holds files of a comparison that do not say what `nearbit compare` writes ({said}): restore "
            "them, or delete those in cells/ that were changed and repeat the comparison"
        ) from error
