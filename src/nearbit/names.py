"""Names of classes and files: one rule for what a name is, wherever it comes from."""

import unicodedata
from collections.abc import Iterable

_BLANK = "\u200b\u2060\ufeff"
"""What is not seen and is no space to Python: zero width space, word joiner, byte order mark."""


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its word: "1 class", "2 classes"."""
    return f"{number} {one if number == 1 else many}"


def label_name(text: str) -> str:
    """Return the name of a class as it is kept: composed (Unicode NFC), no blanks around it; "" where nothing is left.

    So " wren" and "wren" are one class, and so are the two ways to write "é", of which a Mac uses the other one for
    the names of folders. Upper and lower case differ, and blanks inside a name stay.

    Example:
        >>> label_name("  wren ")
        'wren'
    """
    tidy = unicodedata.normalize("NFC", text)
    while tidy != (shorter := tidy.strip().strip(_BLANK)):
        tidy = shorter
    return tidy


def escaped(text: str) -> str:
    """Return a text that JSON and SQLite can hold: bytes of a name that are not UTF-8 become "\\xe9" and the like.

    Example:
        >>> escaped("caf\\udce9")
        'caf\\\\xe9'
    """
    return "".join(_escaped(one) if one == "\0" or "\ud800" <= one <= "\udfff" else one for one in text)


def spellings(texts: Iterable[str]) -> dict[str, set[str]]:
    """Return the spellings of each name that has several, by the name: "wren" and " wren", or "é" in two ways."""
    found: dict[str, set[str]] = {}
    for text in texts:
        found.setdefault(label_name(text), set()).add(text)
    return {name: texts for name, texts in found.items() if name and len(texts) > 1}


def same_but_for_case(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of names that differ in upper and lower case only, each sorted."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.casefold(), []).append(name)
    return [tuple(sorted(group)) for group in found.values() if len(group) > 1]


def _escaped(one: str) -> str:
    number = ord(one)
    if number == 0 or 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number & 0xFF:02x}"
    return f"\\u{number:04x}"
