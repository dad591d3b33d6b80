"""A snapshot of an index at an address: it comes back as it was, and what is not whole is never taken for one."""

import json
import shutil

import numpy as np
import pytest

from nearbit.errors import DataError, IndexFileError
from nearbit.files.addresses import FilePlace
from nearbit.files.locking import _taken
from nearbit.index import create_index, open_index
from nearbit.index.exchange.snapshot import restore_snapshot, save_snapshot

fsspec = pytest.importorskip("fsspec", reason="addresses need the extra remote")


@pytest.fixture(params=["memory", "folder"])
def address(request, tmp_path):
    yield "memory://bucket/birds" if request.param == "memory" else str(tmp_path / "away" / "birds")
    store = fsspec.filesystem("memory").store
    for name in list(store):
        del store[name]


def filled(path, n=50, seed=0):
    index = create_index(path, 12, model_id="a model")
    codes = np.packbits(np.random.default_rng(seed).random((n, 12)) < 0.5, axis=1)
    index.add(codes, metadata=[{"path": f"{row}.jpg", "labels": ["wren"], "seen": row} for row in range(n)])
    index.set_notes({"model_path": "a.model"})
    return index


def content(index):
    return [(item.id, item.code.tobytes(), item.path, item.labels, item.metadata) for item in index]


def names_at(address):
    return sorted(FilePlace.of(address).files())


def put(address, name, content):
    FilePlace.of(address).child(name).fill(lambda aside: aside.write_bytes(content), over_database=True)


def test_what_goes_out_comes_back(tmp_path, address):
    with filled(tmp_path / "a.index") as index:
        made = save_snapshot(index, address)
        expected = content(index)
        assert names_at(address) == [made["file"], "snapshot.json"]
        assert restore_snapshot(tmp_path / "new" / "b.index", address) == made
    with open_index(tmp_path / "new" / "b.index", model_id="a model") as other:
        assert content(other) == expected
        assert other.notes() == {"model_path": "a.model"}
        other.add(np.zeros((1, 2), np.uint8))
        assert other.verify() == []
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["b.index"]


def test_a_new_snapshot_takes_the_place_of_the_old_one(tmp_path, address):
    with filled(tmp_path / "a.index") as index:
        old = save_snapshot(index, address)
        index.remove([1])
        new = save_snapshot(index, address)
        assert (old["items"], new["items"]) == (50, 49)
        assert names_at(address) == [new["file"], "snapshot.json"]
        assert save_snapshot(index, address)["items"] == 49
    restore_snapshot(tmp_path / "b.index", address)
    with open_index(tmp_path / "b.index") as other:
        assert len(other) == 49


def test_whatever_else_lies_there_stays(tmp_path):
    folder = tmp_path / "birds"
    folder.mkdir()
    with filled(folder / "index-birds.sqlite") as index:
        put(folder, "index-notes.sqlite", b"mine")
        first = save_snapshot(index, folder)
        index.remove([1])
        second = save_snapshot(index, folder)
        assert not (folder / first["file"]).exists()
    assert {"index-birds.sqlite", "index-notes.sqlite", second["file"]} <= set(names_at(folder))
    with open_index(folder / second["file"]) as index:  # somebody works on what is a snapshot
        index.remove([2])
        third = save_snapshot(index, folder)
        expected = content(index)
    with open_index(folder / second["file"]) as index:
        assert content(index) == expected
    assert restore_snapshot(tmp_path / "b.index", folder) == third


@pytest.mark.parametrize("stage", ["aside", "file", "manifest"])
def test_an_upload_that_is_cut_short_leaves_the_old_snapshot(tmp_path, address, monkeypatch, stage):
    with filled(tmp_path / "a.index") as index:
        save_snapshot(index, address)
        expected = content(index)
        index.remove([1])
        fill = FilePlace.fill

        def cut(place, write, **options):
            if stage == "aside":
                raise KeyboardInterrupt("pressed")
            if stage == "manifest" and place.name == "snapshot.json":
                raise KeyboardInterrupt("pressed")
            fill(place, write, **options)
            if stage == "file":
                raise KeyboardInterrupt("pressed")

        monkeypatch.setattr(FilePlace, "fill", cut)
        with pytest.raises(KeyboardInterrupt, match="pressed"):
            save_snapshot(index, address)
        monkeypatch.setattr(FilePlace, "fill", fill)
        restore_snapshot(tmp_path / "b.index", address)
        with open_index(tmp_path / "b.index") as other:
            assert content(other) == expected
        assert save_snapshot(index, address)["items"] == 49
        assert len(names_at(address)) == 2


def test_a_first_upload_that_is_cut_short_is_no_snapshot(tmp_path, address, monkeypatch):
    monkeypatch.setattr("nearbit.index.exchange.snapshot.MANIFEST", "other.json")
    with filled(tmp_path / "a.index") as index:
        save_snapshot(index, address)
    monkeypatch.undo()
    with pytest.raises(DataError, match="there is no whole snapshot at"):
        restore_snapshot(tmp_path / "b.index", address)
    assert not (tmp_path / "b.index").exists()


def test_a_flipped_byte_on_the_way_there_is_noticed(tmp_path, address, monkeypatch):
    fill = FilePlace.fill

    def worse(place, write, **options):
        def flip(aside):
            write(aside)
            whole = bytearray(aside.read_bytes())
            whole[len(whole) // 2] ^= 1
            aside.write_bytes(whole)

        fill(place, flip if place.name.endswith(".sqlite") else write, **options)

    monkeypatch.setattr(FilePlace, "fill", worse)
    with filled(tmp_path / "a.index") as index, pytest.raises(DataError, match="what arrived is not what was sent"):
        save_snapshot(index, address)
    assert "snapshot.json" not in names_at(address)


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: whole[:9000] + b"x" + whole[9001:]])
def test_a_damaged_snapshot_is_refused(tmp_path, address, damage):
    with filled(tmp_path / "a.index") as index:
        made = save_snapshot(index, address)
    file = FilePlace.of(address).child(made["file"])
    put(address, made["file"], damage(file.read(2**30)))
    with pytest.raises(DataError, match=r"is damaged: it is not what snapshot\.json says"):
        restore_snapshot(tmp_path / "b.index", address)
    assert sorted(one.name for one in tmp_path.iterdir() if one.name != "away") == ["a.index"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"format": "other"}, DataError, "describes no snapshot"),
        ({"version": 2}, DataError, "this nearbit reads 1: update it"),
        ({"items": "many"}, DataError, "names no items, or one that cannot be"),
        ({"n_bits": 0}, DataError, "n_bits must be a whole number"),
        ({"file": "../a.index"}, DataError, "which is no file of a snapshot"),
        ({"items": 3}, IndexFileError, "speaks of another index"),
        ({"model_id": "another"}, IndexFileError, "speaks of another index"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path, address, change, error, message):
    with filled(tmp_path / "a.index") as index:
        made = save_snapshot(index, address)
    put(address, "snapshot.json", json.dumps(made | change).encode())
    with pytest.raises(error, match=message):
        restore_snapshot(tmp_path / "b.index", address)
    assert not (tmp_path / "b.index").exists()


def test_a_damaged_index_is_not_sent(tmp_path, address, monkeypatch):
    monkeypatch.setattr("nearbit.index.index.Index.verify", lambda index: ["item 3: it is wrong"])
    with filled(tmp_path / "a.index") as index, pytest.raises(IndexFileError, match="no snapshot was made: item 3"):
        save_snapshot(index, address)
    assert names_at(address) == []


@pytest.mark.parametrize("slow", ["the unchanged index", "the newer index"])
def test_of_two_snapshots_at_once_the_manifest_names_a_file_that_is_there(tmp_path, address, monkeypatch, slow):
    monkeypatch.setattr("nearbit.files.locking.try_lock", lambda _: True)  # as at an object store
    write, came = FilePlace.write, []

    def meanwhile(place, content):
        is_first = not came
        came.append(place)
        if slow == "the unchanged index" and is_first:  # before its file is named again the newer one removes it
            save_snapshot(newer, address)
        write(place, content)
        if slow == "the newer index" and is_first:  # before it removes the file that file is named again
            save_snapshot(index, address)

    with filled(tmp_path / "a.index") as index, filled(tmp_path / "b.index", seed=1) as newer:
        save_snapshot(index, address)
        monkeypatch.setattr(FilePlace, "write", meanwhile)
        save_snapshot(index if slow == "the unchanged index" else newer, address)
    assert len(came) == 2
    restore_snapshot(tmp_path / "c.index", address)


def test_snapshots_into_a_folder_come_one_after_another(tmp_path, monkeypatch):
    held, write = [], FilePlace.write
    lock = tmp_path / "birds" / "snapshot.lock"
    monkeypatch.setattr(FilePlace, "write", lambda *given: held.append(_taken(lock)) or write(*given))
    with filled(tmp_path / "a.index") as index:
        made = save_snapshot(index, tmp_path / "birds")
    assert held == [None]
    assert names_at(tmp_path / "birds") == [made["file"], "snapshot.json"]


def test_nothing_that_stands_is_replaced(tmp_path, address):
    with filled(tmp_path / "a.index") as index:
        save_snapshot(index, address)
    shutil.copy(tmp_path / "a.index", tmp_path / "b.index")
    with pytest.raises(IndexFileError, match="exists already: restore to another name"):
        restore_snapshot(tmp_path / "b.index", address)
