"""JSON from outside: one reader for the whole project, with one clear error for whatever is wrong with it."""

import json
import re
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from nearbit.errors import NearbitError

_ESCAPED = re.compile(r"\\u(?:0000|[dD][89abAB][0-9a-fA-F]{2}|[dD][c-fC-F][0-9a-fA-F]{2})")
"""An escape that may give a NUL or half of a surrogate pair: only then the texts are looked at one by one."""


def parse_json(
    text: str | bytes,
    what: str,
    error: type[NearbitError],
    *,
    any_text: bool = False,
    members: Collection[str] | None = None,
) -> Any:
    """Return the value that a JSON text stands for.

    Args:
        text: JSON; bytes are UTF-8, with or without a byte order mark.
        what: names the text in messages, such as "the split file birds.json".
        error: the class of error to raise.
        any_text: pass on texts that cannot be kept: for a reader that leaves out single rows, by `unstorable`.
        members: names of what objects are to have; whatever else they have takes no memory. None: all.

    Raises:
        NearbitError: of the class `error`: not UTF-8, not JSON, NaN or an infinity, a number or a nesting beyond what
            can be read, or a text with a NUL or half of a surrogate pair, which no file of nearbit can hold.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        pairs = None if members is None else partial(_only, frozenset(members))
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=pairs)
        if not any_text and (_ESCAPED.search(text) or unstorable(text)):
            _check_texts(value)
    except UnicodeDecodeError as wrong:
        raise error(f"{what} is not UTF-8 text (byte {wrong.start}): expected JSON, save it as UTF-8") from wrong
    except json.JSONDecodeError as wrong:
        raise error(f"{what} is not JSON: {wrong.msg} (line {wrong.lineno}, column {wrong.colno})") from wrong
    except RecursionError as wrong:
        raise error(f"{what} is nested too deeply to be read: expected a few levels of JSON") from wrong
    except MemoryError as wrong:
        raise error(f"{what} does not fit into memory") from wrong
    except ValueError as wrong:  # also a number of too many digits, and what is raised below
        raise error(f"{what} holds JSON that cannot be used: {wrong}") from wrong
    return value


def read_json(
    path: Path,
    what: str,
    error: type[NearbitError],
    *,
    any_text: bool = False,
    members: Collection[str] | None = None,
) -> Any:
    """Return the value in a JSON file; see `parse_json`. A file that cannot be opened is the same error.

    Args:
        path: the file.
        what: names its kind in messages, such as "the split file"; the path is added.
        error: the class of error to raise.
        any_text: as for `parse_json`.
        members: as for `parse_json`.
    """
    return parse_json(_content(path, what, error), f"{what} {path}", error, any_text=any_text, members=members)


def _content(path: Path, what: str, error: type[NearbitError]) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, MemoryError) as wrong:
        said = wrong.strerror if isinstance(wrong, OSError) else "it does not fit into memory"
        raise error(f"{what} {path} cannot be read: {said}") from wrong


def json_or_text(text: str, what: str, error: type[NearbitError]) -> Any:
    """Return what a value typed on the command line stands for: that of JSON where it is JSON, else the text itself.

    Raises:
        NearbitError: of the class `error`: JSON that cannot be used, such as one nested too deeply, or NaN in a list.
    """
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return text
    except (ValueError, RecursionError):
        pass  # said by the reader below
    return parse_json(text, what, error)


def unstorable(text: str) -> str | None:
    """Return why neither JSON nor SQLite can hold a text, or None where they can."""
    if "\0" in text:
        return "it has a NUL character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as wrong:
        return f"it has half of a surrogate pair or a byte that is not UTF-8 (at character {wrong.start + 1})"
    return None


def _only(members: frozenset[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if name in members}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _check_texts(value: Any) -> None:
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            reason = unstorable(one)
            if reason:
                raise ValueError(f"the text {one[:40]!r} cannot be kept: {reason}")
        elif isinstance(one, list):
            pending.extend(one)
        elif isinstance(one, dict):
            pending.extend(one)
            pending.extend(one.values())
