"""The tables of an index: how they are made, and whether those that are found are ours and whole."""

import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from nearbit.errors import IndexFileError, InputError
from nearbit.index.homes.address import Address
from nearbit.index.homes.postgresql.connections import Connection

FORMAT = 1
OLDEST_SERVER = 140_000
"""PostgreSQL 14, the first with `bit_count`."""

MOST_BITS = 8_192
"""A b-tree holds no longer codes."""

MOST_PARTITIONS = 1_024


@final
@dataclass(frozen=True)
class Tables:
    """The names of an index's tables."""

    name: str
    n_bits: int

    @property
    def meta(self) -> str:
        """Facts and notes by key."""
        return f"{self.name}_meta"

    @property
    def state(self) -> str:
        """One row: the state of the items."""
        return f"{self.name}_state"

    @property
    def items(self) -> str:
        """The items."""
        return f"{self.name}_items"

    @property
    def codes(self) -> str:
        """The distinct codes."""
        return f"{self.name}_codes"

    @property
    def pivots(self) -> str:
        """The pivots."""
        return f"{self.name}_pivots"

    @property
    def filters(self) -> str:
        """The beginning of the names of what keeps filters."""
        return f"{self.name}_filter_"

    def columns(self) -> dict[str, str]:
        """Return the columns that each table must have."""
        code = f"bit({self.n_bits})"
        return {
            self.meta: "key text, value text",
            self.state: "revision bigint, token bigint, last_id bigint, items bigint, codes bigint, pivots bigint, "
            "codes_then bigint",
            self.items: f"id bigint, code {code}, path text, labels text[], metadata json, digest text, scale real, "
            "outputs bytea",
            self.codes: f"code {code}, first_id bigint, pivot integer, distance integer",
            self.pivots: f"pivot integer, code {code}, nearest integer, farthest integer",
        }


def lock_of(name: str) -> int:
    """Return the number of the lock that who makes or writes an index of a name takes."""
    import zlib

    return 0x6E62_0000_0000 | zlib.crc32(name.encode())


def create_tables(connection: Connection, tables: Tables, facts: dict[str, str], partitions: int) -> None:
    """Make the tables and record the facts of a new index, inside the caller's transaction."""
    kept = {name: columns.replace(",", " NOT NULL,") + " NOT NULL" for name, columns in tables.columns().items()}
    for column in ("path text", "digest text", "scale real", "outputs bytea"):
        kept[tables.items] = kept[tables.items].replace(f"{column} NOT NULL", column)
    by_pivot = " PARTITION BY HASH (pivot)" if partitions > 1 else ""
    for name, key, more in (
        (tables.meta, "key", ""),
        (tables.state, "", ""),
        (tables.items, "id", ""),
        (tables.codes, "pivot, distance, code", by_pivot),
        (tables.pivots, "pivot", ""),
    ):
        primary = f", PRIMARY KEY ({key})" if key else ""
        connection.execute(f"CREATE TABLE {name} ({kept[name]}{primary}){more}")
    for number in range(partitions if partitions > 1 else 0):
        connection.execute(
            f"CREATE TABLE {tables.codes}_{number} PARTITION OF {tables.codes} "
            f"FOR VALUES WITH (MODULUS {partitions}, REMAINDER {number})"
        )
    connection.execute(f"CREATE INDEX {tables.items}_by_code ON {tables.items} (code, id)")
    connection.execute(f"CREATE INDEX {tables.items}_by_label ON {tables.items} USING gin (labels)")
    connection.execute(f"CREATE INDEX {tables.items}_by_digest ON {tables.items} (digest)")
    token = secrets.randbits(62)
    connection.execute(f"INSERT INTO {tables.state} VALUES (1, %s, 0, 0, 0, 0, 0)", (token,))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {tables.meta} VALUES (%s, %s)", list(facts.items()))


def facts_of(address: Address, n_bits: int, model_id: str | None, outputs: str | None) -> dict[str, str]:
    """Return what is recorded of a new index."""
    facts = {
        "nearbit_format": str(FORMAT),
        "n_bits": str(n_bits),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "index_id": uuid.uuid4().hex,
        "folder": str((address.folder or Path.cwd()).absolute()),
        "partitions": str(partitions_of(address)),
    }
    given = {"model_id": model_id, "outputs": outputs}
    return facts | {key: value for key, value in given.items() if value is not None}


def partitions_of(address: Address) -> int:
    """Return how many partitions the codes of a new index have; raise `InputError` for a number that none has."""
    text = address.options.get("partitions", "1")
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PARTITIONS:
        raise InputError(f"partitions must be a whole number from 1 to {MOST_PARTITIONS}, not {text!r}")
    return int(text)


def check_server(connection: Connection, address: Address) -> None:
    """Raise `IndexFileError` where the server is too old."""
    if connection.info.server_version < OLDEST_SERVER:
        major = connection.info.server_version // 10_000
        raise IndexFileError(f"the server of {address} is PostgreSQL {major}: an index needs 14 or later")


def tables_there(connection: Connection, name: str) -> dict[str, str]:
    """Return the columns of each table that has the name of one of an index's; "" of what is no table."""
    names = [f"{name}_{part}" for part in ("meta", "state", "items", "codes", "pivots")]
    sql = """
        SELECT c.relname, c.relkind, string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', '
            ORDER BY a.attnum)
        FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.oid IN (SELECT to_regclass(quote_ident(one)) FROM unnest(%s::text[]) AS one) GROUP BY c.oid
    """
    rows = connection.execute(sql, (names,)).fetchall()
    return {str(table): str(columns) if kind in ("r", "p") else "" for table, kind, columns in rows}


def read_facts(connection: Connection, address: Address) -> dict[str, str] | None:
    """Return the recorded facts of an index after checking that this nearbit can read it; None where there is none.

    Raises:
        IndexFileError: tables of another program, of a newer format, or half of an index.
    """
    there = tables_there(connection, address.name)
    if not there:
        return None
    meta = f"{address.name}_meta"
    whole = "restore it from a backup, or drop its tables and copy the index there again"
    if there.get(meta) != "key text, value text":
        first = sorted(there)[0]
        raise IndexFileError(
            f"{address}: the table {first} is there and is of no index: name another index (?index=NAME), or drop it"
        )
    rows: list[Any] = connection.execute(f"SELECT key, value FROM {meta}").fetchall()
    facts: dict[str, str] = dict(rows)
    version = str(facts.get("nearbit_format", ""))
    if not version.isdecimal():
        raise IndexFileError(
            f"{address}: the table {meta} is of no index of nearbit: name another index (?index=NAME), or drop it"
        )
    if int(version) > FORMAT:
        raise IndexFileError(
            f"{address} has the format {version}, made by a newer nearbit; this one reads up to {FORMAT}: "
            "upgrade nearbit"
        )
    if not str(facts.get("n_bits", "")).isdecimal() or not facts.get("index_id"):
        raise IndexFileError(f"{address} is damaged: its recorded facts are incomplete; {whole}")
    _check_columns(address, Tables(address.name, int(facts["n_bits"])), there, whole)
    if len(connection.execute(f"SELECT 1 FROM {address.name}_state").fetchall()) != 1:
        raise IndexFileError(f"{address} is damaged: {address.name}_state should hold one row; {whole}")
    return facts


def _check_columns(address: Address, tables: Tables, there: dict[str, str], whole: str) -> None:
    for table, columns in tables.columns().items():
        if table not in there:
            raise IndexFileError(f"{address} is half an index: the table {table} is missing; {whole}")
        if there[table] != columns:
            raise IndexFileError(f"{address}: the table {table} is not as nearbit made it; {whole}")
