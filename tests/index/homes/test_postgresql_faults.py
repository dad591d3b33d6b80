"""The server is away, restarted, read-only, refuses, or is lost: plain errors, nothing lost, nothing twice."""

import json
import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest

import postgresql_server
from nearbit.errors import IndexFileError
from nearbit.index import create_index, open_index
from nearbit.index.homes import exists
from nearbit.index.homes.address import Address

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL is not tested")
from nearbit.index.homes.postgresql import connections, opening, writing  # noqa: E402 - need psycopg

CODE = np.zeros((1, 1), np.uint8)
NUMBERS = iter(range(1000))


@pytest.fixture(scope="module")
def own_server():
    """A server that these tests may stop."""
    with postgresql_server.started() as server:
        yield server


@pytest.fixture
def address(own_server):
    return postgresql_server.address(own_server, f"f{next(NUMBERS)}")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(connections, "RESTART_SECONDS", 0.3)


def end_others(server):
    """End every connection to the server but this one, as an administrator does."""
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        others = "pid <> pg_backend_pid() AND usename IS NOT NULL"
        connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")


def count(server, question):
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        return connection.execute(f"SELECT count(*) FROM {question}").fetchone()[0]


def wait_for(server, question, expected):
    """Wait until the server counts so many."""
    end = time.monotonic() + 60
    while (found := count(server, question)) != expected:
        assert time.monotonic() < end, f"{found} of {question}"
        time.sleep(0.01)


def test_an_index_goes_on_after_the_server_was_restarted(own_server, address):
    with create_index(address, 8) as index:
        index.add(CODE)
        for work in (
            lambda: index.search(CODE).pairs(0),
            lambda: index.add(CODE).tolist(),
            lambda: len(index),
            lambda: index.remove([2]),
            lambda: [item.id for item in index],
        ):
            own_server.stop()
            own_server.ensure_postgres_running()
            done = work()
        assert done == [1]
        assert index.verify() == []


def test_a_server_that_is_away_is_an_error_until_it_is_back(own_server, address, impatient):
    with create_index(address, 8) as index:
        index.add(CODE)
        own_server.stop()
        try:
            for work in (
                lambda: index.search(CODE),
                lambda: index.add(CODE),
                lambda: open_index(address),
                lambda: create_index(address, 8, exist_ok=True),
                lambda: exists(Address.parsed(address)),
            ):
                with pytest.raises(
                    IndexFileError, match=r"the server of postgresql://.* cannot be reached: .*; see that"
                ):
                    work()
        finally:
            own_server.ensure_postgres_running()
        assert index.search(CODE).pairs(0) == [(1, 0)]
        assert index.add(CODE).tolist() == [2]


def test_a_change_whose_connection_is_lost_in_the_middle_is_made_once(own_server, address, monkeypatch):
    insert, lost = writing.insert, []

    def losing(connection, *given):
        ids = insert(connection, *given)
        if not lost:
            lost.append(1)
            end_others(own_server)
        return ids

    with create_index(address, 8) as index:
        monkeypatch.setattr(writing, "insert", losing)
        assert index.add(CODE).tolist() == [1]
        assert (lost, len(index)) == ([1], 1)
        assert index.verify() == []


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_change_whose_end_is_not_told_is_made_once(own_server, address, monkeypatch, is_durable):
    execute, lost = psycopg.Connection.execute, []

    def losing(connection, statement, *given, **options):
        if statement == "COMMIT" and not lost and connection.info.transaction_status.name == "INTRANS" and armed:
            lost.append(1)
            if is_durable:
                execute(connection, statement)
            end_others(own_server)
        return execute(connection, statement, *given, **options)

    armed = False
    with create_index(address, 8) as index:
        monkeypatch.setattr(psycopg.Connection, "execute", losing)
        armed = True
        assert index.add(CODE).tolist() == [1]
        assert lost == [1]
        monkeypatch.undo()
        assert len(index) == 1
        assert index.verify() == []


def test_a_change_whose_end_cannot_be_learned_is_an_error_that_says_so(own_server, address, monkeypatch, impatient):
    execute = psycopg.Connection.execute

    def losing(connection, statement, *given, **options):
        if statement == "COMMIT":
            own_server.stop()
        return execute(connection, statement, *given, **options)

    with create_index(address, 8) as index:
        monkeypatch.setattr(psycopg.Connection, "execute", losing)
        try:
            with pytest.raises(IndexFileError, match="look whether the change is there before you make it again"):
                index.add(CODE)
        finally:
            monkeypatch.setattr(psycopg.Connection, "execute", execute)
            own_server.ensure_postgres_running()
        assert len(index) == 0


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("in_turn", [False, True])
def test_a_change_that_the_server_still_keeps_is_made_once(own_server, address, monkeypatch, ends, in_turn):
    execute, lost, told = psycopg.Connection.execute, [], []
    monkeypatch.setattr(connections, "RESTART_SECONDS", 60.0 if ends else 0.3)

    def losing(connection, statement, *given, **options):
        if statement == "COMMIT" and not lost:
            lost.append(connection)
            raise psycopg.errors.AdminShutdown("the client hears no more of it")
        done = execute(connection, statement, *given, **options)
        if "pg_xact_status" in statement:
            told.append(execute(connection, statement, *given).fetchone()[0])
            if ends and len(told) == 2:
                execute(lost[0], "COMMIT")
        return done

    with create_index(address, 8) as index:
        monkeypatch.setattr(psycopg.Connection, "execute", losing)
        with index.writing() if in_turn else nullcontext():
            if ends:
                assert index.add(CODE).tolist() == [1]
                assert told == ["in progress", "in progress", "committed"]
            else:
                with pytest.raises(IndexFileError, match="look whether the change is there before you make it again"):
                    index.add(CODE)
                assert set(told) == {"in progress"}
        assert len(index) == (1 if ends else 0)


REPEATABLE = "&options=-c%20default_transaction_isolation%3Drepeatable%5C%20read"
WAITING = "pg_locks WHERE locktype = 'advisory' AND NOT granted"


def test_a_writer_that_waited_sees_what_the_other_one_did(own_server, address):
    create_index(address, 8).close()
    given = []
    with open_index(address) as one, open_index(address + REPEATABLE) as other:
        thread = threading.Thread(target=lambda: given.extend(other.add(CODE).tolist()))
        with one.writing():
            thread.start()
            wait_for(own_server, WAITING, 1)
            assert one.add(CODE).tolist() == [1]
        thread.join()
        assert given == [2]


def test_who_waited_for_another_that_makes_the_index_finds_it(own_server, address, monkeypatch):
    create_tables, made = opening.create_tables, []
    thread = threading.Thread(target=lambda: made.append(create_index(address + REPEATABLE, 8, exist_ok=True)))

    def slowly(*given):
        if not thread.ident:
            thread.start()
            wait_for(own_server, WAITING, 1)
        create_tables(*given)

    monkeypatch.setattr(opening, "create_tables", slowly)
    with create_index(address, 8) as index:
        thread.join()
        index.add(CODE)
        assert [len(one) for one in made] == [1]
        made[0].close()


@pytest.mark.parametrize(
    ("work", "statements"),
    [
        ("add", ["BEGIN ISO"]),
        ("add", ["BEGIN ISO", "ROLLBACK"]),
        ("add", ["pg_advisory_xact_lock"]),
        ("read", ["BEGIN ISO"]),
        ("read", ["COMMIT"]),
        ("writing", ["pg_advisory_lock"]),
        ("writing", ["pg_advisory_unlock"]),
        ("writing", ["pg_advisory_lock", "pg_advisory_unlock"]),
    ],
)
@pytest.mark.parametrize("is_done", [True, False])
def test_an_interrupt_leaves_no_lock_and_no_transaction(own_server, address, monkeypatch, work, statements, is_done):
    execute, left = psycopg.Connection.execute, list(statements)

    def interrupted(connection, statement, *given, **options):
        if not left or left[0] not in statement:
            return execute(connection, statement, *given, **options)
        left.pop(0)
        if is_done:
            execute(connection, statement, *given, **options)
        raise KeyboardInterrupt("pressed")

    def holds():
        with index.writing():
            index.add(CODE)

    with create_index(address, 8) as index:
        index.search(CODE)
        monkeypatch.setattr(psycopg.Connection, "execute", interrupted)
        with pytest.raises(KeyboardInterrupt, match="pressed"):
            {"add": lambda: index.add(CODE), "read": index.codes, "writing": holds}[work]()
        assert left == []
        wait_for(own_server, "pg_locks WHERE locktype = 'advisory'", 0)
        wait_for(own_server, "pg_stat_activity WHERE state LIKE 'idle in transaction%'", 0)
        index.add(CODE)
        assert index.verify() == []


def test_a_server_that_only_reads_is_named(own_server, address):
    with create_index(address, 8) as index:
        index.add(CODE)
    with open_index(f"{address}&options=-c%20default_transaction_read_only%3Don") as index:
        assert index.search(CODE).pairs(0) == [(1, 0)]
        with pytest.raises(
            IndexFileError, match=r"the server takes no writes .*; nothing was changed: write to its primary"
        ):
            index.add(CODE)


def test_a_query_that_the_server_ends_is_a_plain_error(own_server, address):
    create_index(address, 64).close()
    with open_index(f"{address}&options=-c%20statement_timeout%3D100") as index:
        with pytest.raises(IndexFileError, match=r"the server ended it \(statement_timeout.*nothing was changed"):
            index.add(np.random.default_rng(1).integers(0, 256, (100_000, 8), np.uint8))
        assert len(index) == 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("/postgres?", "/nowhere?"), "the server has no such database; make it"),
        (("postgres@", "stranger:secret@"), "the server refuses this user; name one with a password in PGPASSWORD"),
        (("host=/", "host=/no/such"), "cannot be reached"),
        (("postgres@/", "me:secret@127.0.0.1:1/"), "cannot be reached"),
    ],
)
def test_what_cannot_be_opened_is_told_without_the_password(own_server, address, change, match):
    wrong = address.replace(*change)
    if "127.0.0.1" in wrong:
        wrong = wrong.partition("?")[0] + "?index=a"
    with pytest.raises(IndexFileError, match=match) as info:
        open_index(wrong)
    assert "secret" not in str(info.value)
    assert info.value.__cause__ is None


def test_who_may_only_read_gets_an_error_and_changes_nothing(own_server, address):
    create_index(address, 8).close()
    name = Address.parsed(address).name
    with psycopg.connect(own_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE reader_{name} LOGIN")
        for part in ("meta", "state", "items", "codes", "pivots"):
            connection.execute(f"GRANT SELECT ON {name}_{part} TO reader_{name}")
    with open_index(address.replace("postgres@", f"reader_{name}@")) as index:
        assert len(index.search(CODE)) == 1
        with pytest.raises(IndexFileError, match="this user may not do that; nothing was changed: let the owner GRANT"):
            index.add(CODE)
    with pytest.raises(IndexFileError, match="this user may not do that"):
        create_index(address.replace("postgres@", f"reader_{name}@").replace(f"index={name}", "index=other"), 8)
    with psycopg.connect(own_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY reader_{name}; DROP ROLE reader_{name}")


def test_stats_tell_the_server_and_no_secret(address):
    with create_index(address.replace("postgres@", "postgres:secret@"), 8) as index:
        assert "secret" not in json.dumps(index.stats()) + index.address + repr(index)
