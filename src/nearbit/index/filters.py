"""Filters of a search: a mapping such as {"labels": ["wren", "robin"], "camera": 3} as one SQL condition."""

from collections.abc import Mapping
from typing import Any

from nearbit.errors import InputError
from nearbit.index.rows import check_scalar, check_text

Condition = tuple[str, list[str | int | float]]
"""An SQL condition over a row of `items`, and its parameters."""


def condition_of(where: Mapping[str, Any]) -> Condition:
    """Return the condition that an item meets if it meets every key of `where`.

    Args:
        where: "labels": one label, or a list of which the item has at least one; "path" and "digest": a str or None;
            any other key: the str, int, float, bool or None that the item's metadata holds under it. A number equals
            a number of the same value; True is not 1, and a missing key is not None.

    Raises:
        InputError: not a mapping, an empty one, or a value of another form.
    """
    if not isinstance(where, Mapping) or not where:
        raise InputError(f"where must be a mapping with at least one key, such as {{'labels': 'wren'}}, not {where!r}")
    parts = [_condition(key, value) for key, value in where.items()]
    return " AND ".join(sql for sql, _ in parts), [value for _, values in parts for value in values]


def _condition(key: str, value: Any) -> Condition:
    check_text(key, "a key of where")
    name = f"where[{key!r}]"
    if key == "labels":
        return _has_label(value, name)
    if key in ("path", "digest"):
        return (f"{key} IS NULL", []) if value is None else (f"{key} = ?", [check_text(value, name)])
    return _has_metadata(key, check_scalar(value, name))


def _has_label(value: Any, name: str) -> Condition:
    labels = [value] if isinstance(value, str) else value
    if not isinstance(labels, list | tuple) or not labels:
        raise InputError(f"{name} must be a label or a list of at least one, not {value!r}")
    texts = [check_text(label, f"{name}[{position}]") for position, label in enumerate(labels)]
    marks = ", ".join("?" * len(texts))
    return f"EXISTS (SELECT 1 FROM json_each(items.labels) WHERE value IN ({marks}))", list(texts)


def _has_metadata(key: str, value: str | int | float | bool | None) -> Condition:
    member = "EXISTS (SELECT 1 FROM json_each(items.metadata) AS member WHERE member.key = ? AND "
    if value is None:
        return f"{member}member.type = 'null')", [key]
    if isinstance(value, bool):
        return f"{member}member.type = ?)", [key, "true" if value else "false"]
    types = "'text'" if isinstance(value, str) else "'integer', 'real'"
    return f"{member}member.type IN ({types}) AND member.value = ?)", [key, value]
