"""What is read from the tables beside a search, inside the caller's transaction."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nearbit.codes import Codes
from nearbit.errors import InputError
from nearbit.index.homes.postgresql.connections import Connection
from nearbit.index.homes.postgresql.filters import Condition
from nearbit.index.homes.postgresql.rows import COLUMNS, codes_of, item_of
from nearbit.index.homes.postgresql.schema import Tables
from nearbit.index.results import Ids, Item
from nearbit.index.storage.change_log import State
from nearbit.index.storage.damage import Damage
from nearbit.index.storage.outputs import StoredOutputs
from nearbit.index.storage.statements import LAST_ID, NOTE


def items_of(connection: Connection, tables: Tables, ids: Ids) -> list[Item]:
    """Return the items of these ids, in that order; raise `InputError` where one is not there."""
    sql = f"SELECT {COLUMNS} FROM {tables.items} WHERE id = ANY(%s::bigint[])"
    rows: list[Any] = connection.execute(sql, (np.unique(ids).tolist(),)).fetchall()
    found = {row[0]: row for row in rows}
    missing = next((item_id for item_id in ids.tolist() if item_id not in found), None)
    if missing is not None:
        raise InputError(f"the index holds no item {missing}; items() takes ids that add or search returned")
    return [item_of(found[item_id], tables.n_bits) for item_id in ids.tolist()]


def items_after(connection: Connection, tables: Tables, last: int, n: int) -> list[Item]:
    """Return the next `n` items with an id above `last`, by id."""
    sql = f"SELECT {COLUMNS} FROM {tables.items} WHERE id > %s ORDER BY id LIMIT %s"
    rows: list[Any] = connection.execute(sql, (last, min(n, LAST_ID))).fetchall()
    return [item_of(row, tables.n_bits) for row in rows]


def all_codes(connection: Connection, tables: Tables) -> tuple[Ids, Codes]:
    """Return all ids, ascending, and their codes."""
    rows: list[Any] = connection.execute(f"SELECT id, code::text FROM {tables.items} ORDER BY id").fetchall()
    return np.array([row[0] for row in rows], np.int64), codes_of([row[1] for row in rows], tables.n_bits)


def matching_ids(connection: Connection, tables: Tables, condition: Condition) -> Ids:
    """Return the ids of the items that meet a condition, ascending."""
    wanted, given = condition
    sql = f"SELECT id FROM {tables.items} WHERE {wanted} ORDER BY id"
    rows: list[Any] = connection.execute(sql, given).fetchall()
    return np.array([row[0] for row in rows], np.int64)


def outputs_of(connection: Connection, tables: Tables, ids: Ids, kind: str) -> tuple[Ids, StoredOutputs]:
    """Return the outputs of those of the ids that have some, by id."""
    sql = (
        f"SELECT id, scale, outputs FROM {tables.items} WHERE id = ANY(%s::bigint[]) AND scale IS NOT NULL ORDER BY id"
    )
    rows: list[Any] = connection.execute(sql, (np.unique(ids).tolist(),)).fetchall()
    width = tables.n_bits * np.dtype(kind).itemsize
    for row in rows:
        if len(row[2]) != width:
            raise Damage(f"the outputs of item {row[0]} should have {width} bytes")
    scales = np.array([row[1] for row in rows], np.float32)
    kept = StoredOutputs.of(kind, tables.n_bits, scales, b"".join(bytes(row[2]) for row in rows))
    return np.array([row[0] for row in rows], np.int64), kept


def label_counts(connection: Connection, tables: Tables) -> dict[str, int]:
    """Return how many items have each label, by label."""
    sql = (
        f"SELECT label, count(*) FROM {tables.items}, LATERAL (SELECT DISTINCT unnest(labels) AS label) AS one "
        "GROUP BY label"
    )
    rows: list[Any] = connection.execute(sql).fetchall()
    return dict(sorted(rows))


def paths(connection: Connection, tables: Tables) -> list[tuple[str, int, str | None]]:
    """Return (path, id, digest) of each item that has a path, by id."""
    sql = f"SELECT path, id, digest FROM {tables.items} WHERE path IS NOT NULL ORDER BY id"
    rows: list[Any] = connection.execute(sql).fetchall()
    return rows


def state(connection: Connection, tables: Tables) -> State:
    """Return the state of the items that the transaction sees."""
    row: Any = connection.execute(f"SELECT revision, token FROM {tables.state}").fetchone()
    return State(*row)


def last_id(connection: Connection, tables: Tables) -> int:
    """Return the highest id that was ever used."""
    row: Any = connection.execute(f"SELECT last_id FROM {tables.state}").fetchone()
    return int(row[0])


def raise_last_id(connection: Connection, tables: Tables, used: int) -> None:
    """Let assigned ids follow this one, too."""
    connection.execute(f"UPDATE {tables.state} SET last_id = greatest(last_id, %s)", (used,))


def notes(connection: Connection, tables: Tables) -> dict[str, str]:
    """Return the owner's notes, by name."""
    sql = f"SELECT key, value FROM {tables.meta} WHERE starts_with(key, %s) ORDER BY key"
    rows: list[Any] = connection.execute(sql, (NOTE,)).fetchall()
    return {key.removeprefix(NOTE): value for key, value in rows}


def put_notes(connection: Connection, tables: Tables, values: dict[str, str]) -> None:
    """Write notes, each in the place of the one of its name."""
    sql = f"INSERT INTO {tables.meta} VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    with connection.cursor() as cursor:
        cursor.executemany(sql, [(NOTE + name, text) for name, text in values.items()])


def size_of(connection: Connection, names: Sequence[str]) -> int:
    """Return how many bytes tables take, with what belongs to them and their partitions."""
    sql = (
        "SELECT sum(pg_total_relation_size(t.relid)) FROM unnest(%s::text[]) AS one, "
        "LATERAL (SELECT relid FROM pg_partition_tree(one::regclass) UNION SELECT one::regclass) AS t"
    )
    row: Any = connection.execute(sql, (list(names),)).fetchone()
    return int(row[0])
