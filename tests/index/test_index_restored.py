"""An older copy of an index, put over the open file as `cp` of a backup does: it is what the index holds then."""

import shutil
import threading

import numpy as np
import pytest

from nearbit.errors import IndexFileError
from nearbit.index import create_index, open_index
from nearbit.index.storage import store

CODE = np.array([[7]], np.uint8)
OLD = {"labels": ["old"]}


@pytest.fixture
def live(tmp_path):
    with create_index(tmp_path / "live.index", 8) as index:
        index.add(np.arange(3, dtype=np.uint8)[:, None], metadata=[OLD] * 3)
    return tmp_path / "live.index"


@pytest.fixture
def backup(live, tmp_path):
    return shutil.copyfile(live, tmp_path / "backup")


def at_most(calls, function):
    """Return a function that fails when it is called more often: what looks again would do so for ever."""
    left = iter(range(calls))

    def called():
        assert next(left, None) is not None
        return function()

    return called


def found(index):
    return sorted(item_id for item_id, _ in index.search(CODE, k=9).pairs(0))


@pytest.mark.parametrize("ask", [lambda index: index.labels()["old"], lambda index: len(index.codes()[0]), len])
def test_searches_and_counts_are_those_of_the_copy(live, backup, monkeypatch, ask):
    with open_index(live) as index:
        index.add(np.repeat(CODE, 2, axis=0), metadata=[OLD] * 2)
        index.remove([1])
        assert (found(index), ask(index)) == ([2, 3, 4, 5], 4)
        shutil.copyfile(backup, live)
        monkeypatch.setattr(index._store, "read", at_most(6, index._store.read))
        assert ask(index) == 3
        assert found(index) == [1, 2, 3]
        monkeypatch.undo()
        index.add(CODE, metadata=[OLD])
        assert (found(index), ask(index)) == ([1, 2, 3, 4], 4)
        assert index.verify() == []
    with open_index(live) as index:
        assert (found(index), index.verify()) == ([1, 2, 3, 4], [])


def test_the_copy_is_verified_as_it_is(live, backup):
    with open_index(live) as index:
        index.add(CODE)
        assert found(index) == [1, 2, 3, 4]
        shutil.copyfile(backup, live)
        assert index.verify() == []


def test_a_writer_that_is_faster_than_a_search_is_not_taken_for_a_copy(live, monkeypatch):
    """The search begins to read before the write, and comes to look at the snapshot after it."""
    with open_index(live) as index:
        assert found(index) == [1, 2, 3]
        usual, begun = index._manager.latest, []

        def late():
            begun.append(len(begun))
            if len(begun) == 1:  # in the reading transaction, which has seen its state
                index.add(CODE)
            return usual()

        monkeypatch.setattr(index._manager, "latest", late)
        assert found(index) == [1, 2, 3, 4]
        assert index._manager._snapshot.main.state.revision == 2
        assert len(begun) > 1


def test_a_write_while_the_connections_are_made_anew_waits_for_them(live, backup, monkeypatch):
    """The write has come as far as the lock of writers when a search finds that the file was overwritten."""
    came, told = threading.Event(), []
    with open_index(live) as index:
        lock = index._store.writer_lock
        held, usual = lock.held, store.check_header

        def coming(seconds):
            came.set()
            return held(seconds)

        def write():
            try:
                index.add(CODE, metadata=[OLD])
            except IndexFileError as error:
                told.append(error)
            finally:
                came.set()

        def between(path, file):
            if not came.is_set():
                writer.start()
                came.wait()
            usual(path, file)

        writer = threading.Thread(target=write)
        index.add(CODE, metadata=[OLD])
        assert found(index) == [1, 2, 3, 4]
        shutil.copyfile(backup, live)
        monkeypatch.setattr(lock, "held", coming)
        monkeypatch.setattr(store, "check_header", between)
        assert len(index.labels()) == 1
        writer.join()
        assert (told, found(index)) == ([], [1, 2, 3, 4])
