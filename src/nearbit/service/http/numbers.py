"""Numbers in JSON: JavaScript holds whole numbers up to 2 ** 53 - 1 exactly, and rounds larger ones without a word."""

from typing import Any

LARGEST_EXACT = 2**53 - 1


def exact(number: int | None) -> int | str | None:
    """Return a number as JSON can say it to everyone: as text, where it is beyond what a double holds."""
    return number if number is None or number <= LARGEST_EXACT else str(number)


def id_facts(item_id: int) -> dict[str, Any]:
    """Return how an id is answered: "id", a number where that is exact everywhere, and "id_text", always text."""
    return {"id": exact(item_id), "id_text": str(item_id)}
