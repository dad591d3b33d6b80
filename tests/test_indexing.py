"""Data sets into an index: new images are added, changed ones replaced, known ones passed over, bad ones listed."""

import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from model_makers import random_model
from nearbit import indexing
from nearbit.codes import pack, signs_of
from nearbit.datasets import Problem, load_dataset, load_images, scan
from nearbit.encoding import torch_backend
from nearbit.errors import IndexFileError, InputError
from nearbit.index import create_index, open_index
from nearbit.indexing import index_dataset
from tiny_data import FailingImages, tiny_dataset, write_folder


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


def test_a_network_stays_on_its_device_while_an_index_is_filled(open_or_make, model, monkeypatch):
    moves, placed = [], torch_backend.placed

    @contextmanager
    def watched(module, device):
        with placed(module, device):
            moves.append("there")
            yield
            moves.append("back")

    monkeypatch.setattr(torch_backend, "placed", watched)
    monkeypatch.setattr(indexing, "CHUNK", 4)
    with open_or_make() as index:
        done = index_dataset(index, model, tiny_dataset(), device="cpu")
    assert counts(done) == (len(tiny_dataset()), 0, 0)
    assert moves == ["there", "back"]


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


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_a_folder_whose_name_cannot_be_kept_is_refused_before_anything_is_encoded(open_or_make, model, tmp_path):
    root = tmp_path / "caf\udce9"
    write_folder(root)
    with open_or_make() as index:
        with pytest.raises(InputError, match=r"'caf.*xe9.*' cannot be kept: .*rename that folder"):
            index_dataset(index, None, load_images(root), device="cpu")
        assert len(index) == 0


def test_only_the_rows_asked_for_are_added_in_their_order(open_or_make, model):
    with open_or_make() as index:
        index_dataset(index, model, tiny_dataset(), [9, 2, 5], device="cpu")
        assert [item.path for item in index] == ["tiny/9", "tiny/2", "tiny/5"]
        assert counts(index_dataset(index, model, tiny_dataset(), [2, 3], device="cpu")) == (1, 0, 1)


def test_images_that_cannot_be_read_are_listed_and_added_once_they_can(open_or_make, model):
    broken = replace(tiny_dataset(), source=FailingImages({3, 29}))
    with open_or_make() as index:
        done = index_dataset(index, model, broken, device="cpu")
        assert counts(done) == (28, 0, 0)
        assert [(one.path, one.reason) for one in done.problems] == [("tiny/3", "damaged"), ("tiny/29", "damaged")]
        assert counts(index_dataset(index, model, tiny_dataset(), device="cpu")) == (2, 0, 28)
        assert len(index) == 30


@pytest.mark.parametrize("cached", [False, True])
def test_an_interrupted_run_goes_on_and_ends_the_same(open_or_make, model, monkeypatch, tmp_path, cached):
    for module in (torch_backend, indexing):
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
    monkeypatch.setattr("nearbit.index.storage.store.BUSY_SECONDS", 0.05)
    refused = []
    with create_index(tmp_path / "a.index", 12) as index, open_index(tmp_path / "a.index") as other:

        def write(*_):
            with pytest.raises(IndexFileError, match="is writing to it since"):
                other.add(np.zeros((1, 2), np.uint8))
            refused.append(other.search(np.zeros((1, 2), np.uint8)).ids[0, 0] > 0)

        index_dataset(index, model, tiny_dataset(), device="cpu", progress=write)
    assert refused == [True]


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}


def test_sync_mirrors_the_folder_that_holds_the_index(model, tmp_path):
    write_folder(tmp_path / "a" / "photos", per_class=2)
    read = lambda: load_images(tmp_path / "a", cache=tmp_path / "cache")  # noqa: E731
    with create_index(tmp_path / "a" / "x.index", 12) as index:
        index_dataset(index, model, read(), device="cpu")
        photos = tmp_path / "a" / "photos"
        (photos / "a" / "000.png").unlink()
        (photos / "a" / "001.png").rename(photos / "b" / "moved.png")
        assert index_dataset(index, model, read(), device="cpu").absent == 2
        index.remove([item_id for path, item_id, _ in index.paths() if path.endswith("moved.png")])
        done = index_dataset(index, model, read(), device="cpu", sync=True)
        assert (done.moved, done.removed, done.added) == (1, 1, 0)
        assert set(index.entries()) == files_below(tmp_path / "a")


def test_sync_of_a_folder_above_the_index_leaves_what_lies_elsewhere(model, tmp_path):
    inside, beside, near = (write_folder(tmp_path / name, per_class=2) for name in ("data/in", "other", "data2"))
    with create_index(tmp_path / "data" / "deep" / "x.index", 12) as index:
        for root in (inside, beside, near):
            index_dataset(index, model, load_images(root, cache=tmp_path / "cache"), device="cpu")
        before = set(index.entries())
        (inside / "a" / "000.png").unlink()
        data = load_images(tmp_path / "data", cache=tmp_path / "cache")
        done = index_dataset(index, model, data, device="cpu", sync=True)
        assert (done.removed, done.moved, done.added) == (1, 0, 0)
        assert before - set(index.entries()) == {"../in/a/000.png"}


@pytest.mark.parametrize(("unread", "kept"), [("b", {"b"}), (".", {"a", "b"}), ("a/00", set())])
def test_sync_keeps_what_lies_below_a_folder_that_cannot_be_read(model, tmp_path, unread, kept):
    root = write_folder(tmp_path / "photos", per_class=2)
    synced(model, root, tmp_path)
    for name in ("a/000.png", "a/001.png", "b/002.png", "b/003.png"):
        (root / name).unlink()
    whole = load_images(root, cache=tmp_path / "cache")
    problems = (*whole.problems, Problem(unread, "a folder that cannot be read: Permission denied"))
    with open_index(tmp_path / "a.index") as index:
        done = index_dataset(index, model, replace(whole, problems=problems), device="cpu", sync=True)
        left = {path.split("/")[1] for path in index.entries()}
    assert left == {"c"} | kept
    assert done.removed == 4 - 2 * len(kept)


def test_a_folder_that_the_system_refuses_keeps_its_items(model, tmp_path, monkeypatch):
    root = write_folder(tmp_path / "photos", per_class=2)
    _, before = synced(model, root, tmp_path)
    names_in = scan._names_in

    def refuse(root, folder, found):
        if folder == "b":
            found.problems.append(Problem("b", "a folder that cannot be read: Permission denied"))
            return []
        return names_in(root, folder, found)

    monkeypatch.setattr(scan, "_names_in", refuse)
    done, after = synced(model, root, tmp_path, sync=True)
    assert (done.removed, done.absent, set(after)) == (0, 0, set(before))


def test_sync_removes_the_items_of_a_class_whose_folder_is_empty_now(model, tmp_path):
    root = write_folder(tmp_path / "photos", per_class=2)
    synced(model, root, tmp_path)
    for file in (root / "b").iterdir():
        file.unlink()
    done, after = synced(model, root, tmp_path, sync=True)
    assert done.removed == 2
    assert set(after) == {f"photos/{path}" for path in files_below(root)}


def test_single_files_are_never_all_of_a_folder(model, tmp_path):
    root = write_folder(tmp_path / "photos", per_class=2)
    _, before = synced(model, root, tmp_path)
    for source in (root / "a" / "000.png", [root / "a" / "000.png", root / "a" / "001.png"]):
        done, after = synced(model, source, tmp_path)
        assert (done.absent, done.relabelled) == (0, 0)
        assert {path: item.labels for path, item in after.items()} == {
            path: item.labels for path, item in before.items()
        }
        with pytest.raises(InputError, match="sync needs all images of a folder"):
            synced(model, source, tmp_path, sync=True)
    Image.new("RGB", (9, 9), "white").save(root / "a" / "000.png")
    done, after = synced(model, root / "a" / "000.png", tmp_path)
    assert (done.replaced, after["photos/a/000.png"].labels) == (1, ("a",))


@pytest.mark.parametrize("sync", [False, True])
def test_changed_labels_are_taken_in_without_encoding(model, tmp_path, monkeypatch, sync):
    monkeypatch.setattr(indexing, "CHUNK", 2)
    root = write_folder(tmp_path / "photos", per_class=2)
    names = sorted(files_below(root))
    table = root / "labels.csv"
    table.write_text("path,labels\n" + "".join(f"{name},wren|owl\n" for name in names))
    synced(model, table, tmp_path)
    with open_index(tmp_path / "a.index") as index:
        first = content(index)
        index.update([1], metadata=[item_with(index, 1, labels=["owl", "wren"], camera=3)])
        index.update([2], metadata=[item_with(index, 2, camera=4)])
    rows = [f"{name},wren|owl\n" for name in names]
    rows[1], rows[2], rows[5] = f"{names[1]},wren|robin\n", f"{names[2]},\n", f"{names[5]},robin\n"
    table.write_text("path,labels\n" + "".join(rows))
    done, items = synced(model, table, tmp_path, sync=sync)
    assert (*counts(done), done.relabelled) == (0, 0, 6, 3)
    assert [set(items["photos/" + name].labels) for name in names] == [
        {"wren", "owl"},
        {"wren", "robin"},
        set(),
        {"wren", "owl"},
        {"wren", "owl"},
        {"robin"},
    ]
    assert [items["photos/" + name].metadata for name in names[:3]] == [{"camera": 3}, {"camera": 4}, {}]
    assert [item.code.tobytes() for item in items.values()] == [one[1] for one in first]
    assert synced(model, table, tmp_path, sync=sync)[0].relabelled == 0


def item_with(index, item_id, **more):
    """Return all metadata of an item, with more."""
    item = index.items([item_id])[0]
    return {"path": item.path, "labels": list(item.labels), "digest": item.digest, **item.metadata, **more}


def test_an_item_keeps_its_own_metadata_when_its_image_changes_or_moves(model, tmp_path):
    root = write_folder(tmp_path / "photos", per_class=2)
    _, first = synced(model, root, tmp_path)
    changed, moved = (first[f"photos/a/00{number}.png"].id for number in (0, 1))
    with open_index(tmp_path / "a.index") as index:
        index.update([changed, moved], metadata=[item_with(index, one, camera=one) for one in (changed, moved)])
    Image.new("RGB", (9, 9), "white").save(root / "a" / "000.png")
    (root / "a" / "001.png").rename(root / "b" / "new.png")
    done, second = synced(model, root, tmp_path, sync=True)
    assert (done.replaced, done.moved) == (1, 1)
    assert second["photos/a/000.png"].metadata == {"camera": changed}
    assert second["photos/a/000.png"].digest != first["photos/a/000.png"].digest
    item = second["photos/b/new.png"]
    assert (item.id, item.metadata, item.labels) == (moved, {"camera": moved}, ("b",))
