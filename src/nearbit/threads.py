"""How many threads nearbit works with: one rule for reading images, searching and evaluating."""

import os

from nearbit.errors import InputError
from nearbit.given import check_number


def n_threads() -> int:
    """Return the number of threads to use: `NEARBIT_THREADS`, else the cores that this process may use.

    Raises:
        InputError: `NEARBIT_THREADS` is set to something else than a whole number of at least 1.
    """
    named = os.environ.get("NEARBIT_THREADS", "").strip()
    if not named:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not named.isascii() or not named.isdigit() or int(named) < 1:
        raise InputError(f"NEARBIT_THREADS must be a whole number of at least 1, not {named!r}: correct or unset it")
    return int(named)


def given_threads(threads: int | None) -> int:
    """Return a number of threads that was asked for, and `n_threads()` for None.

    Raises:
        InputError: it is below 1; or see `n_threads`.
    """
    return n_threads() if threads is None else check_number("threads", threads, at_least=1, whole=True)
