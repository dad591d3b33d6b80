"""The cache file: used when it is exactly right, never trusted otherwise, never needed."""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

import oracles
from nearbit.index import create_index, open_index
from nearbit.index.live import cache as cache_module
from nearbit.index.live import manager
from nearbit.index.storage import loading
from nearbit.index.storage.rows import item_sum

N_BITS = 12
CODES = np.packbits(np.random.default_rng(0).random((40, N_BITS)) < 0.4, axis=1)
QUERIES = np.packbits(np.random.default_rng(1).random((3, N_BITS)) < 0.4, axis=1)


@pytest.fixture(autouse=True)
def _cached_from_few_items_on(monkeypatch):
    monkeypatch.setattr(manager, "CACHED_ITEMS", 10)


@pytest.fixture
def path(tmp_path):
    """An index of 40 items of three label sets, closed, with its cache file."""
    with create_index(tmp_path / "a.index", N_BITS) as index:
        index.add(CODES, metadata=[{"labels": ["ab"[n % 2]] * (n % 3 > 0)} for n in range(40)])
    assert (tmp_path / "a.index-search").exists()
    return tmp_path / "a.index"


def items_of(path):
    with closing(sqlite3.connect(path)) as connection:
        return {row[0]: np.frombuffer(row[1], np.uint8) for row in connection.execute("SELECT id, code FROM items")}


def assert_right(index, path):
    items = items_of(path)
    results = index.search(QUERIES, k=7)
    assert [results.pairs(q) for q in range(3)] == [oracles.top_k(query, items, N_BITS, 7) for query in QUERIES]


def count_full_reads(monkeypatch):
    """Return a list that grows by one whenever all rows are read."""
    reads, load_all = [], manager.load_all

    def counted(*arguments):
        reads.append(1)
        return load_all(*arguments)

    monkeypatch.setattr(manager, "load_all", counted)
    return reads


def test_a_reopened_index_reads_no_rows(path, monkeypatch):
    reads = count_full_reads(monkeypatch)
    for read_only in (False, True):
        with open_index(path, read_only=read_only) as index:
            assert_right(index, path)
            assert index.search(QUERIES[:1], where={"labels": "b"}).ids[0, 0] > 0
    assert reads == []
    with open_index(path, cache=False) as index:
        assert_right(index, path)
    assert reads == [1]


def test_what_changed_since_is_read_alone(path, monkeypatch):
    reads = count_full_reads(monkeypatch)
    with open_index(path) as writer:
        writer.add(CODES[:3], ids=[7, 70, 71], replace=True, metadata=[{"labels": ["c"]}] * 3)
        writer.remove([1, 2, 30])
        writer.update([4], metadata=[{"labels": ["c"]}])
    dirty = []
    load_runs = loading.load_runs

    def seen(connection, n_bits, labels, runs):
        dirty.append(runs.tolist())
        return load_runs(connection, n_bits, labels, runs)

    monkeypatch.setattr(manager, "load_runs", seen)
    with open_index(path) as index:
        assert_right(index, path)
        found = index.search(QUERIES[:1], k=9, where={"labels": "c"}).pairs(0)
        assert sorted(item_id for item_id, _ in found) == [4, 7, 70, 71]
        assert len(index) == 39
    assert dirty == [[[1, 2], [4, 4], [7, 7], [30, 30], [70, 71]]]
    assert reads == []


def test_an_open_reader_reads_only_what_another_process_changed(path, monkeypatch):
    with open_index(path, cache=False) as reader, open_index(path) as writer:
        assert_right(reader, path)
        reads = count_full_reads(monkeypatch)
        for step in range(3):
            writer.add(CODES[:5])
            writer.remove([step + 1])
            assert_right(reader, path)
            assert_right(writer, path)
    assert reads == []


def test_a_large_change_begins_the_log_anew(path, monkeypatch):
    monkeypatch.setattr("nearbit.index.storage.change_log.RUNS_PER_CHANGE", 3)
    with open_index(path) as reader, open_index(path) as writer:
        assert_right(reader, path)
        writer.remove(range(2, 40, 5))
        reads = count_full_reads(monkeypatch)
        assert_right(reader, path)
        assert reads == [1]


def test_close_writes_it_again_only_where_much_changed(path, monkeypatch):
    monkeypatch.setattr(manager, "FEWEST_PENDING", 4)
    cache = path.with_name("a.index-search")
    before = cache.read_bytes()
    with open_index(path) as index:
        index.add(CODES[:3])
    assert cache.read_bytes() == before
    with open_index(path) as index:
        index.add(CODES[:3])
    assert cache.read_bytes() != before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM changes").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM revisions").fetchone() == (1,)


@pytest.mark.parametrize("option", ["read_only", "no cache", "failed"])
def test_nothing_is_written_where_it_should_not_be(path, option):
    cache = path.with_name("a.index-search")
    cache.unlink()
    if option == "failed":
        with pytest.raises(RuntimeError, match="of the user"), open_index(path) as index:  # noqa: PT012 - it leaves it
            index.add(CODES[:30])
            raise RuntimeError("of the user")
    else:
        with open_index(path, read_only=option == "read_only", cache=option != "no cache") as index:
            assert_right(index, path)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_changes_nothing(path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "write_whole", full)
    with open_index(path) as index:
        index.add(CODES)
        index.compact()
        assert_right(index, path)
    with open_index(path) as index:
        assert_right(index, path)
        assert len(index) == 80


def loaded(path, content):
    """Return what a cache file of this content is worth to the index."""
    path.with_name("a.index-search").write_bytes(content)
    with closing(sqlite3.connect(path)) as connection:
        index_id = connection.execute("SELECT value FROM meta WHERE key = 'index_id'").fetchone()[0]
    return cache_module.SearchCache(path, index_id, N_BITS).load()


def flips_that_pass(path, places):
    """Return the places at which a flipped byte of the cache file goes unnoticed."""
    cache = path.with_name("a.index-search")
    whole = cache.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        index_id = connection.execute("SELECT value FROM meta WHERE key = 'index_id'").fetchone()[0]
    ours = cache_module.SearchCache(path, index_id, N_BITS)
    generator = np.random.default_rng(0)
    passed = []
    with open(cache, "r+b", buffering=0) as file:
        for place in places(len(whole)):
            file.seek(place)
            file.write(bytes([whole[place] ^ int(generator.integers(1, 256))]))
            if ours.load() is not None:
                passed.append(place)
            file.seek(place)
            file.write(whole[place : place + 1])
    assert ours.load() is not None
    return passed


def test_a_flipped_byte_is_found(path):
    assert flips_that_pass(path, lambda size: [*range(0, 4096, 7), *range(4096, size, 67), size - 1]) == []


@pytest.mark.slow
def test_every_flipped_byte_is_found(path):
    assert flips_that_pass(path, range) == []


def test_a_file_cut_at_any_length_is_found(path):
    whole = path.with_name("a.index-search").read_bytes()
    lengths = {*range(100), *range(100, 4200, 50), *range(0, len(whole), 511), len(whole) - 1}
    assert [length for length in sorted(lengths) if loaded(path, whole[:length]) is not None] == []
    assert loaded(path, whole + b"\0") is None
    assert loaded(path, whole + whole) is None


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "newer", "folder", "unreadable"])
def test_a_useless_cache_is_made_again_without_a_word(path, damage, monkeypatch):
    cache = path.with_name("a.index-search")
    whole = cache.read_bytes()
    if damage == "flipped":
        cache.write_bytes(whole[:-5000] + bytes([whole[-5000] ^ 1]) + whole[-4999:])
    elif damage == "cut":
        cache.write_bytes(whole[: len(whole) // 2])
    elif damage == "empty":
        cache.write_bytes(b"")
    elif damage == "newer":
        monkeypatch.setattr(cache_module, "FORMAT_VERSION", 2)
        cache.unlink()
        with open_index(path) as index:
            index.compact()
        monkeypatch.undo()
        monkeypatch.setattr(manager, "CACHED_ITEMS", 10)
    elif damage == "folder":
        cache.unlink()
        cache.mkdir()
    else:

        def failing(*_, **__):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr("mmap.mmap", failing)
    reads = count_full_reads(monkeypatch)
    with open_index(path) as index:
        assert_right(index, path)
        assert index.verify() == []
    assert len(reads) == 1
    if damage != "unreadable":
        with open_index(path) as index:
            assert_right(index, path)
        assert len(reads) == 1 + (damage == "folder")


def test_a_cache_of_another_index_is_not_taken(path, tmp_path):
    with create_index(tmp_path / "b.index", N_BITS) as other:
        other.add(CODES[::-1].copy())
    shutil.copy(path.with_name("a.index-search"), tmp_path / "b.index-search")
    with open_index(tmp_path / "b.index") as other:
        assert_right(other, tmp_path / "b.index")
        assert other.verify() == []


def test_a_cache_is_known_by_the_index_and_the_length_it_belongs_to(path):
    with closing(sqlite3.connect(path)) as connection:
        index_id = connection.execute("SELECT value FROM meta WHERE key = 'index_id'").fetchone()[0]
    assert cache_module.SearchCache(path, index_id, N_BITS).load() is not None
    for other in (cache_module.SearchCache(path, "0" * 32, N_BITS), cache_module.SearchCache(path, index_id, 11)):
        assert other.load() is None
        assert other.state() is None


def test_a_restored_copy_that_went_another_way_does_not_take_the_cache(path, tmp_path, monkeypatch):
    """Both go through revisions of the same numbers; only their tokens differ."""
    monkeypatch.setattr(manager, "FEWEST_PENDING", 1)
    shutil.copy(path, tmp_path / "old")
    with open_index(path) as index:
        index.add(CODES[:5])
        index.compact()
    shutil.copy(tmp_path / "old", path)
    with open_index(path, cache=False) as index:
        index.add(CODES[5:10])
    with open_index(path) as index:
        assert_right(index, path)
        assert index.verify() == []


def test_a_copy_takes_its_cache_along(path, tmp_path, monkeypatch):
    for name in ("a.index", "a.index-search"):
        shutil.copy(tmp_path / name, tmp_path / name.replace("a", "b", 1))
    reads = count_full_reads(monkeypatch)
    with open_index(tmp_path / "b.index") as index:
        assert_right(index, path)
    assert reads == []


def test_verify_compares_the_search_with_the_file(path):
    with open_index(path) as index:
        assert index.verify() == []
        with index._store.write() as connection:
            row = connection.execute(
                "SELECT id, x'0000', path, labels, metadata, digest FROM items WHERE id = 3"
            ).fetchone()
            connection.execute("UPDATE items SET code = x'0000', checksum = ? WHERE id = 3", (item_sum(row),))
        assert index.verify() == ["the search structure in memory differs from the file; open the index again"]


def test_stats_say_what_waits_for_a_merge(path):
    with open_index(path) as index:
        index.add(CODES[:4])
        index.remove([1, 2])
        stats = index.stats()
        assert (stats["items"], stats["added_since_merge"], stats["removed_since_merge"]) == (42, 4, 2)
        assert stats["cache_bytes"] == path.with_name("a.index-search").stat().st_size
        index.compact()
        stats = index.stats()
        assert (stats["items"], stats["added_since_merge"], stats["removed_since_merge"]) == (42, 0, 0)


def test_compact_with_vacuum_frees_the_room_of_removed_items(tmp_path):
    with create_index(tmp_path / "a.index", N_BITS) as index:
        index.add(np.repeat(CODES, 500, axis=0), metadata=[{"path": "x" * 50}] * 20_000)
        index.remove(np.arange(1, 19_900))
        index.compact()
        before = index.stats()["file_bytes"]
        index.compact(vacuum=True)
    with open_index(tmp_path / "a.index") as index:
        assert index.stats()["file_bytes"] < before / 10
        assert len(index) == 101
        assert index.verify() == []
