"""What is of Milvus alone: additions that are seen whole or not at all, writers that die, ties of thousands, faults."""

import re
import subprocess
import sys
import threading

import numpy as np
import pytest

import milvus_server
from nearbit.errors import IndexFileError, InputError
from nearbit.index import Address, create_index, open_index

pytest.importorskip("pymilvus", reason="pymilvus is not installed: Milvus is not tested")

from nearbit.index.homes.milvus import client, faults, opening, state, writing
from nearbit.index.homes.milvus.state import Mark, marks_in

CODE = np.zeros((1, 2), np.uint8)
NUMBERS = iter(range(1000))


def codes_of(n, seed=0, density=0.5):
    return np.packbits(np.random.default_rng(seed).random((n, 16)) < density, axis=1)


@pytest.fixture
def place(milvus):
    """Return what gives the address of a new index, with options; what is made there is dropped."""
    yield lambda **options: milvus_server.address(milvus, f"own{next(NUMBERS)}", **options)
    milvus_server.forget(milvus)


@pytest.mark.parametrize("mark", [Mark(1, 0, 0, 0, 7), Mark(12, 2**63 - 2, 5, 470737848685821958, 2**62, "ab12", 3)])
def test_a_state_is_read_from_the_name_that_tells_it(mark):
    names = ["birds", mark.name_of("birds"), Mark(99, 1, 1, 1, 1).name_of("birds_b"), "birds_STATE_x"]
    assert marks_in(names, "birds") == [mark]
    assert len(mark.name_of("a" * 40)) < 255


def test_the_state_of_the_highest_revision_is_the_present_one():
    names = [Mark(3, 9, 9, 50, 1).name_of("birds"), Mark(1, 0, 0, 0, 2).name_of("birds")]
    assert marks_in(names, "birds")[-1].revision == 3


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ("search=hnsw", "is no way to search: expected exact, or ivf"),
        ("search=ivf&nlist=0", "nlist must be a whole number from 1 to 65536"),
        ("nprobe=3", "nprobe goes with search=ivf"),
        ("serach=ivf", "has no 'serach'; it takes search"),
        ("secure=yes", "secure must be true or false"),
        ("shards=0", "shards must be a whole number from 1 to 16"),
    ],
)
def test_an_address_with_what_there_is_not_is_refused(query, match):
    for make in (lambda text: create_index(text, 8), open_index):
        with pytest.raises(InputError, match=match):
            make(f"milvus://me:secret@127.0.0.1:1?{query}")


def test_a_server_that_is_away_is_an_error_without_the_password(monkeypatch):
    monkeypatch.setattr(client, "SECONDS", 0.5)
    with pytest.raises(
        IndexFileError, match=r"the server of milvus://me@127\.0\.0\.1:1\?index=b cannot be reached"
    ) as info:
        open_index("milvus://me:secret@127.0.0.1:1?index=b&token=secret")
    assert "secret" not in str(info.value)


def test_what_milvus_says_is_told_in_plain_words_and_without_a_password():
    from pymilvus.exceptions import MilvusException

    address = Address.parsed("milvus://me:secret@host")
    for said, match in (
        ("auth check failure, please check api key is correct", "refuses this user.*MILVUS_TOKEN"),
        ("PrivilegeRenameCollection: permission deny", "may not do that.*also renames"),
        ("database not found[database=x]", "no such database"),
        ("quota exceeded[reason=disk quota exceeded]", "takes no writes now"),
        ("collection not loaded[collection=5]", "has not loaded it"),
        ("collection not found[collection=5]", "is gone"),
        ("something else at http://me:secret@host", "Milvus says: something else at http://host"),
    ):
        error = faults.plain_error(address, MilvusException(65535, said))
        assert isinstance(error, IndexFileError)
        assert re.search(match, str(error)), str(error)
        assert "secret" not in str(error)


@pytest.mark.slow
def test_thousands_of_ties_at_the_last_place_are_those_of_the_lowest_ids(place):
    codes, ids = np.repeat(CODE, 18_000, axis=0), np.random.default_rng(0).permutation(60_000)[:18_000]
    codes[:400, 0] = 1
    with create_index(place(), 16) as index:
        index.add(codes, ids=ids)
        assert index.search(CODE, k=5).ids[0].tolist() == np.sort(ids[400:])[:5].tolist()
        assert index.search(CODE, k=None, radius=0).hits.ids.tolist() == np.sort(ids[400:]).tolist()
        expected = np.concatenate([np.sort(ids[400:]), np.sort(ids[:400])[:20]])
        assert index.search(CODE, k=17_620).ids[0].tolist() == expected.tolist()


@pytest.mark.slow
def test_an_addition_that_is_cut_short_is_never_seen(place, monkeypatch):
    monkeypatch.setattr(writing, "ROWS_PER_REQUEST", 100)
    monkeypatch.setattr(writing, "FEW", 0)
    with create_index(place(), 16) as index:
        index.add(codes_of(50))
        insert, calls = client.Server.insert, []

        def failing(server, name, rows):
            calls.append(len(rows))
            if len(calls) == 3:
                assert len(index) == 50
                assert index.search(CODE, k=None, radius=16).hits.sizes.tolist() == [50]
                raise IndexFileError("the server is away")
            return insert(server, name, rows)

        monkeypatch.setattr(client.Server, "insert", failing)
        with pytest.raises(IndexFileError, match="away"):
            index.add(codes_of(500))
        assert calls == [100, 100, 100]
        assert (len(index), index.verify()) == (50, [])
        assert index.add(codes_of(250)).tolist() == list(range(51, 301))
        assert index.verify() == []


@pytest.mark.slow
def test_rows_that_came_twice_or_not_at_all_are_noticed_and_nothing_is_added(place, monkeypatch):
    monkeypatch.setattr(writing, "FEW", 0)
    insert = client.Server.insert
    with create_index(place(), 16) as index:
        for wrong in (lambda rows: [*rows, rows[0]], lambda rows: rows[1:]):
            monkeypatch.setattr(
                client.Server, "insert", lambda server, name, rows, w=wrong: insert(server, name, w(rows))
            )
            with pytest.raises(
                IndexFileError, match=r"of 20 new items (21|19) are there.*nothing was added: do it again"
            ):
                index.add(codes_of(20))
            assert len(index) == 0
        monkeypatch.setattr(client.Server, "insert", insert)
        assert index.add(codes_of(20)).tolist() == list(range(1, 21))
        assert index.verify() == []


DIES = """
import os, sys
import numpy as np
from nearbit.index import open_index
from nearbit.index.homes.milvus import client, writing
writing.ROWS_PER_REQUEST, writing.FEW, insert, calls = 100, 0, client.Server.insert, []
def dying(server, name, rows):
    calls.append(name)
    if len(calls) == 3:
        os._exit(9)
    return insert(server, name, rows)
client.Server.insert = dying
open_index(sys.argv[1]).add(np.zeros((500, 2), np.uint8))
"""


@pytest.mark.slow
def test_what_a_killed_writer_left_is_taken_away_by_the_next_one(place, monkeypatch):
    monkeypatch.setattr(state, "STALE", 7.0)  # more than a beat
    address = place()
    with create_index(address, 16) as index:
        index.add(codes_of(10))
        assert subprocess.run([sys.executable, "-c", DIES, address], check=False, timeout=120).returncode == 9
        assert len(index) == 10
        assert index.search(CODE, k=None, radius=16).hits.sizes.tolist() == [10]
        assert index.add(codes_of(5)).tolist() == [11, 12, 13, 14, 15]
        assert (len(index), index.verify()) == (15, [])


@pytest.mark.slow
def test_a_writer_waits_for_one_that_lives_and_then_gives_up(place, monkeypatch):
    monkeypatch.setattr(state, "PATIENCE", 2.0)
    monkeypatch.setattr(state, "BEAT", 0.2)
    address = place()
    with create_index(address, 16) as one, open_index(address) as other:
        with one.writing():
            one.add(CODE)
            with pytest.raises(IndexFileError, match="another program is writing to it; nothing was changed"):
                other.add(CODE)
            assert one.add(CODE).tolist() == [2]
        assert other.add(CODE).tolist() == [3]


@pytest.mark.slow
def test_a_sign_of_life_beside_a_change_does_not_bring_back_the_state_before_it(place, monkeypatch):
    monkeypatch.setattr(state, "BEAT", 0.0005)  # as good as always one beside each change
    with create_index(place(), 16) as index:
        with index.writing():
            ids = [int(index.add(CODE)[0]) for _ in range(8)]
        assert ids == list(range(1, 9))
        assert (len(index), index.verify()) == (8, [])


@pytest.mark.slow
def test_writers_side_by_side_get_ids_of_their_own(place, monkeypatch):
    monkeypatch.setattr(state, "PATIENCE", 300.0)  # a slow server is no fault of theirs
    address, given, wrong = place(), [], []
    create_index(address, 16).close()

    def adds(number):
        try:
            with open_index(address) as index:
                for turn in range(4):
                    given.extend(index.add(codes_of(3, seed=10 * number + turn)).tolist())
        except Exception as error:  # noqa: BLE001 - told by the test
            wrong.append(error)

    threads = [threading.Thread(target=adds, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(given) == list(range(1, 37))
    with open_index(address) as index:
        assert (len(index), index.verify()) == (36, [])


@pytest.mark.slow
@pytest.mark.parametrize("is_patient", [True, False])
def test_two_that_make_an_index_at_once_make_one(place, monkeypatch, is_patient):
    monkeypatch.setattr(opening, "MAKING_SECONDS", 60.0 if is_patient else 0.0)
    address, added, looked, lasting = place(), [], threading.Event(), []
    create_state, has_state, started = opening.create_state, opening._has_state, []

    def makes():
        try:
            lasting.append(create_index(address, 16, exist_ok=True))
            added.extend(lasting[0].add(codes_of(3)).tolist())
        finally:
            looked.set()

    other = threading.Thread(target=makes)

    def looks(server):
        if threading.current_thread() is other:
            started.append(1)
            if len(started) > 2 and is_patient:  # it saw half an index, and waits
                looked.set()
        return has_state(server)

    def late(server, name):
        if not other.ident:
            other.start()
            looked.wait()
        create_state(server, name)

    monkeypatch.setattr(opening, "_has_state", looks)
    monkeypatch.setattr(opening, "create_state", late)
    with create_index(address, 16) as index:
        other.join()
        added.extend(index.add(codes_of(3)).tolist())
        assert sorted(added) == [1, 2, 3, 4, 5, 6]
        assert (len(index), index.verify()) == (6, [])
        assert len(marks_in(index._server.collections(), index._name)) == (1 if is_patient else 2)
        lasting[0].close()


@pytest.mark.slow
def test_a_writer_that_was_cut_off_takes_nothing_of_the_next_one_away(place, monkeypatch):
    address = place()
    with create_index(address, 16) as index, open_index(address) as other:
        index.add(codes_of(4))
        monkeypatch.setattr(state, "BEAT", 1e6)
        upsert = index._server.upsert

        def overtaken(name, rows):
            time = upsert(name, rows)
            if len(rows) == 5:
                monkeypatch.setattr(state, "STALE", 0.0)
                assert other.add(codes_of(7)).tolist() == list(range(5, 12))
                monkeypatch.setattr(state, "STALE", 30.0)
            return time

        monkeypatch.setattr(index._server, "upsert", overtaken)
        with pytest.raises(IndexFileError, match="another program took over writing"):
            index.add(codes_of(5, seed=1))
        assert (len(other), other.verify()) == (11, [])
        assert np.array_equal(other.codes()[1][4:], codes_of(7))


@pytest.mark.slow
def test_a_reader_beside_a_writer_sees_all_of_an_addition_or_nothing(place, monkeypatch):
    monkeypatch.setattr(writing, "ROWS_PER_REQUEST", 20)
    monkeypatch.setattr(writing, "FEW", 0)
    address, sizes, done = place(), [], threading.Event()
    with create_index(address, 16) as index, open_index(address, read_only=True) as reader:

        def reads():
            while not done.is_set():
                sizes.append(int(reader.search(CODE, k=None, radius=16).hits.sizes[0]))

        thread = threading.Thread(target=reads)
        thread.start()
        try:
            for seed in range(3):
                index.add(codes_of(200, seed))
        finally:
            done.set()
            thread.join()
        assert reader.search(CODE, k=None, radius=16).hits.sizes.tolist() == [600]
    assert set(sizes) <= {0, 200, 400, 600}
    assert sizes == sorted(sizes)


@pytest.mark.slow
def test_items_that_milvus_has_no_room_for_are_refused_and_nothing_is_written(place):
    with create_index(place(), 16) as index:
        for metadata, match in (
            ({"text": "x" * 66_000}, r"metadata\[0\] takes more than Milvus holds of an item \(65,536 bytes"),
            ({"path": "ü" * 33_000}, r"metadata\[0\] takes more"),
            ({"labels": [str(label) for label in range(5_000)]}, "more labels and keys than Milvus holds"),
        ):
            with pytest.raises(InputError, match=match):
                index.add(CODE, metadata=[metadata])
        with pytest.raises(InputError, match=r"ids in Milvus must lie in 0 … 2\*\*63 - 2"):
            index.add(CODE, ids=[2**63 - 1])
        assert len(index) == 0
        index.add(CODE, metadata=[{"text": "x" * 65_000}])
        assert len(index.items([1])[0].metadata["text"]) == 65_000


@pytest.mark.slow
def test_approximate_search_is_asked_for_and_said(place):
    address, codes = place(), codes_of(2_000, density=0.2)
    with create_index(f"{address}&search=ivf&nlist=16&nprobe=2", 16) as index, create_index(None, 16) as embedded:
        for one in (index, embedded):
            one.add(codes)
        index.compact()
        assert index.stats()["search"]["approximate"]
        assert index.stats()["search"]["index"] == "BIN_IVF_FLAT"
        with open_index(address) as exact:
            assert not exact.stats()["search"]["approximate"]
            for asked in ({"k": 40}, {"k": None, "radius": 3}):
                found, expected = exact.search(codes[:20], **asked), embedded.search(codes[:20], **asked)
                assert found.hits.ids.tolist() == expected.hits.ids.tolist()
                near = index.search(codes[:20], **asked).hits
                assert (near.distances <= 16).all()
                assert len(near.ids) <= len(expected.hits.ids)
    with create_index(place(), 16) as index, pytest.raises(InputError, match="no lists to search approximately"):
        open_index(f"{index.address}&search=ivf")


@pytest.mark.slow
def test_collections_that_are_no_index_or_half_of_one_are_told_apart(place, milvus, monkeypatch):
    from pymilvus import MilvusClient

    address = place()
    name = address.partition("index=")[2]
    direct = MilvusClient(f"http://{milvus.host}", dedicated=True)
    direct.create_collection(name, dimension=8)
    for call in (lambda: open_index(address), lambda: create_index(address, 16)):
        with pytest.raises(IndexFileError, match=f"the collection {name} is there and is of no index of nearbit"):
            call()
    direct.drop_collection(name)
    monkeypatch.setattr(opening, "MAKING_SECONDS", 0.0)  # nobody else makes it just now
    with create_index(address, 16, model_id="m1") as index:
        told = index._ledger.read().name_of(name)
        direct.drop_collection(told)
        with pytest.raises(IndexFileError, match="is gone: no collection tells its state"):
            len(index)
    with pytest.raises(IndexFileError, match="half an index"):
        open_index(address)
    with pytest.raises(IndexFileError, match="holds codes of 16 bits, not 24"):
        create_index(address, 24)
    with create_index(address, 16) as index:
        assert index.add(CODE).tolist() == [1]
        direct.drop_collection(name)
        with create_index(address.replace(name, f"{name}b"), 16):
            assert not index.is_in_place()
    direct.close()


@pytest.mark.slow
def test_a_server_that_is_started_again_holds_what_was_acknowledged(place, milvus, monkeypatch):
    monkeypatch.setattr(client, "LOADING_SECONDS", 300.0)
    if not hasattr(milvus, "stop"):
        pytest.skip("the server is of somebody else: it is not stopped")
    address = place()
    with create_index(address, 16) as index:
        index.add(codes_of(100))
        milvus.stop()
        with pytest.raises(IndexFileError, match="cannot be reached"):
            open_index(address)
        milvus.start()
        assert milvus_server.address(milvus, "x").partition("?")[0] == address.partition("?")[0]
        assert index.search(CODE, k=None, radius=16).hits.sizes.tolist() == [100]
        assert index.add(codes_of(3)).tolist() == [101, 102, 103]
        assert index.verify() == []
