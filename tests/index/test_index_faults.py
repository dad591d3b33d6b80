"""Faults at every step: a kill or an error at each write, sync and rename; a full disk; a folder that is read-only."""

import os
import resource
import signal
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest

from nearbit.errors import IndexFileError
from nearbit.files import writing
from nearbit.index import create_index, open_index
from nearbit.index.live import cache as cache_module
from nearbit.index.live import manager

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

CODES = np.random.default_rng(0).integers(0, 256, (60, 8), dtype=np.uint8)
KILLED = 99


@pytest.fixture(autouse=True)
def _cached_from_few_items_on(monkeypatch):
    monkeypatch.setattr(manager, "CACHED_ITEMS", 10)
    monkeypatch.setattr(manager, "FEWEST_PENDING", 1)


def made(path):
    with create_index(path, 64) as index:
        index.add(CODES[:30])
    return path


def in_child(action):
    """Run an action in a child process; return its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except IndexFileError:
            status = 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Countdown:
    """Lets a number of calls pass and fails from then on: by an error, or by ending the process."""

    def __init__(self, calls, *, kills):
        self.left, self.kills, self.reached = calls, kills, False

    def __call__(self):
        self.left -= 1
        if self.left < 0:
            self.reached = True
            if self.kills:
                os._exit(KILLED)
            raise OSError(5, "Input/output error")


class FailingFile:
    """A file that writes half of what it is given when the countdown ends."""

    def __init__(self, file, countdown):
        self.file, self.countdown = file, countdown

    def write(self, content):
        try:
            self.countdown()
        except OSError:
            self.file.write(bytes(content)[: len(content) // 2])
            raise
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def put_faults(monkeypatch, countdown):
    """Make every write, sync, rename and removal of the cache file count down."""

    def counted(function):
        def call(*arguments, **options):
            countdown()
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(writing.os, "fsync", counted(os.fsync))
    monkeypatch.setattr(writing, "sync_folder", counted(writing.sync_folder))
    monkeypatch.setattr(writing.Path, "replace", counted(writing.Path.replace))
    monkeypatch.setattr(cache_module, "open", lambda *a: FailingFile(open(*a), countdown), raising=False)  # noqa: SIM115


def check(path, n_items):
    with open_index(path, read_only=True) as index:
        assert index.verify() == []
        assert len(index) == n_items
        assert np.array_equal(index.search(CODES[:n_items], k=1).ids[:, 0], np.arange(1, n_items + 1))


def compact(path):
    with open_index(path) as index:
        index.compact()


@pytest.mark.parametrize("kills", [True, False])
def test_a_fault_at_any_step_of_cache_writing_changes_no_result(tmp_path, monkeypatch, kills):
    path = made(tmp_path / "a.index")
    with open_index(path, cache=False) as index:
        index.add(CODES[30:])
    for calls in range(200):
        countdown = Countdown(calls, kills=kills)
        with monkeypatch.context() as faults:
            put_faults(faults, countdown)
            status = in_child(lambda: compact(path)) if kills else compact(path)
        check(path, 60)
        if status == 0 or (not kills and not countdown.reached):
            break
        assert status == (KILLED if kills else None)
    assert calls >= 10
    with open_index(path) as index:
        index.remove([60])
        index.compact()
    assert {file.name for file in tmp_path.iterdir()} == {"a.index", "a.index-search"}


@pytest.mark.parametrize("stride", [97, pytest.param(7, marks=pytest.mark.slow)])
def test_a_kill_at_any_step_of_a_transaction_leaves_all_or_nothing(tmp_path, stride):
    """The progress handler of SQLite ends the process after every so many of its instructions."""
    path = made(tmp_path / "a.index")
    outcomes = set()

    def change(steps):
        index = open_index(path)
        index.search(CODES[:1])
        passed = iter(range(steps))
        die = lambda: None if next(passed, None) is not None else os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        index._store._writer.set_progress_handler(die, 1)
        index.add(np.concatenate([CODES[:3], CODES[:3]]), ids=[1, 2, 3, 101, 102, 103], replace=True)
        index.remove([1, 2, 3, 101, 102, 103])
        index.add(CODES[:3], ids=[1, 2, 3])

    steps, status = 0, -signal.SIGKILL
    while status == -signal.SIGKILL:
        steps += stride
        status = in_child(lambda: change(steps))  # noqa: B023 - the child runs at once
        with open_index(path, read_only=True) as index:
            assert index.verify() == []
            ids = set(index.codes()[0].tolist())
        assert ids >= set(range(4, 31))
        changed = ids & {1, 2, 3, 101, 102, 103}
        assert changed in ({1, 2, 3}, {1, 2, 3, 101, 102, 103}, set())
        outcomes.add(len(changed))
        with open_index(path) as index:
            index.add(CODES[:3], ids=[1, 2, 3], replace=True)
            index.remove([101, 102, 103], missing_ok=True)
    assert status == 0
    assert outcomes == {0, 3, 6}


@pytest.mark.parametrize("room", [0, 4096, 20_000, 100_000, 400_000])
def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path, room):
    path = made(tmp_path / "a.index")
    acknowledged = tmp_path / "acknowledged"
    acknowledged.write_text("0")

    def fill():
        size = path.stat().st_size
        with open_index(path) as index, open(acknowledged, "r+") as told:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))
            for _ in range(400):
                index.add(CODES, metadata=[{"path": "p" * 100}] * 60)
                told.seek(0)
                told.write(str(len(index)))
                told.flush()
        raise AssertionError("the disk was never full")

    assert in_child(fill) == 2
    with open_index(path) as index:
        assert index.verify() == []
        assert len(index) >= int(acknowledged.read_text())
        assert len(index) % 60 == 30
        index.add(CODES)
        assert index.search(CODES[:1], k=1).pairs(0) == [(1, 0)]


def test_a_full_disk_while_the_cache_is_written_is_no_error(tmp_path):
    path = made(tmp_path / "a.index")
    with open_index(path, cache=False) as index:
        index.add(CODES[30:])
    before = path.with_name("a.index-search").read_bytes()

    def little_room():
        with open_index(path) as index:
            index.search(CODES[:1])
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, resource.RLIM_INFINITY))
            index._manager.merge()
            assert not index._manager.save()
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    assert in_child(little_room) == 0
    check(path, 60)


def without_rights():
    """Become nobody where this is root, whom no permission stops."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


@pytest.mark.parametrize("killed", [False, True])
def test_a_folder_that_cannot_be_written_is_searched_all_the_same(tmp_path, killed):
    folder = tmp_path / "sealed"
    path = made(folder / "a.index")
    if killed:
        path.with_name("a.index-search").unlink()

    def search():
        without_rights()
        with open_index(path, read_only=True) as index:
            assert index.search(CODES[:30], k=1).ids[:, 0].tolist() == list(range(1, 31))
            assert index.verify() == []
        try:
            with open_index(path) as index:
                index.add(CODES)
        except IndexFileError as error:
            assert "cannot be" in str(error)  # noqa: PT017 - in a child process
        else:
            raise AssertionError("it was written to")

    before = sorted(file.name for file in folder.iterdir())
    for place in (tmp_path, *tmp_path.parents):
        if place == Path(tempfile.gettempdir()):
            break
        place.chmod(0o755)
    path.chmod(0o444)
    folder.chmod(0o555)
    try:
        assert in_child(search) == 0
    finally:
        folder.chmod(0o755)
    assert sorted(file.name for file in folder.iterdir()) == before


def test_a_sealed_index_that_is_written_to_all_the_same_is_noticed(tmp_path, monkeypatch):
    path = made(tmp_path / "a.index")
    monkeypatch.setattr("nearbit.index.storage.store.os.access", lambda *_: False)
    with open_index(path, read_only=True) as sealed, open_index(path) as writer:
        assert len(sealed) == 30
        writer.add(CODES[:1])
        with pytest.raises(IndexFileError, match="was changed while it was read in a folder that cannot be written"):
            sealed.search(CODES[:1])


def test_a_file_of_format_1_is_read_as_it_is_and_upgraded_by_the_first_write(tmp_path):
    path = tmp_path / "old.index"
    connection = sqlite3.connect(path)
    connection.executescript("""
        PRAGMA journal_mode = WAL;
        PRAGMA application_id = 0x6E626974;
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE items (id INTEGER PRIMARY KEY, code BLOB NOT NULL, path TEXT, labels TEXT NOT NULL,
                            metadata TEXT NOT NULL, digest TEXT);
        INSERT INTO meta VALUES ('format_version', '1'), ('n_bits', '64'), ('last_id', '60'), ('created', 'then');
    """)
    rows = [(n + 1, code.tobytes(), f"{n}.jpg", '["wren"]', "{}", None) for n, code in enumerate(CODES)]
    connection.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    with open_index(path, read_only=True) as reader:
        check(path, 60)
        assert (reader.stats()["format_version"], len(reader)) == (1, 60)
        assert reader.search(CODES[:1], k=1, where={"labels": "wren"}).pairs(0) == [(1, 0)]
        connection.execute("DELETE FROM items WHERE id = 1")
        connection.commit()
        connection.close()
        assert reader.search(CODES[:1], k=1, where={"labels": "wren"}).pairs(0) != [(1, 0)]
        assert len(reader) == 59
        with open_index(path) as writer:
            assert not path.with_name("old.index-search").exists()
            assert writer.add(CODES[:1]).tolist() == [61]
            assert writer.stats()["format_version"] == 3
            assert reader.search(CODES[:1], k=1).pairs(0) == [(61, 0)]
            writer.compact()
        assert path.with_name("old.index-search").exists()
        assert reader.search(CODES[1:2], k=1).pairs(0) == [(2, 0)]
    with open_index(path) as index:
        assert index.verify() == []
        assert (len(index), index.stats()["format_version"]) == (60, 3)
