"""JSON of answers; JavaScript holds whole numbers up to 2 ** 53 - 1 exactly, and rounds larger ones without a word."""

import json
from typing import Any, TypedDict

LARGEST_EXACT = 2**53 - 1
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


class IdFacts(TypedDict):
    """How an id is answered."""

    id: int | str
    id_text: str


def ready_json(value: Any) -> bytes:
    """Return a value as compact JSON in ASCII: half a surrogate pair comes escaped and cannot break the answer."""
    return _ENCODER.encode(value).encode()


def exact(number: int) -> int | str:
    """Return a number as JSON can say it to everyone: as text, where it is beyond what a double holds."""
    return number if number <= LARGEST_EXACT else str(number)


def id_facts(item_id: int) -> IdFacts:
    """Return how an id is answered: "id", a number where that is exact everywhere, and "id_text", always text."""
    return {"id": exact(item_id), "id_text": str(item_id)}
