"""The server is away, restarted, read-only, refuses, or is lost: plain errors, nothing lost, nothing twice."""

import json

import numpy as np
import pytest

import postgresql_server
from nearbit.errors import IndexFileError
from nearbit.index import create_index, open_index
from nearbit.index.homes import exists
from nearbit.index.homes.address import Address

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL is not tested")
from nearbit.index.homes.postgresql import connections, writing  # noqa: E402 - need psycopg

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
