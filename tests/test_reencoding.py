"""An index moved over to another model: nothing is lost, whatever happens meanwhile."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_makers import random_model
from nearbit import reencoding
from nearbit.codes import binarize
from nearbit.datasets import load_images
from nearbit.errors import DataError, IndexBusyError
from nearbit.index import create_index, open_index
from nearbit.index.replacing import begin_successor, remove_successor
from nearbit.indexing import index_dataset
from nearbit.reencoding import ENDING, reencode
from tiny_data import write_folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


OLD, NEW = random_model(n_bits=12, seed=0), random_model(n_bits=20, seed=1)


@pytest.fixture
def index():
    """An index of 24 images with gaps among its ids, metadata of its own, a note and a filter."""
    write_folder(Path("photos"))
    with create_index("a.index", 12, model_id=OLD.model_id) as index:
        index_dataset(index, OLD, load_images("photos"), cache=None)
        one = index.items([5])[0]
        own = {"path": one.path, "labels": ["b", "mine"], "digest": one.digest, "camera": "X100", "stars": 4}
        index.update([5], metadata=[own])
        index.remove([3, 24])
        index.set_notes({"model_path": "old.model", "owner": "me"})
        index.create_filter("camera")
    return Path("a.index")


def facts(index):
    return {item.id: (item.path, item.labels, item.metadata, item.digest) for item in index}


def expected_codes(index, model):
    return {item.id: binarize(model.outputs([index.path.absolute().parent / item.path]))[0] for item in index}


def check(path, before, model):
    """Compare an index with the facts of before, and its codes with those of single images."""
    with open_index(path, model_id=model.model_id) as index:
        assert facts(index) == before
        codes = expected_codes(index, model)
        assert all(np.array_equal(item.code, codes[item.id]) for item in index)
        assert index.verify() == []
    assert not [file for file in Path().iterdir() if ENDING in file.name]


def test_ids_labels_metadata_notes_and_filters_stay(index):
    with open_index(index) as opened:
        before = facts(opened)
    assert reencode(index, NEW, notes={"model_path": "new.model"}) == 22
    check(index, before, NEW)
    with open_index(index) as opened:
        assert opened.notes() == {"model_path": "new.model", "owner": "me"}
        assert opened.filters() == ["camera"]
        assert opened.matching({"camera": "X100"}).tolist() == [5]
        assert opened.add(np.zeros((1, 3), np.uint8)).tolist() == [25]  # the id of what was removed comes never again
    assert reencode(index, NEW) == 0


def test_outputs_that_are_kept_are_those_of_the_new_model():
    write_folder(Path("photos"), per_class=2)
    with create_index("a.index", 12, model_id=OLD.model_id, outputs="float16") as index:
        index_dataset(index, OLD, load_images("photos"))
    reencode("a.index", NEW)
    with open_index("a.index") as index:
        items = list(index)
        expected = NEW.outputs([item.path for item in items])
        assert np.allclose(index.kept_outputs([item.id for item in items]), expected, atol=0.02, rtol=0.01)


def test_a_changed_file_is_encoded_as_it_is(index):
    with open_index(index) as opened:
        path = opened.items([1])[0].path
    Image.new("RGB", (12, 12), (255, 0, 255)).save(path)
    digest = load_images([path]).digests[0]
    reencode(index, NEW)
    with open_index(index) as opened:
        assert opened.items([1])[0].digest == digest
        assert np.array_equal(opened.items([1])[0].code, binarize(NEW.outputs([path]))[0])


def test_what_is_written_meanwhile_is_taken_along(index, monkeypatch):
    done = []

    def succeed(path, new, state, notes):
        if not done:  # while the new codes are made, another process adds, relabels, replaces and removes
            with open_index(path) as other:
                Image.new("RGB", (12, 12), (1, 2, 3)).save("photos/new.png")
                digest = load_images(["photos/new.png"]).digests[0]
                done.extend(
                    other.add(np.zeros((1, 2), np.uint8), metadata=[{"path": "photos/new.png", "digest": digest}])
                )
                one = other.items([7])[0]
                other.update([7], metadata=[{"path": one.path, "digest": one.digest, "labels": ["other"]}])
                other.remove([1, 23])
        return original(path, new, state, notes)

    original = reencoding.succeed
    monkeypatch.setattr(reencoding, "succeed", succeed)
    assert reencode(index, NEW) == 21
    assert done == [25]
    with open_index(index) as opened:
        before = facts(opened)
        assert before[7][1] == ("other",)
        assert not {1, 23} & before.keys()
    check(index, before, NEW)


def test_an_item_whose_image_cannot_be_had_leaves_the_index_as_it_was(index):
    with open_index(index) as opened:
        before, path = facts(opened), opened.items([2])[0].path
        opened.add(np.zeros((1, 2), np.uint8), ids=[90])
    content = Path(path).read_bytes()
    Path(path).unlink()
    message = (
        r"2 of 23 items of .*a.index cannot be encoded anew, and it is as it was: photos/a/001.png is gone; item 90 "
    )
    with pytest.raises(DataError, match=message):
        reencode(index, NEW)
    Path(path).write_bytes(content[:50])
    with open_index(index) as opened:
        opened.remove([90])
    with pytest.raises(DataError, match=r"1 of 22 items .*: photos/a/001.png: .*nearbit index remove"):
        reencode(index, NEW)
    with open_index(index, model_id=OLD.model_id) as opened:
        assert facts(opened) == before
    Path(path).write_bytes(content)
    assert reencode(index, NEW) == 22
    check(index, before, NEW)


def test_a_begun_index_of_another_model_is_not_gone_on_with(index, monkeypatch):
    with open_index(index) as opened:
        before = facts(opened)
    other = random_model(n_bits=16, seed=2)

    def interrupted(*_):
        raise KeyboardInterrupt("at the end")

    with monkeypatch.context() as patch:
        patch.setattr(reencoding, "succeed", interrupted)
        with pytest.raises(KeyboardInterrupt, match="at the end"):
            reencode(index, other)
    assert Path(f"a.index{ENDING}").is_file()
    reencode(index, NEW)
    check(index, before, NEW)


def test_two_at_once_are_refused(index, monkeypatch):
    monkeypatch.setattr("nearbit.index.index.BUSY_SECONDS", 0.0)
    with (
        create_index(f"a.index{ENDING}", 20, model_id=NEW.model_id) as begun,
        begun.writing(),
        pytest.raises(IndexBusyError, match="is writing to it"),
    ):
        reencode(index, NEW)
    with open_index(index, model_id=OLD.model_id) as opened:
        assert len(opened) == 22


@pytest.mark.parametrize("model", [OLD, random_model(n_bits=16, seed=2)], ids=["of the index", "another"])
def test_another_model_leaves_what_a_running_one_has_filled(index, monkeypatch, model):
    original, refused = reencoding.succeed, []

    def meanwhile(*given):
        with pytest.raises(IndexBusyError, match=r"a.index is being encoded anew by another process: wait"):
            reencode(index, model)
        refused.append(Path(f"a.index{ENDING}").stat().st_size)
        return original(*given)

    with open_index(index) as opened:
        before = facts(opened)
    monkeypatch.setattr(reencoding, "succeed", meanwhile)
    assert reencode(index, NEW) == 22
    assert len(refused) == 1
    check(index, before, NEW)


def test_what_is_written_to_is_never_removed(index):
    aside = Path(f"a.index{ENDING}")
    with open_index(index) as opened, create_index(aside, 20, model_id=NEW.model_id) as begun, begun.writing():
        for remove in (lambda: begin_successor(opened, aside, 16, "other"), lambda: remove_successor(aside)):
            with pytest.raises(IndexBusyError, match=r"reencoding cannot be written: process \d+ .* is writing"):
                remove()
        assert begun.add(np.zeros((1, 3), np.uint8)).tolist() == [1]
    remove_successor(aside)
    assert not [file for file in Path().iterdir() if ENDING in file.name]


KILLED = """
import sys
from nearbit import reencoding
from nearbit.index import Index
from nearbit.model.load import load_any_model
import nearbit.reencoding as module
module.CHUNK = 4
number, seen = int(sys.argv[1]), 0
def counted(function):
    def call(*arguments, **named):
        global seen
        seen += 1
        if seen == number:
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return call
Index.add, Index.set_notes, Index.verify = map(counted, (Index.add, Index.set_notes, Index.verify))
Index.never_assign, Index.create_filter = counted(Index.never_assign), counted(Index.create_filter)
module.remove_successor, module.succeed = counted(module.remove_successor), counted(module.succeed)
reencoding.reencode("a.index", load_any_model("new.model"), notes={"model_path": "new.model"}, device="cpu")
"""


@pytest.mark.parametrize("number", [3, 8, 10, 13, 99])
def test_killed_at_any_step_it_goes_on_and_loses_nothing(index, number):
    NEW.save(Path("new.model"))
    with open_index(index) as opened:
        before = facts(opened)
    done = subprocess.run([sys.executable, "-c", KILLED, str(number)], capture_output=True, text=True, env=os.environ)
    assert done.returncode == (-signal.SIGKILL if number < 99 else 0), done.stderr
    with open_index(index) as opened:
        assert facts(opened) == before
        assert opened.n_bits in (12, 20)
    reencode(index, NEW, notes={"model_path": "new.model"})
    check(index, before, NEW)
    shutil.rmtree("new.model")


def test_a_file_that_changes_after_it_was_hashed_is_named_and_the_index_stays(index, monkeypatch):
    usual = reencoding.check_files

    def hashed_then_changed(files, cache):
        found = usual(files, cache)
        Image.new("RGB", (9, 9)).save(files[0])
        return found

    monkeypatch.setattr(reencoding, "check_files", hashed_then_changed)
    with pytest.raises(DataError, match=r"item 1: .*: changed since it was first read"):
        reencode(index, NEW)
    with open_index(index, model_id=OLD.model_id) as opened:
        assert len(opened) == 22
