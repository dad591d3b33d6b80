"""Which rows a read sees, as expressions of Milvus."""

from collections.abc import Mapping
from typing import Any

from nearbit.index.arguments import check_where
from nearbit.index.homes.milvus.rows import token
from nearbit.index.homes.milvus.state import Mark
from nearbit.index.results import Ids


def visible(mark: Mark, *more: str) -> str:
    """Return the expression that a row is of an item in a state, and meets what else is asked."""
    return " and ".join([f"revision <= {mark.revision}", *(one for one in more if one)])


def condition_of(where: Mapping[str, Any]) -> str:
    """Return the expression that an item meets every key of `where`; see `check_where` for what it raises."""
    labels, values = check_where(where)
    parts = []
    if labels is not None:
        wanted = ", ".join(f'"{token("label", "", label)}"' for label in labels)
        parts.append(f"array_contains_any(tokens, [{wanted}])")
    for key, value in values.items():
        one = token(key, "", value) if key in ("path", "digest") else token("key", key, value)
        parts.append(f'array_contains(tokens, "{one}")')
    return " and ".join(parts)


def among(ids: Ids) -> str:
    """Return the expression that a row is of one of these ids."""
    return f"id in {ids.tolist()}"


def between(low: int, high: int) -> str:
    """Return the expression that an id lies from `low` to `high`."""
    return f"id >= {low} and id <= {high}"
