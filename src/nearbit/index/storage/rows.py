"""Items as rows of the file: metadata checked on the way in, items made on the way out."""

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from nearbit.errors import InputError
from nearbit.index.results import Item
from nearbit.index.storage.damage import Damage
from nearbit.json_text import parse_json

Fields = tuple[str | None, str, str, str | None]
"""Path, labels as JSON, metadata as JSON, digest: the columns beside id and code."""

Row = tuple[int, bytes, str | None, str, str, str | None]

ITEM_COLUMNS = "id, code, path, labels, metadata, digest"

EMPTY: Fields = (None, "[]", "{}", None)

MAX_DEPTH = 50
"""How deep lists and dicts of metadata may nest; SQLite reads no JSON much deeper."""


def fields_of(metadata: Mapping[str, Any], position: int) -> Fields:
    """Return the columns of one item's metadata: "path", "labels" and "digest" have their own, the rest is JSON.

    Args:
        metadata: keys str; "path" and "digest" str or None, "labels" a list of str, anything else JSON-ready.
        position: which item of the call this is, for the error.

    Raises:
        InputError: a value of another type, or one that JSON cannot hold (NaN, bytes, arrays, NumPy numbers).
    """
    if not isinstance(metadata, Mapping):
        raise InputError(f"metadata[{position}] must be a mapping, not {type(metadata).__name__}")
    where = f"metadata[{position}]"
    rest = {key: value for key, value in metadata.items() if key not in ("path", "labels", "digest")}
    if rest:
        _check_json(rest, where)
    return (
        _text_or_none(metadata.get("path"), f"{where}['path']"),
        _labels(metadata.get("labels", ()), f"{where}['labels']"),
        _to_json(rest) if rest else EMPTY[2],
        _text_or_none(metadata.get("digest"), f"{where}['digest']"),
    )


def item_of(row: Row) -> Item:
    """Return the item of a row of `ITEM_COLUMNS`.

    Raises:
        Damage: a column holds what no item has.
    """
    item_id, code, path, labels, metadata, digest = row
    if not isinstance(code, bytes):
        raise Damage(f"the code of item {item_id} is no bytes")
    return Item(
        id=item_id,
        code=np.frombuffer(code, np.uint8).copy(),
        path=stored_text(path, item_id, "path"),
        labels=_labels_of_item(labels, item_id),
        digest=stored_text(digest, item_id, "digest"),
        metadata={} if metadata == EMPTY[2] else _metadata_of(metadata, item_id),
    )


def stored_text(value: Any, item_id: int, what: str) -> str | None:
    """Return a text of an item, or None where it has none; raise `Damage` for anything else."""
    if value is None or isinstance(value, str):
        return value
    raise Damage(f"the {what} of item {item_id} is no text")


@lru_cache(maxsize=100_000)
def labels_of(text: str) -> tuple[str, ...]:
    """Return the labels in a column of labels; raise `Damage` unless it is a JSON list of texts."""
    labels = parse_json(text, f"the labels {text[:40]!r}", Damage) if isinstance(text, str) else None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise Damage(f"the labels {text[:40]!r} are no JSON list of texts")
    return tuple(labels)


def _labels_of_item(text: str, item_id: int) -> tuple[str, ...]:
    try:
        return labels_of(text)
    except (Damage, TypeError) as error:  # a TypeError: neither a text nor bytes
        raise Damage(f"the labels of item {item_id} are no JSON list of texts") from error


def _metadata_of(text: str, item_id: int) -> dict[str, Any]:
    name = f"the metadata of item {item_id}"
    metadata = parse_json(text, name, Damage) if isinstance(text, str) else None
    if not isinstance(metadata, dict):
        raise Damage(f"{name} is no JSON object")
    return metadata


def check_text(value: Any, name: str) -> str:
    """Return a text that SQLite keeps and finds again; raise `InputError` on anything else."""
    if not isinstance(value, str):
        raise InputError(f"{name} must be a str, not {type(value).__name__}")
    if "\0" in value or not (value.isascii() or _is_whole(value)):
        raise InputError(f"{name} holds a NUL character or half a surrogate pair, which cannot be stored: {value!r}")
    return value


def check_scalar(value: Any, name: str) -> str | int | float | bool | None:
    """Return a value that JSON and SQLite keep as it is; raise `InputError` on anything else."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise InputError(f"{name} must fit 64 bits, not {value}; store it as a str")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{name} must be finite, not {value}; leave the key out or store None")
        return value
    if isinstance(value, str):
        return check_text(value, name)
    raise InputError(
        f"{name} must be JSON-ready (str, int, float, bool, None, list, dict), not {type(value).__name__}; convert it"
    )


def _check_json(value: Any, name: str, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise InputError(f"metadata must be nested at most {MAX_DEPTH} deep; flatten it")
    if isinstance(value, dict):
        for key, inner in value.items():
            check_text(key, f"a key of {name}")
            _check_json(inner, f"{name}[{key!r}]", depth + 1)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            _check_json(inner, f"{name}[{position}]", depth + 1)
    else:
        check_scalar(value, name)


def _is_whole(value: str) -> bool:
    """Return whether a text holds no half of a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _labels(value: Any, name: str) -> str:
    """Return labels as the JSON list that the file keeps."""
    if not isinstance(value, list | tuple):
        raise InputError(f"{name} must be a list of str, not {type(value).__name__}; one label is a list of one")
    return _labels_json(tuple(check_text(label, f"{name}[{position}]") for position, label in enumerate(value)))


@lru_cache(maxsize=100_000)
def _labels_json(labels: tuple[str, ...]) -> str:
    return _to_json(list(labels))


def _text_or_none(value: Any, name: str) -> str | None:
    return None if value is None else check_text(value, name)


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
