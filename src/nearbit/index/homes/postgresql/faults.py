"""What PostgreSQL's errors mean, in plain words; passwords are left out."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from nearbit.errors import IndexFileError, InputError
from nearbit.index.homes.address import Address

NOTHING = "nothing was changed"

_WORDS: tuple[tuple[type[psycopg.Error] | tuple[type[psycopg.Error], ...], str], ...] = (
    (
        (errors.InvalidPassword, errors.InvalidAuthorizationSpecification),
        "the server refuses this user; name one with a password in PGPASSWORD or ~/.pgpass",
    ),
    (errors.InvalidCatalogName, "the server has no such database; make it (createdb NAME), or name another"),
    (
        errors.ReadOnlySqlTransaction,
        f"the server takes no writes (a standby, or set read-only); {NOTHING}: write to its primary",
    ),
    (
        errors.InsufficientPrivilege,
        f"this user may not do that; {NOTHING}: let the owner GRANT it, or name another user",
    ),
    (errors.DiskFull, f"the server's disk is full; {NOTHING}: make room there, and do it again"),
    (errors.OutOfMemory, f"the server has no memory left; {NOTHING}: do it again, or with fewer items at once"),
    (errors.TooManyConnections, "the server takes no more connections; close some, or raise its max_connections"),
    (errors.LockNotAvailable, f"another program is writing to it; {NOTHING}: wait until it is done, then do it again"),
    (errors.QueryCanceled, f"the server ended it (statement_timeout, or a person); {NOTHING}: do it again"),
    (
        (errors.SerializationFailure, errors.DeadlockDetected),
        f"another transaction was in the way; {NOTHING}: do it again",
    ),
    (
        (errors.UndefinedTable, errors.UndefinedColumn, errors.DatatypeMismatch),
        "a table of it is missing or not as nearbit made it; restore it from a backup, or drop its tables and copy the "
        "index there again",
    ),
    (
        (errors.UndefinedObject, errors.UndefinedFunction),
        "the database lacks the extension vector (pgvector 0.7 or later), which approximate search needs; let an "
        "administrator install it (CREATE EXTENSION vector), or leave search=hnsw out",
    ),
)
"""By class of error; the first that fits."""

_SAID = (
    (("password",), _WORDS[0][1]),
    (("authentication",), _WORDS[0][1]),
    (("role", "does not exist"), _WORDS[0][1]),
    (("database", "does not exist"), _WORDS[1][1]),
)
"""Of errors while a connection is opened, which have no class of their own: what is in the text."""

LOST = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, psycopg.InterfaceError)


def is_lost(error: Exception, connection: psycopg.Connection[object] | None) -> bool:
    """Return whether an error means that the connection is gone, and nothing is wrong with what was asked."""
    broken = connection is not None and (connection.broken or connection.closed)
    return isinstance(error, LOST) or (isinstance(error, psycopg.OperationalError) and bool(broken))


@contextmanager
def plain_errors(address: Address) -> Iterator[None]:
    """Raise what PostgreSQL says as an `IndexFileError` that names the index and what to do."""
    try:
        yield
    except psycopg.Error as error:
        raise plain_error(address, error) from None


def plain_error(address: Address, error: psycopg.Error) -> IndexFileError | InputError:
    """Return an error of PostgreSQL in plain words."""
    words = next((words for kind, words in _WORDS if isinstance(error, kind)), None)
    said = _first_line(str(error))
    if words is not None:
        return IndexFileError(f"the index {address} cannot be used: {words} (PostgreSQL says: {said})")
    if isinstance(error, psycopg.ProgrammingError) and "invalid" in said and "parameter" in said:
        return InputError(f"{address}: the client of PostgreSQL says: {said}; leave that parameter out")
    for signs, words in _SAID:
        if all(sign in said for sign in signs):
            return IndexFileError(f"the index {address} cannot be used: {words} (PostgreSQL says: {said})")
    if isinstance(error, psycopg.OperationalError):
        return IndexFileError(
            f"the server of {address} cannot be reached: {said}; see that it runs and that host, port and database are "
            "right, then do it again"
        )
    return IndexFileError(f"the index {address} cannot be used: PostgreSQL says: {said}; {NOTHING}")


def _first_line(said: str) -> str:
    """Return the gist of a message, without what it quotes of data."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    gist = next((line for line in lines if "failed:" in line), lines[0] if lines else "nothing")
    return gist.rpartition("failed: ")[2].removeprefix("FATAL: ").strip()[:200]
