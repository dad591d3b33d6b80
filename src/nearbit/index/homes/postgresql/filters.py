"""Filters of a search as conditions on the rows of the items, and what finds them without a scan."""

from collections.abc import Mapping
from typing import Any

from nearbit.errors import InputError
from nearbit.index.arguments import check_where
from nearbit.index.homes.postgresql.connections import Connection
from nearbit.index.homes.postgresql.rows import json_of
from nearbit.index.homes.postgresql.schema import Tables
from nearbit.index.storage.key_filters import MOST_FILTERS

Condition = tuple[str, dict[str, Any]]
"""An SQL condition over a row of the items, and its parameters."""

KEY = "filter:"
"""How the keys of filters begin in the table of facts; their values name what keeps them."""


def condition_of(where: Mapping[str, Any]) -> Condition:
    """Return the condition that an item meets every key of `where`; see `check_where` for what it raises."""
    labels, values = check_where(where)
    parts: list[str] = []
    given: dict[str, Any] = {}
    if labels is not None:
        parts.append("labels && %(labels)s::text[]")
        given["labels"] = list(labels)
    for number, (key, value) in enumerate(values.items()):
        name = f"value{number}"
        if key in ("path", "digest"):
            parts.append(f"{key} IS NULL" if value is None else f"{key} = %({name})s")
        else:
            parts.append(f"{_member(key).replace('%', '%%')} = %({name})s::jsonb")
        given[name] = value if key in ("path", "digest") else json_of(value)
    return " AND ".join(parts), given


def kept_keys(connection: Connection, tables: Tables) -> list[str]:
    """Return the keys that filters are kept for, sorted."""
    sql = f"SELECT key FROM {tables.meta} WHERE starts_with(key, %s)"
    rows: list[Any] = connection.execute(sql, (KEY,)).fetchall()
    return sorted(str(row[0]).removeprefix(KEY) for row in rows)


def keep(connection: Connection, tables: Tables, key: str) -> None:
    """Make what finds items by a key; see `Index.create_filter`."""
    kept = kept_keys(connection, tables)
    if key in kept:
        return
    if key == "labels":
        raise InputError("labels need no filter: where finds by them without a scan")
    if len(kept) >= MOST_FILTERS:
        raise InputError(f"an index keeps at most {MOST_FILTERS} filters, here {', '.join(kept)}: drop one first")
    rows: list[Any] = connection.execute(
        f"SELECT value FROM {tables.meta} WHERE starts_with(key, %s)", (KEY,)
    ).fetchall()
    names = (f"{tables.filters}{number}" for number in range(MOST_FILTERS))
    name = next(one for one in names if one not in {row[0] for row in rows})
    column = key if key in ("path", "digest") else f"({_member(key)})"
    connection.execute(f"CREATE INDEX {name} ON {tables.items} ({column})")
    connection.execute(f"INSERT INTO {tables.meta} VALUES (%s, %s)", (KEY + key, name))


def drop(connection: Connection, tables: Tables, key: str) -> None:
    """Take it away; raise `InputError` where there is none."""
    sql = f"DELETE FROM {tables.meta} WHERE key = %s RETURNING value"
    row: Any = connection.execute(sql, (KEY + key,)).fetchone()
    if row is None:
        kept = ", ".join(kept_keys(connection, tables)) or "none"
        raise InputError(f"the index keeps no filter by {key!r}; it keeps: {kept}")
    connection.execute(f"DROP INDEX IF EXISTS {row[0]}")


def _member(key: str) -> str:
    """Return the SQL of what the metadata of an item holds under a key, as text that an index can be made of."""
    text = key.replace("'", "''")
    return f"(metadata::jsonb -> '{text}')"
