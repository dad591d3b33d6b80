"""Data sets into an index: new images are added, changed ones replaced, known ones passed over, bad ones listed."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from model_makers import random_model
from nearbit import encode, indexing
from nearbit.codes import pack, signs_of
from nearbit.datasets import load_dataset, load_images
from nearbit.errors import ImageError, IndexFileError, InputError
from nearbit.index import create_index, open_index
from nearbit.indexing import index_dataset
from tiny_data import tiny_dataset, write_folder


@pytest.fixture(scope="module")
def model():
    return random_model()


@pytest.fixture
def open_or_make(tmp_path, model):
    return lambda name="a.index": create_index(tmp_path / name, 12, model_id=model.model_id, exist_ok=True)


def content(index):
    return [(item.id, item.code.tobytes(), item.path, item.labels, item.metadata) for item in index]


def counts(done):
    return done.added, done.replaced, done.unchanged


def test_every_image_is_an_item_with_path_labels_and_digest(open_or_make, model):
    dataset = tiny_dataset()
    with open_or_make() as index:
        done = index_dataset(index, model, dataset, device="cpu")
        items = list(index)
    assert counts(done) == (30, 0, 0)
    assert [item.id for item in items] == list(range(1, 31))
    assert [item.path for item in items] == list(dataset.keys)
    assert [item.labels for item in items] == [dataset.label_names(row) for row in range(30)]
    codes = pack(signs_of(model.encode_dataset(dataset).outputs))
    assert np.array_equal(np.stack([item.code for item in items]), codes)


def test_a_second_time_nothing_changes(open_or_make, model):
    with open_or_make() as index:
        index_dataset(index, model, tiny_dataset(), device="cpu")
        before = content(index)
        assert counts(index_dataset(index, model, tiny_dataset(), device="cpu")) == (0, 0, 30)
        assert content(index) == before


def test_changed_images_are_replaced_and_new_ones_added(open_or_make, model, tmp_path):
    root = write_folder(tmp_path / "photos", per_class=4)
    with open_or_make() as index:
        index_dataset(index, model, load_images(root, cache=tmp_path / "cache"), device="cpu")
        first = {item.path: item for item in index}
        changed, new = root / "a" / "000.png", root / "c" / "zzz.png"
        Image.new("RGB", (9, 9), "white").save(changed)
        Image.new("RGB", (9, 9), "black").save(new)
        done = index_dataset(index, model, load_images(root, cache=tmp_path / "cache"), device="cpu")
        second = {item.path: item for item in index}
    assert counts(done) == (1, 1, 11)
    assert second["photos/a/000.png"].id == first["photos/a/000.png"].id
    assert np.array_equal(second["photos/a/000.png"].code, model.encode([changed])[0])
    assert second["photos/c/zzz.png"].id == 13
    for path in set(first) - {"photos/a/000.png"}:
        assert np.array_equal(second[path].code, first[path].code)


def test_paths_are_relative_to_the_folder_of_the_index(model, tmp_path):
    root = write_folder(tmp_path / "photos", per_class=2)
    dataset = load_dataset(root, cache=tmp_path / "cache")
    with create_index(tmp_path / "deep" / "er" / "a.index", 12) as index:
        index_dataset(index, model, dataset, device="cpu")
        paths = [item.path for item in index]
    assert paths[0] == "../../photos/a/000.png"
    assert all((tmp_path / "deep" / "er" / path).is_file() for path in paths)


def test_only_the_rows_asked_for_are_added_in_their_order(open_or_make, model):
    with open_or_make() as index:
        index_dataset(index, model, tiny_dataset(), [9, 2, 5], device="cpu")
        assert [item.path for item in index] == ["tiny/9", "tiny/2", "tiny/5"]
        assert counts(index_dataset(index, model, tiny_dataset(), [2, 3], device="cpu")) == (1, 0, 1)


class Failing:
    """The images of the tiny data set, of which some rows cannot be read."""

    def __init__(self, rows):
        self.rows, self.images = rows, tiny_dataset().source

    def __len__(self):
        return len(self.images)

    def read(self, row, at_least=None):
        if row in self.rows:
            raise ImageError("damaged")
        return self.images.read(row, at_least)


def test_images_that_cannot_be_read_are_listed_and_added_once_they_can(open_or_make, model):
    broken = replace(tiny_dataset(), source=Failing({3, 29}))
    with open_or_make() as index:
        done = index_dataset(index, model, broken, device="cpu")
        assert counts(done) == (28, 0, 0)
        assert [(one.path, one.reason) for one in done.problems] == [("tiny/3", "damaged"), ("tiny/29", "damaged")]
        assert counts(index_dataset(index, model, tiny_dataset(), device="cpu")) == (2, 0, 28)
        assert len(index) == 30


@pytest.mark.parametrize("cached", [False, True])
def test_an_interrupted_run_goes_on_and_ends_the_same(open_or_make, model, monkeypatch, tmp_path, cached):
    for module in (encode, indexing):
        monkeypatch.setattr(module, "CHUNK", 8)
    cache = tmp_path / "cache" if cached else None

    def stop(stage, done, total):
        raise KeyboardInterrupt("now")

    with open_or_make("whole.index") as index:
        index_dataset(index, model, tiny_dataset(), device="cpu", cache=cache)
        expected = content(index)
    for times in range(1, 4):
        with open_or_make() as index, pytest.raises(KeyboardInterrupt, match="now"):
            index_dataset(index, model, tiny_dataset(), device="cpu", cache=cache, progress=stop)
        with open_or_make() as index:
            assert len(index) == 8 * times
    with open_or_make() as index:
        assert counts(index_dataset(index, model, tiny_dataset(), device="cpu", cache=cache)) == (6, 0, 24)
        assert content(index) == expected


def test_no_images_are_no_items(open_or_make, model):
    with open_or_make() as index:
        assert counts(index_dataset(index, model, tiny_dataset(), [], device="cpu")) == (0, 0, 0)


def test_an_index_of_another_model_is_refused(open_or_make, tmp_path):
    open_or_make().close()
    with pytest.raises(IndexFileError, match="codes of different models cannot be compared"):
        open_index(tmp_path / "a.index", model_id=random_model(seed=1).model_id)


def synced(model, root, tmp_path, **options):
    """Index a folder with sync and return what was done and the items by path."""
    with create_index(tmp_path / "a.index", 12, exist_ok=True) as index:
        done = index_dataset(index, model, load_images(root, cache=tmp_path / "cache"), device="cpu", **options)
        return done, {item.path: item for item in index}


def test_sync_makes_the_index_the_mirror_of_a_folder(model, tmp_path):
    root = write_folder(tmp_path / "photos", per_class=4)
    _, first = synced(model, root, tmp_path)
    (root / "b" / "new").mkdir()
    (root / "a" / "000.png").rename(root / "b" / "new" / "moved.png")
    (root / "a" / "001.png").unlink()
    Image.new("RGB", (9, 9), "white").save(root / "a" / "002.png")
    Image.new("RGB", (9, 9), "black").save(root / "c" / "zzz.png")
    done, second = synced(model, root, tmp_path, sync=True)
    assert (*counts(done), done.moved, done.removed, done.absent) == (1, 1, 10, 1, 1, 0)
    moved = second["photos/b/new/moved.png"]
    assert moved.id == first["photos/a/000.png"].id
    assert moved.labels == ("b",)
    assert np.array_equal(moved.code, first["photos/a/000.png"].code)
    assert set(second) == {item_path.relative_to(tmp_path).as_posix() for item_path in root.rglob("*.png")}
    done, third = synced(model, root, tmp_path, sync=True)
    assert (*counts(done), done.moved, done.removed, done.absent) == (0, 0, 12, 0, 0, 0)
    assert {path: item.id for path, item in third.items()} == {path: item.id for path, item in second.items()}


def test_sync_leaves_items_of_other_places_and_of_unreadable_images(model, tmp_path):
    photos, others = (write_folder(tmp_path / name, per_class=2) for name in ("photos", "photos2"))
    synced(model, photos, tmp_path)
    _, before = synced(model, others, tmp_path)
    (photos / "a" / "000.png").write_bytes(b"damaged")
    (photos / "a" / "001.png").unlink()
    done, after = synced(model, photos, tmp_path, sync=True)
    assert (done.moved, done.removed) == (0, 1)
    assert set(before) - set(after) == {"photos/a/001.png"}


def test_twins_that_move_keep_an_id_each(model, tmp_path):
    root = write_folder(tmp_path / "photos", per_class=2)
    for name in ("x.png", "y.png"):
        (root / "a" / name).write_bytes((root / "a" / "000.png").read_bytes())
    _, first = synced(model, root, tmp_path)
    for name in ("x.png", "y.png"):
        (root / "a" / name).rename(root / "b" / name)
    done, second = synced(model, root, tmp_path, sync=True)
    assert (done.moved, done.removed, done.added) == (2, 0, 0)
    assert {second[f"photos/b/{name}"].id for name in ("x.png", "y.png")} == {
        first[f"photos/a/{name}"].id for name in ("x.png", "y.png")
    }


def test_sync_needs_all_images_of_a_place(model, tmp_path):
    with create_index(tmp_path / "a.index", 12) as index:
        for arguments in ((tiny_dataset(),), (load_images(write_folder(tmp_path / "p"), cache=tmp_path / "c"), [1])):
            with pytest.raises(InputError, match="sync needs all images of a folder"):
                index_dataset(index, model, *arguments, sync=True)


def test_an_index_that_keeps_outputs_gets_those_of_the_model(model, tmp_path):
    root = write_folder(tmp_path / "photos", per_class=2)
    dataset = load_images(root, cache=tmp_path / "cache")
    with create_index(tmp_path / "a.index", 12, outputs="int8") as index:
        index_dataset(index, model, dataset, device="cpu")
        outputs = model.encode_dataset(dataset).outputs
        largest = np.abs(outputs).max(axis=1, keepdims=True)
        assert (np.abs(index.kept_outputs(np.arange(1, 7)) - outputs) <= largest / 250).all()


def test_nobody_else_writes_while_images_are_indexed(model, tmp_path, monkeypatch):
    monkeypatch.setattr("nearbit.index.store.BUSY_SECONDS", 0.05)
    refused = []
    with create_index(tmp_path / "a.index", 12) as index, open_index(tmp_path / "a.index") as other:

        def write(*_):
            with pytest.raises(IndexFileError, match="is writing to it since"):
                other.add(np.zeros((1, 2), np.uint8))
            refused.append(other.search(np.zeros((1, 2), np.uint8)).ids[0, 0] > 0)

        index_dataset(index, model, tiny_dataset(), device="cpu", progress=write)
    assert refused == [True]
