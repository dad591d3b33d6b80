"""Filters of a search: a mapping such as {"labels": ["wren", "robin"], "camera": 3}, checked and made ready."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearbit.index.arguments import check_where
from nearbit.index.live.snapshot import Snapshot, Subset
from nearbit.index.results import Ids
from nearbit.index.storage import statements
from nearbit.index.storage.key_filters import kept_keys, value_of
from nearbit.index.storage.statements import Condition

FEW_ITEMS = 100_000
"""Up to so many items that have the labels, the file is asked about these alone."""


@dataclass(frozen=True)
class Filter:
    """What an item must have.

    Attributes:
        labels: at least one of these; None for any.
        conditions: what its row in the file must meet beside, by key.
        found_by: for each of these keys, how a filter finds its rows, if the file keeps one.
    """

    labels: tuple[str, ...] | None
    conditions: dict[str, Condition]
    found_by: dict[str, Condition]

    def condition(self, connection: sqlite3.Connection) -> Condition | None:
        """Return the condition on a row, by the filters that the file keeps; None for nothing."""
        if not self.conditions:
            return None
        kept = [self.found_by[key] for key in kept_keys(connection) if key in self.found_by]
        return _all_of([*kept, *self.conditions.values()])


def filter_of(where: Mapping[str, Any]) -> Filter:
    """Return the filter that an item passes if it meets every key of `where`.

    Raises:
        InputError: see `nearbit.index.arguments.check_where`, which also says what `where` may hold.
    """
    labels, parts = check_where(where)
    conditions = {key: _condition(key, value) for key, value in parts.items()}
    return Filter(labels, conditions, {key: _found_by(key, value) for key, value in parts.items()})


def chosen(connection: sqlite3.Connection, snapshot: Snapshot, wanted: Filter) -> Subset:
    """Return the items of a snapshot that pass a filter, in the transaction that sees its state."""
    labelled = None if wanted.labels is None else snapshot.labelled(wanted.labels)
    if labelled is None:
        return snapshot.subset(matching(connection, wanted))
    condition = wanted.condition(connection)
    if condition is None:
        return labelled
    ids = snapshot.ids_of(labelled)
    if len(ids) <= FEW_ITEMS:
        return snapshot.subset(statements.matching_ids(connection, condition, ids))
    return snapshot.subset(np.intersect1d(ids, statements.matching_ids(connection, condition)))


def matching(connection: sqlite3.Connection, wanted: Filter) -> Ids:
    """Return the ids of the items of the file that pass a filter, ascending."""
    condition = wanted.condition(connection)
    parts = [] if condition is None else [condition]
    parts += [] if wanted.labels is None else [_has_label(wanted.labels)]
    return statements.matching_ids(connection, _all_of(parts))


def _all_of(parts: list[Condition]) -> Condition:
    return " AND ".join(sql for sql, _ in parts), [value for _, values in parts for value in values]


def _condition(key: str, value: Any) -> Condition:
    if key in ("path", "digest"):
        return (f"{key} IS NULL", []) if value is None else (f"{key} = ?", [value])
    return _has_metadata(key, value)


def _found_by(key: str, value: Any) -> Condition:
    """Return how a filter that the file keeps by a key finds the items with a value."""
    found = value_of(value)
    return "id IN (SELECT id FROM filters WHERE key = ? AND value = ?)", [key] if found is None else [key, found]


def _has_label(labels: tuple[str, ...]) -> Condition:
    wanted = "SELECT value FROM json_each(?)"
    return f"EXISTS (SELECT 1 FROM json_each(items.labels) WHERE value IN ({wanted}))", [json.dumps(labels)]


def _has_metadata(key: str, value: str | int | float | bool | None) -> Condition:
    """Return the condition on one key; rows whose text does not hold the key at all are passed over unread."""
    member = (
        "instr(items.metadata, ?) AND EXISTS (SELECT 1 FROM json_each(items.metadata) AS member "
        "WHERE member.key = ? AND "
    )
    keys: list[str | int | float | bytes] = [json.dumps(key, ensure_ascii=False), key]
    if value is None:
        return f"{member}member.type = 'null')", keys
    if isinstance(value, bool):
        return f"{member}member.type = ?)", [*keys, "true" if value else "false"]
    types = "'text'" if isinstance(value, str) else "'integer', 'real'"
    return f"{member}member.type IN ({types}) AND member.value = ?)", [*keys, value]
