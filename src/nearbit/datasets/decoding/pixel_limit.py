"""How many pixels an image may have before it is decoded: one rule for the library and the command line."""

import os

from nearbit.errors import InputError
from nearbit.given import check_number

MAX_PIXELS = 64_000_000
"""Width times height above which an image is refused before it is decoded (which takes 3 to 25 bytes a pixel)."""

VARIABLE = "NEARBIT_MAX_PIXELS"
"""The environment variable that sets another limit; the option --max-pixels of the command line sets it."""


def pixel_limit(given: int | None = None) -> int:
    """Return the limit that was given, else the one of `NEARBIT_MAX_PIXELS`, else `MAX_PIXELS`.

    Raises:
        InputError: it is no whole number of at least 1.
    """
    if given is not None:
        return check_number("max_pixels", given, at_least=1, whole=True)
    named = os.environ.get(VARIABLE, "").strip()
    if not named:
        return MAX_PIXELS
    if not named.isascii() or not named.isdigit() or len(named) > 18 or int(named) < 1:
        raise InputError(f"{VARIABLE} must be a whole number of at least 1, not {named[:40]!r}: correct or unset it")
    return int(named)
