"""Images that moved keep their items, wherever they lay; copies are new ones; what is gone is told and removed."""

import hashlib
import os
import shutil

import numpy as np
import pytest

from model_makers import random_model
from nearbit import indexing_places
from nearbit.datasets import load_images
from nearbit.errors import DataError, InputError
from nearbit.index import create_index
from nearbit.indexing import index_dataset
from nearbit.indexing_places import look_for_files, names_a_file, remove_missing, sample_files
from nearbit.reencoding import reencode
from tiny_data import tiny_dataset, write_folder


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture
def index(tmp_path, model):
    with create_index(tmp_path / "a.index", 12, model_id=model.model_id) as opened:
        yield opened


@pytest.fixture
def put(index, model):
    return lambda root, **options: index_dataset(index, model, load_images(root), device="cpu", **options)


def ids(index):
    return {item.path: item.id for item in index}


def done(result):
    return result.added, result.moved, result.removed, result.absent


def test_a_folder_that_was_renamed_keeps_its_items(index, put, tmp_path):
    photos = write_folder(tmp_path / "photos", per_class=4)
    put(photos)
    before = ids(index)
    index.update([1], metadata=[{"path": "photos/a/000.png", "labels": ["a"], "digest": digest(index, 1), "mine": 7}])
    photos.rename(tmp_path / "pictures")
    (tmp_path / "pictures" / "a").rename(tmp_path / "pictures" / "wren")
    assert done(put(tmp_path / "pictures", sync=True)) == (0, 12, 0, 0)
    moved = {path.replace("photos/a/", "photos/wren/").replace("photos", "pictures"): n for path, n in before.items()}
    assert ids(index) == moved
    (first,) = index.items([1])
    assert (first.path, first.labels, first.metadata) == ("pictures/wren/000.png", ("wren",), {"mine": 7})
    assert look_for_files(index).ids == ()


def digest(index, item_id):
    return index.items([item_id])[0].digest


def captioned(index):
    """Give each item a caption, and return captions by content."""
    items = list(index)
    about = [{"path": one.path, "labels": list(one.labels), "digest": one.digest, "of": one.digest} for one in items]
    index.update([one.id for one in items], metadata=about)
    return {one.id: one.digest for one in items}


def check_pictures(index, folder):
    """Hold every item against the file under its path: its digest, its caption, its code."""
    for item in index:
        content = hashlib.sha256((folder / item.path).read_bytes()).hexdigest()
        assert item.digest == content, item.path
        assert item.metadata.get("of", content) == content, item.path


def test_an_image_that_takes_the_place_of_another_brings_its_item(index, put, tmp_path):
    photos = write_folder(tmp_path / "photos", per_class=4) / "a"
    put(tmp_path / "photos")
    before = captioned(index)
    (photos / "000.png").unlink()
    for number in range(1, 4):
        (photos / f"{number:03d}.png").rename(photos / f"{number - 1:03d}.png")
    result = put(tmp_path / "photos", sync=True)
    assert (result.replaced, *done(result)) == (0, 0, 3, 1, 0)
    assert {item.id: item.digest for item in index} == {n: one for n, one in before.items() if n != 1}
    check_pictures(index, tmp_path)
    result = put(tmp_path / "photos", sync=True)
    assert (result.replaced, *done(result)) == (0, 0, 0, 0, 0)


def test_images_that_change_places_change_their_items(index, put, tmp_path):
    photos = write_folder(tmp_path / "photos", per_class=4)
    put(photos)
    before = captioned(index)
    one, two, aside = photos / "a" / "000.png", photos / "b" / "004.png", tmp_path / "aside.png"
    one.rename(aside)
    two.rename(one)
    aside.rename(two)
    result = put(photos, sync=True)
    assert (result.replaced, *done(result)) == (0, 0, 2, 0, 0)
    assert {item.id: item.digest for item in index} == before
    check_pictures(index, tmp_path)
    assert {item.labels for item in index if item.path in ("photos/a/000.png", "photos/b/004.png")} == {("a",), ("b",)}


def test_a_copy_over_another_image_replaces_what_its_item_has(index, put, tmp_path):
    photos = write_folder(tmp_path / "photos", per_class=2)
    put(photos)
    shutil.copy(photos / "a" / "000.png", photos / "b" / "002.png")
    result = put(photos, sync=True)
    assert (result.replaced, *done(result)) == (1, 0, 0, 0, 0)
    check_pictures(index, tmp_path)


def test_a_move_that_was_cut_short_is_gone_on_with(index, put, tmp_path, monkeypatch):
    photos = write_folder(tmp_path / "photos", per_class=2)
    put(photos)
    before = captioned(index)
    (photos / "a" / "000.png").rename(photos / "b" / "002.png")
    with monkeypatch.context() as cut:
        cut.setattr(type(index), "update", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError, match="by zero"):
            put(photos, sync=True)
    put(photos, sync=True)
    assert {item.id: item.digest for item in index} == {n: one for n, one in before.items() if n != 3}
    check_pictures(index, tmp_path)


def test_a_copy_is_not_a_move(index, put, tmp_path):
    photos = write_folder(tmp_path / "photos", per_class=2)
    put(photos)
    before = ids(index)
    shutil.copytree(photos, tmp_path / "copy")
    assert done(put(tmp_path / "copy", sync=True)) == (6, 0, 0, 0)
    assert {path: n for path, n in ids(index).items() if path.startswith("photos")} == before
    (photos / "a" / "000.png").unlink()
    assert done(put(tmp_path / "copy", sync=True)) == (0, 0, 0, 0), "its copy has an item of its own"
    assert look_for_files(index).paths == ("photos/a/000.png",)


def test_of_several_of_one_content_each_follows_its_name(index, put, tmp_path):
    photos = write_folder(tmp_path / "photos", per_class=2)
    for name in ("x", "y", "z"):
        shutil.copy(photos / "a" / "000.png", photos / "a" / f"{name}.png")
    put(photos)
    before = ids(index)
    (tmp_path / "new" / "a").mkdir(parents=True)
    for old, new in (("z", "z"), ("x", "q"), ("000", "000")):
        (photos / "a" / f"{old}.png").rename(tmp_path / "new" / "a" / f"{new}.png")
    result = put(tmp_path / "new", sync=True)
    assert (result.added, result.moved) == (0, 3)
    after = ids(index)
    assert after["new/a/z.png"] == before["photos/a/z.png"]
    assert after["new/a/000.png"] == before["photos/a/000.png"]
    assert after["new/a/q.png"] == before["photos/a/x.png"]
    assert after["photos/a/y.png"] == before["photos/a/y.png"]


def test_what_may_not_be_looked_at_has_not_moved(index, put, tmp_path, monkeypatch):
    photos = write_folder(tmp_path / "photos", per_class=2)
    put(photos)
    photos.rename(tmp_path / "new")
    stat = type(photos).stat

    def refused(self, **options):
        if "photos" in self.parts:
            raise PermissionError(13, "Permission denied", str(self))
        return stat(self, **options)

    monkeypatch.setattr(type(photos), "stat", refused)
    assert done(put(tmp_path / "new", sync=True)) == (6, 0, 0, 0)


def test_items_whose_files_are_gone_are_counted_and_removed(index, put, tmp_path):
    photos = write_folder(tmp_path / "photos", per_class=3)
    put(photos)
    assert remove_missing(index).ids == ()
    shutil.rmtree(photos / "a")
    (photos / "b" / "004.png").unlink()
    gone = look_for_files(index)
    assert gone.words == "4 of 9 files are gone (photos/a: 3, photos/b: 1)"
    assert (gone.looked_at, gone.files, len(gone.ids)) == (9, 9, 4)
    assert remove_missing(index, only_count=True) == gone
    assert len(index) == 9
    assert remove_missing(index) == gone
    assert len(index) == 5
    assert remove_missing(index).ids == ()


def test_where_all_files_are_gone_nothing_is_removed_unasked(index, put, tmp_path):
    photos = write_folder(tmp_path / "photos", per_class=1)
    put(photos)
    photos.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"3 of 3 files are gone .*that is all; is a disk not mounted.*--force"):
        remove_missing(index)
    assert len(index) == 3
    assert len(remove_missing(index, even_all=True).ids) == 3
    assert len(index) == 0
    assert remove_missing(index).ids == ()


def test_images_of_built_in_data_sets_are_no_files_that_could_be_gone(index, model):
    index_dataset(index, model, tiny_dataset(), device="cpu")
    gone = look_for_files(index)
    assert (gone.looked_at, gone.files, gone.ids) == (0, 0, ())
    assert remove_missing(index).ids == ()
    assert len(index) == 30


@pytest.mark.parametrize("shard", ["data.tar", "data.parquet"])
def test_images_within_a_shard_are_no_files_that_could_be_gone(index, put, tmp_path, shard):
    photos = write_folder(tmp_path / "photos", per_class=1)
    (tmp_path / shard).write_bytes(b"")
    kept = {"path": f"{shard}/000.png", "labels": [], "digest": load_images(photos).digests[0]}
    index.add(np.zeros((1, 2), np.uint8), metadata=[kept])
    assert done(put(photos)) == (3, 0, 0, 0)  # one of the same content is another item
    (photos / "b" / "001.png").unlink()
    assert look_for_files(index).paths == sample_files(index).paths == ("photos/b/001.png",)
    assert remove_missing(index).paths == ("photos/b/001.png",)
    assert ids(index)[f"{shard}/000.png"] == 1


def test_a_path_is_that_of_a_file_by_its_ending_or_where_one_is_there(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1f09").write_bytes(b"x")
    (tmp_path / "a.tar").mkdir()
    (tmp_path / "b.tar").write_bytes(b"x")
    expected = {
        "photos/1f09": True, "photos/2a77": False, "photos/2a77.png": True, "shapes/00001": False,
        "a.tar/1.png": True, "b.tar/1.png": False, "c.tar/1.png": False, "d.parquet/1.png": False,
    }  # fmt: skip
    assert {path: names_a_file(path, tmp_path) for path in expected} == expected


def test_images_without_an_ending_are_reencoded(index, put, tmp_path):
    photos = write_folder(tmp_path / "photos", per_class=1)
    for file in photos.glob("*/*.png"):
        file.rename(file.with_suffix(""))
    assert done(put(photos)) == (3, 0, 0, 0)
    assert look_for_files(index).looked_at == 3
    index.close()
    assert reencode(tmp_path / "a.index", random_model(seed=1), device="cpu") == 3


@pytest.mark.parametrize("first", [0, 10**7, 2**62])
def test_what_is_looked_at_is_spread_whatever_the_ids(index, first, monkeypatch):
    rows = np.arange(200)
    index.add(np.zeros((200, 2), np.uint8), ids=first + rows, metadata=[{"path": f"{row}.png"} for row in rows])
    monkeypatch.setattr(indexing_places, "PAGES", 4)
    monkeypatch.setattr(indexing_places, "PAGE", 1)
    assert [int(item_id) - first for item_id in sample_files(index).ids] == [0, 50, 100, 150]


def test_the_least_and_the_greatest_id_are_looked_at_together(index):
    index.add(np.zeros((2, 2), np.uint8), ids=[0, 2**63 - 1], metadata=[{"path": "a.png"}, {"path": "b.png"}])
    assert sample_files(index).paths == ("a.png", "b.png")


def test_an_index_of_nothing_has_no_files(index):
    assert (sample_files(index).looked_at, look_for_files(index).looked_at) == (0, 0)


def test_of_many_files_some_are_looked_at(index, put, tmp_path, monkeypatch):
    put(write_folder(tmp_path / "photos", per_class=10))
    shutil.rmtree(tmp_path / "photos" / "c")
    gone = look_for_files(index, 7)
    assert gone.looked_at == 6
    assert gone.words.startswith("2 of 6 files looked at are gone (photos/c")
    assert len(sample_files(index).ids) == 10
    monkeypatch.setattr(indexing_places, "PAGES", 3)
    monkeypatch.setattr(indexing_places, "PAGE", 2)
    gone = sample_files(index)
    assert (gone.looked_at, gone.paths) == (6, ("photos/c/020.png", "photos/c/021.png"))
    assert "of 6 files looked at" in gone.words


def test_a_link_that_leads_nowhere_and_a_file_above_are_gone(index, put, tmp_path):
    photos = write_folder(tmp_path / "photos", per_class=1)
    put(photos)
    (photos / "a" / "000.png").unlink()
    try:
        (photos / "a" / "000.png").symlink_to("nowhere.png")
    except OSError:
        pytest.skip("no links here")
    shutil.rmtree(photos / "b")
    (photos / "b").write_text("a file now")
    assert len(look_for_files(index).ids) == 2


def test_sync_still_needs_a_whole_folder(put, tmp_path):
    photos = write_folder(tmp_path / "photos", per_class=1)
    with pytest.raises(InputError, match="sync needs all images of a folder"):
        put([os.fspath(photos / "a" / "000.png")], sync=True)
