"""Index files: making, opening, refusing what is not ours, several connections, a held lock."""

import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from nearbit.errors import IndexFileError, InputError
from nearbit.index import create_index, open_index
from nearbit.index.homes import exists

CODES = np.random.default_rng(0).integers(0, 256, (300, 8), dtype=np.uint8)


def made(path, **options):
    with create_index(path, 64, **options) as index:
        index.add(CODES, metadata=[{"path": str(position) * 20} for position in range(len(CODES))])
    return path


def sqlite(path, *statements):
    connection = sqlite3.connect(path)
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


def test_reopening_finds_everything(tmp_path):
    path = made(tmp_path / "new folder" / "a b?#%ü.index", model_id="m1")
    for read_only in (False, True):
        with open_index(str(path), model_id="m1", read_only=read_only) as index:
            assert (index.path, index.n_bits, index.model_id, len(index)) == (path, 64, "m1", 300)
            assert np.array_equal(index.codes()[1], CODES)
            assert index.search(CODES[7:8], k=1).pairs(0) == [(8, 0)]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_index_is_one_file_of_its_own_kind(tmp_path):
    path = made(tmp_path / "a.index")
    header = path.read_bytes()[:100]
    assert header[:15] == b"SQLite format 3"
    assert header[68:72] == b"nbit"


def test_opening_never_makes_a_file(tmp_path):
    for read_only in (False, True):
        with pytest.raises(IndexFileError, match="does not exist; name an index"):
            open_index(tmp_path / "none.index", read_only=read_only)
    with pytest.raises(IndexFileError, match="is a folder"):
        open_index(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_making_refuses_what_is_there(tmp_path):
    path = made(tmp_path / "a.index", model_id="m1")
    with pytest.raises(IndexFileError, match="exists already"):
        create_index(path, 64)
    with create_index(path, 64, model_id="m1", exist_ok=True) as index:
        assert len(index) == 300
    with pytest.raises(IndexFileError, match="holds codes of 64 bits, not 32"):
        create_index(path, 32, exist_ok=True)
    with pytest.raises(IndexFileError, match="records the model 'm1', not 'm2'"):
        create_index(path, 64, model_id="m2", exist_ok=True)
    with pytest.raises(InputError, match="n_bits must be a whole number"):
        create_index(tmp_path / "b.index", 0)
    assert not (tmp_path / "b.index").exists()


@pytest.mark.parametrize("wal", [False, True])
def test_making_completes_a_creation_that_was_cut_short(tmp_path, wal):
    path = tmp_path / "a.index"
    path.touch()
    if wal:
        sqlite(path, "PRAGMA journal_mode = WAL")
    with pytest.raises(IndexFileError, match="is empty, not an index"):
        open_index(path)
    assert not exists(path), "nothing but a blank file"
    made(path)
    assert exists(path)
    with open_index(path) as index:
        assert len(index) == 300


def test_a_model_of_other_codes_is_refused(tmp_path):
    path = made(tmp_path / "a.index", model_id="m1")
    with pytest.raises(IndexFileError, match="records the model 'm1', not 'm2': codes of different models"):
        open_index(path, model_id="m2")
    with pytest.raises(IndexFileError, match="records no model, not 'm2'"):
        open_index(made(tmp_path / "b.index"), model_id="m2")


def test_foreign_files_are_refused_and_left_alone(tmp_path):
    text, database = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("x")
    sqlite(database, "CREATE TABLE t (a)")
    before = text.read_bytes(), database.read_bytes()
    with pytest.raises(IndexFileError, match=r"notes\.txt is not an index"):
        open_index(text)
    with pytest.raises(IndexFileError, match="SQLite file of another program"):
        open_index(database)
    with pytest.raises(IndexFileError, match="is not an index"):
        create_index(text, 64, exist_ok=True)
    with pytest.raises(IndexFileError, match="SQLite file of another program"):
        create_index(database, 64, exist_ok=True)
    assert (text.read_bytes(), database.read_bytes()) == before


def test_a_newer_format_is_refused(tmp_path):
    path = made(tmp_path / "a.index")
    sqlite(path, "UPDATE meta SET value = '5' WHERE key = 'format_version'")
    with pytest.raises(
        IndexFileError, match="index format 5, made by a newer nearbit; this one reads up to 4: upgrade"
    ):
        open_index(path)


@pytest.mark.parametrize("key", ["format_version", "n_bits", "last_id", "index_id"])
def test_incomplete_facts_are_refused(tmp_path, key):
    path = made(tmp_path / "a.index")
    sqlite(path, f"DELETE FROM meta WHERE key = '{key}'")
    with pytest.raises(IndexFileError, match="recorded facts are incomplete"):
        open_index(path)


def test_a_file_truncated_anywhere_is_refused(tmp_path):
    whole = made(tmp_path / "a.index").read_bytes()
    cut = tmp_path / "cut.index"
    for length in (
        0,
        1,
        15,
        16,
        60,
        99,
        100,
        1000,
        4095,
        4096,
        4097,
        8192,
        len(whole) // 2,
        len(whole) - 4096,
        len(whole) - 1,
    ):
        cut.write_bytes(whole[:length])
        with pytest.raises(IndexFileError, match=r"cut\.index"):
            open_index(cut)


def test_read_only_refuses_writing(tmp_path):
    with open_index(made(tmp_path / "a.index"), read_only=True) as index:
        with pytest.raises(IndexFileError, match="opened read-only"):
            index.add(CODES[:1])
        with pytest.raises(IndexFileError, match="opened read-only"):
            index.remove([1])
        assert len(index) == 300


def test_a_closed_index_says_so(tmp_path):
    index = create_index(tmp_path / "a.index", 64)
    index.close()
    index.close()
    for call in (lambda: index.search(CODES[:1]), lambda: index.add(CODES[:1]), lambda: len(index), index.stats):
        with pytest.raises(IndexFileError, match="is closed"):
            call()


def test_changes_of_another_connection_are_seen(tmp_path):
    path = made(tmp_path / "a.index")
    with open_index(path) as ours, open_index(path) as theirs:
        assert ours.search(CODES[:1], k=1).pairs(0) == [(1, 0)]
        theirs.remove([1])
        assert ours.search(CODES[:1], k=1).pairs(0) != [(1, 0)]
        assert len(ours) == 299
        theirs.add(CODES[:1])
        ours.add(CODES[:1])
        assert ours.search(CODES[:1], k=3).pairs(0)[:2] == [(301, 0), (302, 0)]
        assert theirs.search(CODES[:1], k=3).pairs(0)[:2] == [(301, 0), (302, 0)]


def test_a_second_writer_is_told_who_to_wait_for(tmp_path, monkeypatch):
    monkeypatch.setattr("nearbit.index.storage.store.BUSY_SECONDS", 0.05)
    path = made(tmp_path / "a.index")
    with open_index(path) as ours, open_index(path) as theirs:
        with ours._store.write():
            with pytest.raises(IndexFileError, match=rf"process {os.getpid()} on .* is writing to it since 20\d\d-"):
                theirs.add(CODES[:1])
            assert theirs.search(CODES[:1], k=1).pairs(0) == [(1, 0)]
        theirs.add(CODES[:1])
        assert len(ours) == 301


def test_an_error_inside_a_write_undoes_it(tmp_path, monkeypatch):
    with open_index(made(tmp_path / "a.index")) as index:
        index.search(CODES[:1])

        def stop(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("nearbit.index.storage.statements.last_id", stop)
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            index.add(CODES[:5], ids=range(1000, 1005))
        monkeypatch.undo()
        assert len(index) == 300
        assert index.search(CODES[:1], k=2).pairs(0)[0] == (1, 0)
        assert index.add(CODES[:1]).tolist() == [301]


def test_an_interruption_after_a_durable_write_is_caught_up(tmp_path, monkeypatch):
    with open_index(made(tmp_path / "a.index")) as index:
        index.search(CODES[:1])

        def stop(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as broken:
            broken.setattr("nearbit.index.live.snapshot.Snapshot.changed", stop)
            with pytest.raises(KeyboardInterrupt, match=r"^$"):
                index.add(CODES[:1])
        assert index.search(CODES[:1], k=2).pairs(0) == [(1, 0), (301, 0)]
        with monkeypatch.context() as broken:
            broken.setattr("nearbit.index.live.snapshot.Snapshot.changed", stop)
            with pytest.raises(KeyboardInterrupt, match=r"^$"):
                index.remove([1])
        assert index.search(CODES[:1], k=1).pairs(0) == [(301, 0)]


def test_an_unwritable_place_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(IndexFileError, match="cannot be made"):
        create_index(tmp_path / "file" / "a.index", 64)
    with pytest.raises(IndexFileError, match="exists already"):
        create_index(tmp_path, 64)


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path):
    with open_index(made(tmp_path / "a.index")) as index:
        with index._store.read() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        index._store._writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(IndexFileError, match="the disk is full; nothing was written"):
            index.add(np.repeat(CODES, 20, axis=0))
        assert len(index) == 300
        assert index.verify() == []


def test_the_index_needs_no_torch():
    script = "import sys, nearbit.index, nearbit.metrics; sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
