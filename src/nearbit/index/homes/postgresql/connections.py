"""Connections to a server: one for each thread that is at work, opened again where the server was restarted."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TypeVar, final
from urllib.parse import quote, urlencode

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from nearbit.errors import IndexFileError
from nearbit.index.homes.address import Address
from nearbit.index.homes.postgresql.faults import is_lost, plain_error, plain_errors

Connection = psycopg.Connection[tuple[object, ...]]
Result = TypeVar("Result")

OURS = ("partitions", "search", "ef_search")
"""Parameters of an address that are not for the client of PostgreSQL."""

CONNECT_SECONDS = 10
LOCK_SECONDS = 10
"""How long a writer waits for another one."""

RESTART_SECONDS = 10.0
"""How long a server that was there may be away before a read or a write gives up."""

LOOK_AGAIN = 0.1

READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""Said, as a database may have another default: who waited for another writer must see what that one did."""


def connect(address: Address) -> Connection:
    """Open a connection whose transactions are begun and ended by statements; raise what psycopg raises."""
    given = {key: value for key, value in address.options.items() if key not in OURS}
    asked = {"connect_timeout": str(CONNECT_SECONDS), "application_name": "nearbit"} | given
    query = urlencode(asked, quote_via=quote, safe="/")
    connection = psycopg.connect(f"{address.url}?{query}", autocommit=True)
    connection.execute("SET client_encoding = 'UTF8'")
    connection.execute("SET standard_conforming_strings = on")
    connection.execute("SET jit = off")
    connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
    return connection


@final
class Connections:
    """The connections of one open index. Thread-safe; a forked child begins with none."""

    def __init__(self, address: Address, lock: int = 0) -> None:
        """Take where the server is, and the number of the lock that writers of the index take."""
        self.address, self.lock = address, lock
        self.is_closed = False
        self._idle: list[Connection] = []
        self._guard = threading.Lock()
        self._process = os.getpid()
        self._held = threading.local()

    def reading(self, work: Callable[[Connection], Result]) -> Result:
        """Return what some work reads in one transaction, of one state; done again where the connection is lost."""
        return self._again(lambda connection: _transaction(connection, READ, work))

    def alone(self, work: Callable[[Connection], Result]) -> Result:
        """Return what some work reads by statements of which each sees a state of its own, with no other round trip."""
        return self._again(work)

    def writing(self, work: Callable[[Connection], Result]) -> Result:
        """Return what some work gives in one transaction of the only writer; durable, all or nothing.

        Where the connection is lost, the server is asked whether the transaction was durable before; if not, it is done
        again.
        """
        return self._again(lambda connection: self._write(connection, work))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Stay the only writer; what this thread reads and writes meanwhile goes through one connection."""
        if getattr(self._held, "connection", None) is not None:
            yield
            return
        with self._use() as connection:
            try:
                with plain_errors(self.address):
                    connection.execute("SELECT pg_advisory_lock(%s)", (self.lock,))
                self._held.connection = connection
                yield
            finally:
                self._held.connection = None
                self._unlock(connection)

    def plainly(self, statement: str) -> None:
        """Run one statement that takes no transaction, such as VACUUM."""
        with self._use() as connection, plain_errors(self.address):
            connection.execute(statement)

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        with self._guard:
            self.is_closed = True
            idle, self._idle = self._idle, []
        if self._process == os.getpid():
            for connection in idle:
                connection.close()

    def _unlock(self, connection: Connection) -> None:
        """Let others write again; a connection that cannot be asked to is closed, which does it too."""
        is_done = False
        try:
            with suppress(psycopg.Error):
                connection.execute("SELECT pg_advisory_unlock(%s)", (self.lock,))
                is_done = True
        finally:
            if not is_done:
                connection.close()

    def _again(self, work: Callable[[Connection], Result]) -> Result:
        """Do what may be done twice; once more where the connection was lost and the server comes back."""
        held: Connection | None = getattr(self._held, "connection", None)
        if held is not None:
            with plain_errors(self.address):
                return work(held)
        try:
            with self._use() as connection:
                return work(connection)
        except psycopg.Error as error:
            if not is_lost(error, connection):
                raise plain_error(self.address, error) from None
        self._forget()
        with self._use(RESTART_SECONDS) as connection, plain_errors(self.address):
            return work(connection)

    def _write(self, connection: Connection, work: Callable[[Connection], Result]) -> Result:
        try:
            connection.execute(WRITE)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (self.lock,))
            row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
            result = work(connection)
        except BaseException:
            _roll_back(connection)
            raise
        try:
            connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            if not is_lost(error, connection) or row is None or not self._was_committed(str(row[0])):
                raise
        return result

    def _was_committed(self, number: str) -> bool:
        """Return whether a transaction is durable whose connection was lost before its end was told.

        The server may not have noticed yet, or still be about to end it (on its disk, on a standby): it is waited for.
        """
        self._forget()
        end = time.monotonic() + RESTART_SECONDS
        with suppress(psycopg.Error, IndexFileError), closing(self._new(RESTART_SECONDS)) as connection:
            while True:
                row = connection.execute("SELECT pg_xact_status(%s::xid8)", (number,)).fetchone()
                if row is not None and row[0] in ("committed", "aborted"):
                    return row[0] == "committed"
                if time.monotonic() > end:
                    break
                time.sleep(LOOK_AGAIN)
        raise IndexFileError(
            f"the server of {self.address} was lost as it was told to keep the change, and does not say since whether "
            "it did: look whether the change is there before you make it again"
        )

    @contextmanager
    def _use(self, patience: float = 0.0) -> Iterator[Connection]:
        """Give a connection of this thread's own; it is kept for the next one that asks."""
        if self.is_closed:
            raise IndexFileError(f"the index {self.address} is closed; open_index opens it again")
        held: Connection | None = getattr(self._held, "connection", None)
        if held is not None:
            yield held
            return
        connection = self._taken() or self._new(patience)
        try:
            yield connection
        finally:
            self._give_back(connection)

    def _taken(self) -> Connection | None:
        with self._guard:
            if self._process != os.getpid():
                self._idle, self._process = [], os.getpid()
            while self._idle:
                connection = self._idle.pop()
                if not (connection.closed or connection.broken):
                    return connection
        return None

    def _give_back(self, connection: Connection) -> None:
        is_idle = connection.info.transaction_status == TransactionStatus.IDLE  # not so where an interrupt came between
        with self._guard:
            if is_idle and not self.is_closed:
                self._idle.append(connection)
                return
        connection.close()

    def _forget(self) -> None:
        """Close what lies idle: the server that it led to is gone."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _new(self, patience: float) -> Connection:
        end = time.monotonic() + patience
        starting = time.monotonic() + max(patience, CONNECT_SECONDS)
        while True:
            try:
                return connect(self.address)
            except psycopg.Error as error:
                limit = starting if _is_starting(error) else end
                if not isinstance(error, psycopg.OperationalError) or time.monotonic() >= limit:
                    raise plain_error(self.address, error) from None
            time.sleep(LOOK_AGAIN)


def _is_starting(error: psycopg.Error) -> bool:
    return isinstance(error, errors.CannotConnectNow) or "starting up" in str(error)


def _transaction(connection: Connection, begin: str, work: Callable[[Connection], Result]) -> Result:
    try:
        connection.execute(begin)
        result = work(connection)
    except BaseException:
        _roll_back(connection)
        raise
    connection.execute("COMMIT")
    return result


def _roll_back(connection: Connection) -> None:
    with suppress(psycopg.Error):  # a lost connection rolled back by itself
        connection.execute("ROLLBACK")
