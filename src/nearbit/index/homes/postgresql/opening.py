"""Making and opening indexes in PostgreSQL."""

from psycopg import IsolationLevel

from nearbit.errors import IndexFileError, InputError
from nearbit.index.homes.address import Address
from nearbit.index.homes.postgresql.connections import Connection, connect
from nearbit.index.homes.postgresql.faults import plain_errors
from nearbit.index.homes.postgresql.index import PostgresIndex
from nearbit.index.homes.postgresql.schema import (
    MOST_BITS,
    Tables,
    check_server,
    create_tables,
    facts_of,
    lock_of,
    partitions_of,
    read_facts,
)
from nearbit.index.homes.recorded import check_model, check_same

EF_SEARCH, MOST_EF_SEARCH = 200, 1_000
"""How many codes an approximate search keeps in view where it is not said, and at most."""


def create(
    address: Address, n_bits: int, *, model_id: str | None, outputs: str | None, exist_ok: bool
) -> PostgresIndex:
    """Make an index in one transaction and open it; see `nearbit.index.create_index`."""
    if n_bits > MOST_BITS:
        raise InputError(f"an index in PostgreSQL holds codes of at most {MOST_BITS} bits, not {n_bits}")
    ef_search = _ef_search(address)
    partitions = partitions_of(address)
    new = facts_of(address, n_bits, model_id, outputs)
    with plain_errors(address), connect(address) as connection:
        check_server(connection, address)
        connection.isolation_level = IsolationLevel.READ_COMMITTED  # who waited must see what the other one made
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_of(address.name),))
            found = read_facts(connection, address)
            if found is None:
                create_tables(connection, Tables(address.name, n_bits), new, partitions)
    if found is not None:
        check_same(address, found, new, exist_ok=exist_ok)
    return PostgresIndex(address, found or new, read_only=False, ef_search=ef_search)


def open_(address: Address, *, model_id: str | None, read_only: bool) -> PostgresIndex:
    """Open an index; see `nearbit.index.open_index`."""
    ef_search = _ef_search(address)
    with plain_errors(address), connect(address) as connection:
        check_server(connection, address)
        facts = read_facts(connection, address)
        _check_graph(connection, address, ef_search)
    if facts is None:
        raise IndexFileError(
            f"{address} does not exist; name an index, or make one (nearbit index copy, in Python create_index)"
        )
    check_model(address, facts, model_id)
    return PostgresIndex(address, facts, read_only=read_only, ef_search=ef_search)


def exists(address: Address) -> bool:
    """Return whether there is an index at the address; raise `IndexFileError` where the server cannot be asked."""
    with plain_errors(address), connect(address) as connection:
        return read_facts(connection, address) is not None


def _ef_search(address: Address) -> int | None:
    """Return how many codes an approximate search keeps in view; None where the address asks for an exact one."""
    asked, text = address.options.get("search", "exact"), address.options.get("ef_search", str(EF_SEARCH))
    if asked not in ("exact", "hnsw"):
        raise InputError(f"search={asked!r} is no way to search: expected exact, or hnsw, which is approximate")
    if not text.isdecimal() or not 1 <= int(text) <= MOST_EF_SEARCH:
        raise InputError(f"ef_search must be a whole number from 1 to {MOST_EF_SEARCH}, not {text!r}")
    if asked == "exact" and "ef_search" in address.options:
        raise InputError("ef_search goes with search=hnsw: an exact search has nothing to set")
    return int(text) if asked == "hnsw" else None


def _check_graph(connection: Connection, address: Address, ef_search: int | None) -> None:
    """Raise where an approximate search is asked for and the database cannot do it."""
    if ef_search is None:
        return
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    version = "" if row is None else str(row[0])
    if row is None or tuple(int(part) for part in version.split(".")[:2]) < (0, 7):
        what = "is missing" if row is None else f"is {version}"
        raise IndexFileError(
            f"search=hnsw needs the extension vector (pgvector) 0.7 or later in the database of {address}, which "
            f"{what}: let an administrator install it (CREATE EXTENSION vector), or leave search=hnsw out"
        )
