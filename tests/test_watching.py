"""An index that follows a folder: what each look takes in, leaves alone and tells."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_makers import random_model
from nearbit import watching
from nearbit.codes import binarize
from nearbit.errors import IndexFileError
from nearbit.index import create_index, open_index
from nearbit.reading import ReadingOptions
from nearbit.watching import Follower, follow
from tiny_data import write_folder

MODEL, OTHER = random_model(n_bits=12, seed=0), random_model(n_bits=12, seed=1)
PHOTOS, INDEX = Path("photos"), Path("a.index")


class Clock:
    """Both clocks, which stand still until they are moved."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def time(self):
        return self.now

    def monotonic(self):
        return self.now - 1_600_000_000.0

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(tmp_path, monkeypatch):
    """A clock of the test's own, two years after all files of the folder; the place to work in is a new one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))
    write_folder(PHOTOS, per_class=3)
    made = Clock()
    age(made, 1e7)
    monkeypatch.setattr(watching, "time", made)
    return made


def age(clock, seconds, folder=PHOTOS):
    """Let all files have been written so long ago."""
    for file in folder.rglob("*"):
        if file.is_file():
            os.utime(file, (clock.now - seconds, clock.now - seconds))


def write(path, clock, *, seconds_ago=0.0, seed=9):
    path = PHOTOS / path
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)).save(path)
    os.utime(path, (clock.now - seconds_ago, clock.now - seconds_ago))
    return path


def follower(encoder=lambda: MODEL, **options):
    return Follower(INDEX, PHOTOS, encoder, options=ReadingOptions(), device="cpu", **options)


def entries():
    with open_index(INDEX) as index:
        return {path: item_id for path, item_id, _ in index.paths()}


def mirrors():
    """Say whether the index holds every file of the folder, with its label and the code of its content."""
    files = {str(file) for file in PHOTOS.rglob("*.png")}
    with open_index(INDEX) as index:
        items = list(index)
        return {item.path for item in items} == files and all(
            item.labels == (Path(item.path).parent.name,)
            and np.array_equal(item.code, binarize(MODEL.outputs([item.path]))[0])
            for item in items
        )


def test_the_first_look_brings_up_to_date_and_the_next_finds_nothing_to_do(monkeypatch):
    one = follower()
    found = one.look()
    assert (found.done.added, found.items, found.waiting, found.is_late) == (9, 9, 0, False)
    assert mirrors()
    with monkeypatch.context() as patch:
        patch.setattr(watching, "load_images", None)  # nothing is read again
        assert one.look() == watching.Round()
    with open_index(INDEX) as index:  # another program changes it: looked at again
        index.remove([1])
    assert one.look().done.added == 1


def test_a_file_is_taken_in_once_it_has_stayed_as_it_is(clock):
    one = follower()
    one.look()
    write("a/new.png", clock)
    found = one.look()
    assert (found.items, found.waiting, found.is_late, found.problems) == (9, 1, True, ())
    clock.now += 1.5
    write("a/new.png", clock, seed=10)  # it grows
    assert one.look().waiting == 1
    clock.now += 1.5
    assert one.look().waiting == 1
    clock.now += 0.6
    found = one.look()
    assert (found.done.added, found.waiting, found.is_late) == (1, 0, False)
    assert mirrors()


def test_how_long_a_file_must_stay_is_any_number(clock):
    for settle in (0.1, 0.2, 0.7, 1 / 3):
        assert follower(settle=settle).look().waiting == 0
    write("a/new.png", clock)
    for settle in (0.1, 0.2, 0.7, 1 / 3):
        assert follower(settle=settle).look().waiting == 1


def test_the_time_of_a_file_may_be_wrong(clock):
    one = follower()
    one.look()
    write("a/future.png", clock, seconds_ago=-1e6)
    write("a/past.png", clock, seconds_ago=1e6, seed=11)
    found = one.look()
    assert (found.done.added, found.waiting) == (1, 1)
    clock.now += 2.1
    assert one.look().done.added == 1
    path = write("a/past.png", clock, seconds_ago=2e6, seed=12)  # written anew with an old time: seen by its stamp
    assert one.look().waiting == 1
    clock.now += 2.1
    assert one.look().done.replaced == 1
    assert path.is_file()
    assert mirrors()


def test_half_of_a_copy_is_waited_for_and_what_is_damaged_is_told_once(clock):
    one = follower()
    one.look()
    path = write("a/half.png", clock)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    os.utime(path, (clock.now, clock.now))
    assert one.look().problems == ()
    clock.now += 2.1
    found = one.look()
    assert [problem.path for problem in found.problems] == ["a/half.png"]
    assert "truncated" in found.problems[0].reason
    write("b/other.png", clock, seconds_ago=9, seed=13)
    found = one.look()
    assert (found.done.added, found.problems) == (1, ())
    path.write_bytes(whole)
    os.utime(path, (clock.now - 9, clock.now - 9))
    one.look()
    clock.now += 2.1
    assert one.look().done.added == 1
    path.write_bytes(whole[:100])
    one.look()
    clock.now += 2.1
    assert [problem.path for problem in one.look().problems] == ["a/half.png"]  # new again
    assert f"photos{os.sep}a{os.sep}half.png" in entries()  # its item stays


def test_moves_keep_ids_and_labels_follow_and_what_is_gone_goes(clock):
    one = follower()
    one.look()
    before = entries()
    (PHOTOS / "a").rename(PHOTOS / "d")
    (PHOTOS / "b" / "003.png").rename(PHOTOS / "c" / "moved.png")
    (PHOTOS / "c" / "008.png").unlink()
    done = one.look().done
    assert (done.added, done.moved, done.removed) == (0, 4, 1)
    now = entries()
    assert now["photos/d/000.png"] == before["photos/a/000.png"]
    assert now["photos/c/moved.png"] == before["photos/b/003.png"]
    assert mirrors()


def test_a_move_that_is_under_way_loses_no_id(clock):
    """From one drive to another a file is copied and then removed: for a while it may be at neither place."""
    one = follower()
    one.look()
    before = entries()
    content = (PHOTOS / "a" / "000.png").read_bytes()
    (PHOTOS / "a" / "000.png").unlink()
    (PHOTOS / "b" / "there.png").write_bytes(content[:50])
    os.utime(PHOTOS / "b" / "there.png", (clock.now, clock.now))
    found = one.look()
    assert (found.done.removed, found.done.moved, found.items) == (0, 0, 9)
    (PHOTOS / "b" / "there.png").write_bytes(content)
    os.utime(PHOTOS / "b" / "there.png", (clock.now, clock.now))
    one.look()
    clock.now += 2.1
    done = one.look().done
    assert (done.added, done.moved, done.removed) == (0, 1, 0)
    assert entries()["photos/b/there.png"] == before["photos/a/000.png"]


def test_a_folder_that_is_always_being_written_to_does_not_keep_items_for_ever(clock, monkeypatch):
    monkeypatch.setattr(watching, "LONGEST", 4)
    one = follower()
    one.look()
    (PHOTOS / "a" / "000.png").unlink()
    removed = 0
    for number in range(100):
        write(f"b/stream{number}.png", clock, seed=100 + number)
        removed += one.look().done.removed
        clock.now += 1
        if removed:
            break
    assert 6 <= number <= 10


def test_a_folder_that_goes_while_it_is_looked_at_is_waited_for(clock, monkeypatch):
    one, scan = follower(), watching.scan_folder
    one.look()

    def scan_and_lose(root):
        found = scan(root)
        root.rename("away")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(watching, "scan_folder", scan_and_lose)
        assert "photos cannot be listed (No such file or directory): nothing is removed" in one.look().trouble
    Path("away").rename(PHOTOS)
    assert one.look().trouble == ""
    assert len(entries()) == 9


def test_a_folder_that_is_gone_or_empty_removes_nothing_and_is_told_once(clock):
    one = follower()
    one.look()
    PHOTOS.rename("away")
    assert "photos is gone: nothing is removed, and it is waited for" in one.look().trouble
    assert one.look() == watching.Round(is_late=True)
    PHOTOS.mkdir()  # as where a drive is not mounted
    assert "no images in it" in one.look().trouble
    assert one.look().trouble == ""
    assert len(entries()) == 9
    PHOTOS.rmdir()
    Path("away").rename(PHOTOS)
    assert one.look().done.unchanged == 9


def test_labels_in_a_file_are_followed(clock):
    shutil.rmtree(PHOTOS)
    write("one.png", clock, seconds_ago=9)
    write("two.png", clock, seconds_ago=9, seed=10)
    labels = PHOTOS / "labels.csv"
    labels.write_text("path,label\none.png,x\ntwo.png,y\n")
    age(clock, 9)
    one = follower()
    assert one.look().done.added == 2
    labels.write_text("path,label\none.png,x\ntwo.png,z\n")
    os.utime(labels, (clock.now, clock.now))
    assert one.look() == watching.Round(waiting=1, is_late=True)  # it may be half of it
    clock.now += 2.1
    assert one.look().done.relabelled == 1
    with open_index(INDEX) as index:
        assert index.labels() == {"x": 1, "z": 1}


def test_a_file_beside_the_images_that_is_always_written_to_is_not_waited_for_for_ever(clock, monkeypatch):
    monkeypatch.setattr(watching, "LONGEST", 4)
    one, log = follower(), PHOTOS / "import.log"
    one.look()
    write("a/new.png", clock)
    added = []
    for _ in range(20):
        log.write_text("x")
        os.utime(log, (clock.now, clock.now))
        done = one.look().done
        added.append(0 if done is None else done.added)
        clock.now += 1
    assert sum(added) == 1
    assert 6 <= added.index(1) <= 10


def test_an_index_within_its_folder_does_not_wake_itself(clock, monkeypatch):
    one = Follower(PHOTOS / "in.index", PHOTOS, lambda: MODEL, options=ReadingOptions(), device="cpu")
    assert one.look().done.added == 9
    (PHOTOS / "in.index.errors.jsonl").write_text("x")
    monkeypatch.setattr(watching, "load_images", None)
    assert one.look() == watching.Round()


def test_who_writes_to_the_index_is_waited_for(monkeypatch):
    monkeypatch.setattr("nearbit.index.index.BUSY_SECONDS", 0.0)
    one = follower()
    with create_index(INDEX, 12, model_id=MODEL.model_id) as index:
        with index.writing():
            found = one.look()
            assert "is writing to it" in found.trouble
            assert found.is_late
            assert one.look().trouble == ""
        assert one.look().done.added == 9


def test_an_index_that_moves_over_to_another_model_is_followed_by_that_model():
    models = [MODEL, OTHER]

    def encoder():
        with open_index(INDEX) as index:
            return next(model for model in models if model.model_id == index.model_id)

    create_index(INDEX, 12, model_id=MODEL.model_id).close()
    one = follower(encoder)
    one.look()
    INDEX.unlink()
    create_index(INDEX, 12, model_id=OTHER.model_id).close()
    assert one.look().done.added == 9
    with open_index(INDEX, model_id=OTHER.model_id) as index:
        assert len(index) == 9


def test_an_index_that_cannot_be_written_ends_it_at_the_second_look():
    one = follower()
    one.look()
    INDEX.write_bytes(b"something else")
    assert "a.index" in one.look().trouble
    with pytest.raises(IndexFileError, match=r"a\.index"):
        one.look()


class EndedError(Exception):
    """What ends a test of `follow`."""


def test_following_goes_on_over_a_folder_that_comes_back(monkeypatch):
    """Without news: each step of the script is done after the look before it."""
    monkeypatch.setattr(watching, "_wait", lambda *_: None)
    steps = [lambda: None, lambda: PHOTOS.rename("away"), lambda: Path("away").rename(PHOTOS), lambda: None]
    looks = []

    def told(found):
        looks.append(found)
        if not steps:
            raise EndedError("no step left")
        steps.pop(0)()

    with pytest.raises(EndedError, match="no step left"):
        follow(follower(), told, polls=True)
    assert [look.done.unchanged if look.done else look.trouble[:14] for look in looks] == [
        0,
        "",
        "photos is gone",
        9,
        "",
    ]
