"""One writer, many readers: who holds the index is named, a killed holder holds nothing, readers wait for nobody."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import oracles
from nearbit.codes import as_words
from nearbit.errors import IndexFileError
from nearbit.index import create_index, open_index
from nearbit.index.live import manager
from nearbit.index.live.snapshot import build_main
from nearbit.index.storage import writer_lock

CODES = np.random.default_rng(0).integers(0, 256, (60, 8), dtype=np.uint8)

HOLDER = """
import sys, time
from nearbit.index import open_index
with open_index(sys.argv[1]) as index, index.writing():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path):
    with create_index(tmp_path / "a.index", 64) as index:
        index.add(CODES)
    return tmp_path / "a.index"


@pytest.fixture
def holder(path):
    """Another process that holds the index."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_told_who_holds_the_index(path, holder, monkeypatch):
    monkeypatch.setattr("nearbit.index.storage.store.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("nearbit.index.index.BUSY_SECONDS", 0.05)
    facts = json.loads(path.with_name("a.index-writer").read_text())
    assert facts["pid"] == holder.pid
    with open_index(path) as index:
        for write in (lambda: index.add(CODES), lambda: index.remove([1]), index.compact, index.writing().__enter__):
            with pytest.raises(IndexFileError, match=rf"process {holder.pid} on .* since {facts['since'][:10]}"):
                write()
        assert index.search(CODES[:1], k=1).pairs(0) == [(1, 0)]
        holder.stdin.write("\n")
        holder.stdin.flush()
        holder.wait()
        assert not path.with_name("a.index-writer").exists()
        index.add(CODES)
        assert len(index) == 120


def test_a_killed_holder_holds_nothing(path, holder):
    holder.kill()
    holder.wait()
    assert path.with_name("a.index-writer").exists()
    with open_index(path) as index:
        index.add(CODES)
    assert not path.with_name("a.index-writer").exists()


def test_a_lock_file_that_was_taken_away_while_it_was_waited_for_is_not_the_lock(path, monkeypatch):
    """The holder removes its file and lets go between our opening it and our locking it."""
    lock, locked, removed = path.with_name("a.index-writer"), writer_lock.try_lock, []

    def late(file):
        if not removed:
            removed.append(lock.unlink())
        return locked(file)

    monkeypatch.setattr(writer_lock, "try_lock", late)
    with open_index(path) as index, index.writing():
        assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_writers_that_collide_for_a_moment_wait(path, holder, monkeypatch):
    monkeypatch.setattr("nearbit.index.storage.store.BUSY_SECONDS", 120)
    looks = []

    def waits(seconds):
        """The writer has met the lock, and is about to look again."""
        if not looks:
            holder.stdin.write("\n")
            holder.stdin.flush()
        looks.append(time.sleep(seconds))

    monkeypatch.setattr(writer_lock, "time", SimpleNamespace(monotonic=time.monotonic, sleep=waits))
    with open_index(path) as index:
        index.add(CODES)
        assert len(index) == 120
    assert looks


def test_two_handles_of_one_process_exclude_each_other_too(path, monkeypatch):
    monkeypatch.setattr("nearbit.index.storage.store.BUSY_SECONDS", 0.05)
    with open_index(path) as ours, open_index(path) as theirs:
        with ours.writing():
            ours.add(CODES[:1])
            with pytest.raises(IndexFileError, match=f"process {os.getpid()} on"):
                theirs.add(CODES[:1])
            ours.add(CODES[:1])
        theirs.add(CODES[:1])
        assert len(ours) == 63


def test_many_writers_in_turn_lose_nothing(path, monkeypatch):
    monkeypatch.setattr("nearbit.index.storage.store.BUSY_SECONDS", 120)  # a slow disk is no fault of theirs
    problems = []

    def write(number):
        try:
            with open_index(path) as index:
                for step in range(10):
                    index.add(CODES[:1], ids=[1000 + 100 * number + step])
        except Exception as error:  # noqa: BLE001 - a thread's failure is the test's
            problems.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    with open_index(path) as index:
        assert len(index) == 100
        assert index.stats()["revision"] == 42
    assert {file.name for file in path.parent.iterdir()} == {"a.index"}


def test_a_search_does_not_wait_for_a_write_of_the_same_process(path):
    with open_index(path) as index, index._store.write() as connection:
        connection.execute("DELETE FROM items WHERE id = 1")
        found = []
        thread = threading.Thread(target=lambda: found.append(index.search(CODES[:1], k=1).pairs(0)))
        thread.start()
        thread.join(10)
        assert found == [[(1, 0)]]


def test_nothing_goes_on_writing_once_an_index_is_closed(path, monkeypatch):
    monkeypatch.setattr(manager, "FEWEST_PENDING", 5)
    monkeypatch.setattr(manager, "MERGED_AT_ONCE", 0)
    begun = threading.Event()

    def slow_build(*arguments):
        begun.set()
        time.sleep(0.3)
        return build_main(*arguments)

    index = open_index(path)
    index.search(CODES[:1])
    monkeypatch.setattr(manager, "build_main", slow_build)
    index.add(CODES[:10])
    assert begun.wait(10)
    index.close()
    assert [thread for thread in threading.enumerate() if thread.name == "merge"] == []


def test_a_search_does_not_wait_for_a_merge_and_keeps_what_came_meanwhile(path, monkeypatch):
    """The merge stands still until the searches and changes beside it are done."""
    monkeypatch.setattr(manager, "FEWEST_PENDING", 5)
    monkeypatch.setattr(manager, "MERGED_AT_ONCE", 0)
    go_on, begun = threading.Event(), threading.Event()

    def slow_build(*arguments):
        begun.set()
        assert go_on.wait(10)
        return build_main(*arguments)

    items = {n + 1: code for n, code in enumerate(CODES)}
    with open_index(path) as index:
        index.search(CODES[:1])
        monkeypatch.setattr(manager, "build_main", slow_build)
        for n, item_id in enumerate(index.add(CODES[:10]).tolist()):
            items[item_id] = CODES[n]
        assert begun.wait(10)
        index.remove([2, 65])
        del items[2], items[65]
        index.add(CODES[:2], ids=[3, 66], replace=True)
        items[3], items[66] = CODES[0], CODES[1]
        index.add(CODES[:1], ids=[500])
        items[500] = CODES[0]
        merging = index._manager._merging
        for check in range(2):
            results = index.search(CODES[:8], k=5)
            assert [results.pairs(q) for q in range(8)] == [oracles.top_k(code, items, 64, 5) for code in CODES[:8]]
            if check == 0:
                before = index.stats()
                go_on.set()
                merging.join()
        after = index.stats()
        assert index.verify() == []
    assert (before["added_since_merge"], after["added_since_merge"]) == (11, 3)
    assert (before["removed_since_merge"], after["removed_since_merge"]) == (2, 4)


@pytest.fixture
def slow_merge(monkeypatch):
    """Let every merge stand still in its thread; return the event that lets it go on, and the one of its begin."""
    monkeypatch.setattr(manager, "FEWEST_PENDING", 5)
    monkeypatch.setattr(manager, "MERGED_AT_ONCE", 0)
    go_on, begun = threading.Event(), threading.Event()

    def slow_build(*arguments):
        if threading.current_thread().name == "merge":
            begun.set()
            assert go_on.wait(10)
        return build_main(*arguments)

    monkeypatch.setattr(manager, "build_main", slow_build)
    yield go_on, begun
    go_on.set()


def test_labels_that_change_during_a_merge_are_not_lost(path, slow_merge):
    go_on, begun = slow_merge
    with open_index(path) as index:
        index.search(CODES[:1], where={"labels": "wren"})
        index.add(CODES[:10], metadata=[{"labels": ["wren"]}] * 10)
        assert begun.wait(10)
        merging = index._manager._merging
        index.update([65], metadata=[{"labels": ["robin"]}])
        for _ in range(2):
            assert len(index.search(CODES[:1], where={"labels": "wren"}).pairs(0)) == 9
            assert index.search(CODES[4:5], where={"labels": "robin"}).pairs(0) == [(65, 0)]
            go_on.set()
            merging.join()


def test_a_merge_of_a_snapshot_that_was_read_anew_meanwhile_is_dropped(path, slow_merge, monkeypatch):
    go_on, begun = slow_merge
    with open_index(path) as index, open_index(path) as other:
        index.search(CODES[:1])
        index.add(CODES[:10])
        assert begun.wait(10)
        merging = index._manager._merging
        monkeypatch.setattr("nearbit.index.storage.change_log.RUNS_PER_CHANGE", 0)
        other.remove([1, 2, 3, 64])
        for _ in range(2):
            assert [item_id for item_id, _ in index.search(CODES[:1], k=100).pairs(0)].count(61) == 1
            assert index.codes()[0].tolist() == [*range(4, 64), *range(65, 71)]
            go_on.set()
            merging.join()
        assert index.verify() == []


def test_a_reader_keeps_its_view_while_others_write(path):
    with open_index(path, read_only=True) as reader, open_index(path) as writer:
        assert len(reader.search(CODES[:1], k=100).pairs(0)) == 60
        with reader._manager.reading() as (_, snapshot, _):
            writer.remove(np.arange(1, 31))
            assert len(snapshot) == 60
            assert len(snapshot.nearest(as_words(CODES[:1]), k=100, radius=None).ids) == 60
        assert len(reader.search(CODES[:1], k=100).pairs(0)) == 30


def open_below(folder):
    """Return the files below a folder that this process has open, once for each descriptor; threads open others."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # it was closed meanwhile
            found.append(str(descriptor.readlink()))
    return sorted(file for file in found if file.startswith(f"{folder.resolve()}/"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs a list of open files")
def test_the_lock_leaves_nothing_open(path):
    with open_index(path) as index:
        before = open_below(path.parent)
        for _ in range(30):
            index.add(CODES[:1])
        assert open_below(path.parent) == before != []


def test_a_thread_that_writes_several_calls_and_one_that_writes_one_do_not_wait_for_each_other(tmp_path):
    with create_index(tmp_path / "b.index", 8) as index:
        holds = threading.Event()

        def several():
            with index.writing():
                holds.set()
                time.sleep(0.2)
                index.add(np.array([[1]], np.uint8))

        def one():
            holds.wait()
            index.add(np.array([[2]], np.uint8))

        threads = [threading.Thread(target=work, daemon=True) for work in (several, one)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
        assert len(index) == 2


def test_a_merge_begun_while_one_writes_several_calls_does_not_stop_them(tmp_path, monkeypatch):
    monkeypatch.setattr(manager, "CACHED_ITEMS", 10)
    monkeypatch.setattr(manager, "MERGED_AT_ONCE", 5)
    done = threading.Event()

    def work():
        with create_index(tmp_path / "b.index", 8) as index:
            index.add(np.arange(20, dtype=np.uint8)[:, None])
            index.search(np.array([[0]], np.uint8))
            with index.writing():
                for number in range(60):
                    index.add(np.array([[number]], np.uint8))
                    index.search(np.array([[number]], np.uint8))
                index.compact()
            assert len(index) == 80
            done.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(30)
    assert done.is_set()
