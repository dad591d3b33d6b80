"""What PostgreSQL as a home does beyond the contract: pruned search, partitions, graphs, writers, foreign tables."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import postgresql_server
from nearbit.errors import IndexFileError, InputError
from nearbit.index import create_index, open_index
from nearbit.index.homes.address import Address

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL is not tested")
from nearbit.index.homes.postgresql import connections, faults, pruning, writing  # noqa: E402 - need psycopg

N_BITS = 64
CODE = np.zeros((1, 1), np.uint8)


@pytest.fixture
def address(postgresql, request):
    """The address of an index that no other test has."""
    name = f"t{abs(hash(request.node.nodeid)) % 10**12}"
    yield postgresql_server.address(postgresql, name)
    run(postgresql, *(f"DROP TABLE IF EXISTS {name}_{part}" for part in ("meta", "state", "items", "codes", "pivots")))


def name_of(address):
    return Address.parsed(address).name


def run(server, *statements, database="postgres"):
    with psycopg.connect(server.get_uri(database=database), autocommit=True) as connection:
        found = [connection.execute(statement) for statement in statements]
        return found[-1].fetchall() if found[-1].description else None


def clustered(rng, n, flipped=0.05):
    centers = np.random.default_rng(1).random((12, N_BITS)) < 0.5
    return np.packbits(centers[rng.integers(12, size=n)] ^ (rng.random((n, N_BITS)) < flipped), axis=1)


def assert_alike(index, embedded, queries, weights=None):
    for asked in ({"k": 1}, {"k": 10}, {"k": 300}, {"k": None, "radius": 6}, {"k": 5, "radius": 2}, {"k": 9999}):
        found, expected = index.search(queries, **asked), embedded.search(queries, **asked)
        assert found.hits.ids.tolist() == expected.hits.ids.tolist(), asked
        assert found.hits.distances.tolist() == expected.hits.distances.tolist(), asked
        assert index.search(queries[:1], **asked).pairs(0) == expected.pairs(0), asked
    for asked in ({"k": 10}, {"k": None, "radius": 1.5}) if weights is not None else ():
        codes = np.packbits(weights >= 0, axis=1)
        found, expected = (one.search(codes, weights=weights, **asked) for one in (index, embedded))
        assert found.hits.ids.tolist() == expected.hits.ids.tolist(), asked
        assert found.hits.weighted.tolist() == expected.hits.weighted.tolist(), asked


@pytest.mark.parametrize("partitions", [1, 3])
def test_pruned_search_is_exact_through_all_changes(address, monkeypatch, partitions):
    monkeypatch.setattr(pruning, "FEWEST_CODES", 200)
    monkeypatch.setattr("nearbit.index.homes.postgresql.searching.CODES_AT_FIRST", 20)
    monkeypatch.setattr("nearbit.index.homes.postgresql.searching.MOST_SHARE", 2.0)
    rng = np.random.default_rng(2)
    queries, weights = clustered(rng, 6), rng.normal(size=(4, N_BITS)).astype(np.float32) / 8
    with create_index(f"{address}&partitions={partitions}", N_BITS) as index, create_index(None, N_BITS) as embedded:
        for step in (
            lambda one: one.add(clustered(np.random.default_rng(3), 1500)),
            lambda one: one.add(clustered(np.random.default_rng(4), 100, 0.3)),  # widens what pivots reach
            lambda one: one.remove(np.arange(1, 400)),
            lambda one: one.add(clustered(np.random.default_rng(3), 30), ids=np.arange(30)),
            lambda one: one.add(clustered(np.random.default_rng(5), 99), ids=np.arange(700, 799), replace=True),
            lambda one: one.compact(),
        ):
            for one in (index, embedded):
                step(one)
            assert_alike(index, embedded, queries, weights)
        assert index.verify() == []
        about = index.stats()["search"]
        assert (about["plan"], about["approximate"], about["partitions"]) == ("rings", False, partitions)
        assert about["pivots"] > 5
        plan = explained(index, queries)
    assert "_codes" in plan
    assert "Index" in plan


def explained(index, queries):
    """Return how the server would find the codes nearest to a query."""
    search, known = index._search, index._known
    (query,) = search_queries(queries[:1])

    def plan(connection):
        counts = writing.Counts.read(connection, index._tables)
        pivots = known(connection, counts.pivots)
        sql, given = search._within(query, pivots.distances(query.words), 2, 5, pivots)
        return "\n".join(row[0] for row in connection.execute(f"EXPLAIN {sql}", given))

    return index._connections.reading(plan)


def search_queries(codes):
    from nearbit.index.homes.postgresql.searching import plain_queries

    return plain_queries(codes, N_BITS, None)


def test_the_first_reach_grows_until_enough_codes_are_in_it():
    pivots = pruning.Pivots(
        1,
        np.array([[0], [2**64 - 1]], np.uint64),
        np.array([0, 3], np.int32),
        np.array([5, 9], np.int32),
        np.array([[0, 0], [0, 5], [1, 3], [1, 9]], np.int32),
        np.array([1, 10, 100, 1000]),
    )
    distances = pivots.distances(np.array([7], np.uint64))
    assert distances.tolist() == [3, 61]
    assert [pivots.first_reach(distances, n) for n in (1, 10, 12, 5000)] == [2, 2, 52, 58]
    assert pivots.ranges(distances, 2) == ([0], [1], [5])
    assert pivots.ranges(distances, 52) == ([0, 1], [0, 9], [5, 9])
    assert pivots.share(distances, 3) == 11 / 1111


def test_verify_names_what_is_wrong_in_the_tables(address, postgresql, monkeypatch):
    monkeypatch.setattr(pruning, "FEWEST_CODES", 50)
    name = name_of(address)
    with create_index(address, N_BITS) as index:
        index.add(clustered(np.random.default_rng(3), 300))
        assert index.verify() == []
        for statement, problem in (
            (f"UPDATE {name}_codes SET first_id = first_id + 1000 WHERE first_id = 7", "1 codes without an item, or"),
            (
                f"UPDATE {name}_codes SET first_id = 7, distance = distance + 1 WHERE first_id = 1007",
                "1 codes in a ring",
            ),
            (f"DELETE FROM {name}_codes WHERE first_id = 7", "item 7: its code is missing"),
            (f"DELETE FROM {name}_items WHERE id = 8", "counts 300 items, and there are 299"),
            (f"UPDATE {name}_items SET id = 999 WHERE id = 9", "item 999: its id lies outside 0 … 300"),
            (f"UPDATE {name}_items SET metadata = '[]' WHERE id = 10", "item 10: its metadata are no JSON object"),
        ):
            run(postgresql, statement)
            assert any(problem in line for line in index.verify()), (statement, index.verify())


def test_an_approximate_search_is_marked_and_needs_its_extension(address, postgresql):
    rng = np.random.default_rng(2)
    with create_index(address, N_BITS) as index:
        index.add(clustered(rng, 500))
        exact = index.search(clustered(rng, 5), k=5)
    with pytest.raises(IndexFileError, match=r"needs the extension vector .* which is missing: .*CREATE EXTENSION"):
        open_index(f"{address}&search=hnsw")
    run(postgresql, "CREATE EXTENSION vector")
    try:
        with open_index(f"{address}&search=hnsw&ef_search=500") as index:
            index.compact()
            about = index.stats()["search"]
            assert (about["plan"], about["approximate"], about["ef_search"]) == ("hnsw", True, 500)
            found = index.search(clustered(np.random.default_rng(2), 505)[500:], k=5)
            assert found.ids.shape == exact.ids.shape
            assert "hnsw" in str(
                run(postgresql, f"SELECT indexdef FROM pg_indexes WHERE indexname = '{name_of(address)}_codes_graph'")
            )
            with pytest.raises(InputError, match="an approximate search takes no weights"):
                index.search(np.zeros((1, 8), np.uint8), weights=-np.ones((1, N_BITS)))
    finally:
        run(postgresql, "DROP EXTENSION vector CASCADE")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ("partitions=0", "partitions must be a whole number from 1"),
        ("partitions=x", "partitions must be a whole number from 1"),
        ("search=near", "expected exact, or hnsw"),
        ("search=hnsw&ef_search=0", "ef_search must be a whole number from 1"),
        ("ef_search=10", "ef_search goes with search=hnsw"),
        ("no_such_option=1", "invalid .*parameter.*leave that parameter out"),
    ],
)
def test_what_an_address_cannot_ask_for_is_refused(address, options, match):
    with pytest.raises(InputError, match=match):
        create_index(f"{address}&{options}", 8)


def test_codes_too_long_for_a_tree_are_refused(address):
    with pytest.raises(InputError, match="at most 8192 bits, not 8193"):
        create_index(address, 8193)


def test_the_longest_codes_are_found(address):
    codes = np.packbits(np.random.default_rng(1).random((5, 8192)) < 0.5, axis=1)
    with create_index(address, 8192) as index:
        index.add(codes)
        assert index.search(codes, k=1).ids.ravel().tolist() == [1, 2, 3, 4, 5]


def test_writers_at_once_get_ids_of_their_own(address):
    create_index(address, 8).close()
    ids, failures = [], []

    def write():
        try:
            with open_index(address) as index:
                for _ in range(12):
                    ids.extend(index.add(np.zeros((3, 1), np.uint8)).tolist())
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(ids) == list(range(1, 145))
    with open_index(address) as index:
        assert index.verify() == []


def test_threads_share_one_index(address):
    with create_index(address, 8) as index:
        index.add(np.arange(20, dtype=np.uint8)[:, None])
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(index.search(np.array([[3]], np.uint8), k=2).ids.tolist()))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [[[4, 2]]] * 8


def test_who_writes_alone_keeps_others_waiting_and_they_are_told(address, monkeypatch):
    monkeypatch.setattr(connections, "LOCK_SECONDS", 1)
    with create_index(address, 8) as one, open_index(address) as other:
        with one.writing():
            one.add(CODE)
            with pytest.raises(IndexFileError, match="another program is writing to it; nothing was changed"):
                other.add(CODE)
            assert len(other) == 1
        assert other.add(CODE).tolist() == [2]


def test_a_killed_writer_leaves_whole_batches_alone(address):
    writer = (
        "import sys, numpy as np\nfrom nearbit.index import create_index\n"
        "index = create_index(sys.argv[1], 64)\nprint('ready', flush=True)\n"
        "while True:\n    codes = np.random.default_rng().integers(0, 256, (50, 8), np.uint8)\n"
        "    print(index.add(codes)[0], flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", writer, address], stdout=subprocess.PIPE, text=True) as process:
        told = [process.stdout.readline() for _ in range(6)]
        process.kill()
        told += process.stdout.readlines()
    acknowledged = sum(line.endswith("\n") for line in told[1:])
    with open_index(address) as index:
        n_batches, rest = divmod(len(index), 50)
        assert rest == 0
        assert acknowledged <= n_batches <= acknowledged + 1
        assert index.verify() == []


@pytest.mark.parametrize(
    ("statements", "match"),
    [
        (["CREATE TABLE {n}_items (id int)"], "the table .*_items is there and is of no index: name another"),
        (["CREATE TABLE {n}_meta (key text, value text)"], "the table .*_meta is of no index of nearbit"),
        (["CREATE VIEW {n}_meta AS SELECT 1 AS key"], "the table .*_meta is there and is of no index"),
    ],
)
def test_tables_of_others_are_refused_and_left_alone(address, postgresql, statements, match):
    name = name_of(address)
    run(postgresql, *(one.format(n=name) for one in statements))
    before = run(postgresql, f"SELECT relname FROM pg_class WHERE relname LIKE '{name}%' ORDER BY 1")
    for call in (
        lambda: create_index(address, 8),
        lambda: create_index(address, 8, exist_ok=True),
        lambda: open_index(address),
    ):
        with pytest.raises(IndexFileError, match=match):
            call()
    assert run(postgresql, f"SELECT relname FROM pg_class WHERE relname LIKE '{name}%' ORDER BY 1") == before
    run(postgresql, f"DROP VIEW IF EXISTS {name}_meta" if "VIEW" in statements[0] else "SELECT 1")


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("DROP TABLE {n}_codes", "half an index: the table .*_codes is missing; restore it from a backup"),
        ("ALTER TABLE {n}_items DROP COLUMN digest", "the table .*_items is not as nearbit made it"),
        ("ALTER TABLE {n}_items ALTER path TYPE varchar(9)", "the table .*_items is not as nearbit made it"),
        ("DELETE FROM {n}_state", "_state should hold one row"),
        ("DELETE FROM {n}_meta WHERE key = 'n_bits'", "its recorded facts are incomplete"),
        ("UPDATE {n}_meta SET value = '2' WHERE key = 'nearbit_format'", "made by a newer nearbit"),
    ],
)
def test_half_an_index_is_refused_and_left_alone(address, postgresql, statement, match):
    with create_index(address, 8) as index:
        index.add(CODE)
    run(postgresql, statement.format(n=name_of(address)))
    for call in (lambda: create_index(address, 8, exist_ok=True), lambda: open_index(address)):
        with pytest.raises(IndexFileError, match=match):
            call()
    assert run(postgresql, f"SELECT count(*) FROM {name_of(address)}_items") == [(1,)]


def test_a_table_that_goes_while_it_is_open_is_a_plain_error(address, postgresql):
    with create_index(address, 8) as index:
        run(postgresql, f"DROP TABLE {name_of(address)}_items")
        with pytest.raises(IndexFileError, match="a table of it is missing or not as nearbit made it; restore it"):
            index.items([1])


def test_an_index_made_anew_under_the_same_name_is_noticed(address, postgresql, monkeypatch):
    monkeypatch.setattr(pruning, "FEWEST_CODES", 50)
    codes = [clustered(np.random.default_rng(seed), 300) for seed in (3, 4)]
    with create_index(address, N_BITS) as index:
        index.add(codes[0])
        index.search(codes[0][:1])
        run(
            postgresql,
            *(f"DROP TABLE {name_of(address)}_{part}" for part in ("meta", "state", "items", "codes", "pivots")),
        )
        with create_index(address, N_BITS) as again, create_index(None, N_BITS) as embedded:
            again.add(codes[1])
            embedded.add(codes[1])
            assert not index.is_in_place()
            assert_alike(index, embedded, codes[0][:3])


def test_nothing_is_written_where_the_server_fails_in_the_middle(address, monkeypatch):
    def full(*_):
        raise psycopg.errors.DiskFull("could not extend file: No space left on device")

    with create_index(address, 8) as index:
        index.add(CODE)
        with monkeypatch.context() as patch:
            patch.setattr(writing, "_put_codes", full)
            with pytest.raises(IndexFileError, match="the server's disk is full; nothing was changed: make room"):
                index.add(CODE)
        assert len(index) == 1
        assert index.verify() == []
        assert index.add(CODE).tolist() == [2]


def test_keys_and_names_are_data_and_no_sql(address):
    key = "it's \"a\" %s %(x)s \\ key'; DROP TABLE users; --"
    with create_index(address, 8) as index:
        index.add(np.zeros((2, 1), np.uint8), metadata=[{key: key}, {key: 1}])
        index.create_filter(key)
        assert index.filters() == [key]
        assert index.matching({key: key}).tolist() == [1]
        assert index.search(CODE, where={key: 1, "labels": ["%s'"]}).pairs(0) == []
        index.drop_filter(key)


def test_a_filter_is_used_by_the_server(address, postgresql):
    with create_index(address, 8) as index:
        index.add(np.zeros((5000, 1), np.uint8), metadata=[{"camera": number} for number in range(5000)])
        index.create_filter("camera")
        index.compact()
        plan = run(
            postgresql,
            f"EXPLAIN SELECT id FROM {name_of(address)}_items WHERE (metadata::jsonb -> 'camera') = '3'::jsonb",
        )
    assert f"{name_of(address)}_filter_0" in str(plan)


def test_every_error_is_told_in_plain_words_without_a_password():
    address = Address.parsed("postgresql://me:secret@host/db?index=birds&password=secret")
    for kind in (psycopg.errors.InsufficientPrivilege, psycopg.errors.QueryCanceled, psycopg.errors.TooManyConnections):
        words = str(faults.plain_error(address, kind("it failed")))
        assert words.startswith("the index postgresql://me@host/db?index=birds cannot be used: ")
        assert "secret" not in words
