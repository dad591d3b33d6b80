"""What a request asks for, read strictly: an unknown name is an error that suggests the near one."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from nearbit.errors import InputError, did_you_mean
from nearbit.json_text import parse_json
from nearbit.service.http.errors import ApiError
from nearbit.service.settings import Limits

Pairs = Iterable[tuple[str, str]]

SEARCH_NAMES = ("k", "radius", "label", "metadata")
MOST_RADIUS = 65_536
LAST_ID = 2**63 - 1
_NUMBER = re.compile(r"\d{1,19}")


@dataclass(frozen=True, kw_only=True)
class SearchParams:
    """How far and where to search.

    Attributes:
        k: the most results of a query.
        radius: the largest distance, in bits; None for no limit.
        labels: only items with one of these; empty for any.
        metadata: only items that hold these values under these keys.
    """

    k: int
    radius: int | None = None
    labels: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


def parse_search(pairs: Pairs, limits: Limits) -> SearchParams:
    """Return the search that query parameters or form fields ask for."""
    values = by_name(pairs, SEARCH_NAMES, repeated=("label",))
    k, radius = values.get("k", [None])[0], values.get("radius", [None])[0]
    metadata = values.get("metadata", [None])[0]
    return checked_search(
        None if k is None else parse_number(k, "k"),
        None if radius is None else parse_number(radius, "radius"),
        values.get("label", []),
        {} if metadata is None else parse_json_object(metadata, "metadata"),
        limits,
    )


def checked_search(k: Any, radius: Any, labels: Any, metadata: Any, limits: Limits) -> SearchParams:
    """Return a search of checked values; k or radius None for their defaults."""
    if radius is not None:
        check_whole(radius, "radius", 0, MOST_RADIUS)
    if k is not None:
        check_whole(k, "k", 1, limits.k)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ApiError(422, "labels must be a list of texts", 'send for example "labels": ["wren"]')
    if not isinstance(metadata, dict) or "labels" in metadata:
        raise ApiError(422, "metadata must be an object of keys and values, without labels", "filter labels by label")
    if len(metadata) > limits.conditions:
        raise ApiError(422, f"metadata must have at most {limits.conditions} keys, not {len(metadata)}", "ask for less")
    most = k if k is not None else limits.default_k if radius is None else limits.k
    return SearchParams(k=most, radius=radius, labels=tuple(labels), metadata=metadata)


def by_name(pairs: Pairs, known: Collection[str], repeated: Collection[str] = ()) -> dict[str, list[str]]:
    """Return the values of each name; raise `ApiError` (422) on an unknown name, or on one that came twice."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in known:
            hint = did_you_mean(name, list(known)).strip()
            raise ApiError(422, f"no parameter {name!r} here", hint or f"known: {', '.join(known) or 'none'}")
        values.setdefault(name, []).append(value)
        if len(values[name]) > 1 and name not in repeated:
            raise ApiError(422, f"the parameter {name} came more than once", "send it once")
    return values


def parse_number(text: str, name: str) -> int:
    """Return a whole number written in decimal digits; raise `ApiError` (422) on anything else."""
    if not text.isascii() or not _NUMBER.fullmatch(text):
        raise ApiError(422, f"{name} must be a whole number, not {text[:40]!r}", "write it in digits, such as 10")
    return int(text)


def check_whole(value: Any, name: str, smallest: int, largest: int) -> None:
    """Raise `ApiError` (422) unless a value is a whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
        shown = value if isinstance(value, int) and abs(value) < 10**20 else type(value).__name__
        raise ApiError(422, f"{name} must be a whole number from {smallest} to {largest}, not {shown}", "correct it")


def parse_bounded(values: dict[str, list[str]], name: str, default: int, smallest: int, largest: int) -> int:
    """Return the number that a parameter names, or its default."""
    if name not in values:
        return default
    number = parse_number(values[name][0], name)
    check_whole(number, name, smallest, largest)
    return number


def parse_item_id(text: str) -> int:
    """Return the id in a path; raise `ApiError` (404) where no item can have it."""
    if not text.isascii() or not _NUMBER.fullmatch(text) or int(text) > LAST_ID:
        raise ApiError(404, f"no item {text[:40]!r}", "list items with GET /api/v1/items")
    return int(text)


def id_of(value: Any) -> int:
    """Return the id that a body names, as a number or as text; raise `ApiError` (422) on anything else."""
    number = parse_number(value, "id") if isinstance(value, str) else value
    check_whole(number, "id", 0, LAST_ID)
    return int(number)


def parse_json_object(text: str | bytes, name: str) -> dict[str, Any]:
    """Return the object that a JSON text holds; raise `ApiError` (422) on anything else."""
    try:
        value = parse_json(text, name, InputError)
    except InputError as error:
        raise ApiError(422, str(error)[:200], "send one JSON object") from error
    if not isinstance(value, dict):
        raise ApiError(422, f"{name} must be a JSON object, not {type(value).__name__}", "send one JSON object")
    return value
