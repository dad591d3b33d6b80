"""Files and folders that are whole or absent, also when their writer is killed."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from nearbit.errors import InputError
from nearbit.files import aside
from nearbit.files.addresses import FilePlace
from nearbit.files.writing import (
    cache_folder,
    json_digest,
    path_seen_from,
    read_checked,
    remove_orphans,
    restore_folder,
    sha256_of,
    whole_folder,
    write_checked,
    write_json,
    write_whole,
)
from nearbit.index import create_index

KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from nearbit.files.writing import whole_folder, write_whole

def half(aside):
    aside.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

target = Path(sys.argv[2])
if sys.argv[1] == "file":
    write_whole(target, half)
with whole_folder(target) as folder:
    half(folder / "file")
"""

needs_kill = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


def killed_writer(kind, target):
    done = subprocess.run([sys.executable, "-c", KILLED_WRITER, kind, str(target)], check=False)
    assert done.returncode == -9


@needs_kill
@pytest.mark.parametrize("name", ["a.json", "odd (name) [x].*", "new\nline"])
def test_a_killed_writer_leaves_the_old_file_and_the_next_one_clears_up(tmp_path, name):
    target = tmp_path / name
    write_json(target, {"old": True})
    killed_writer("file", target)
    assert "old" in target.read_text()
    assert len(list(tmp_path.iterdir())) == 2
    write_json(target, {"new": True})
    assert "new" in target.read_text()
    assert list(tmp_path.iterdir()) == [target]


@needs_kill
def test_a_killed_writer_leaves_the_old_folder_and_the_next_one_clears_up(tmp_path):
    target = tmp_path / "a.model"
    with whole_folder(target) as folder:
        (folder / "file").write_text("old")
    killed_writer("folder", target)
    assert (target / "file").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    with whole_folder(target) as folder:
        (folder / "file").write_text("new")
    assert (target / "file").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@needs_kill
def test_only_what_dead_writers_of_the_same_target_left_is_removed(tmp_path):
    killed_writer("file", tmp_path / "other.json")
    (left,) = tmp_path.iterdir()
    process = left.name.split("-")[-2].split(".")[-1]
    alive = left.with_name(left.name.replace("other", "mine").replace(f"-{process}-", f"-{os.getpid()}-"))
    elsewhere = left.with_name(".mine.json.00000000-1-00000000.tmp")
    like = tmp_path / ".mine.json.tmp"
    for path in (alive, elsewhere, like):
        path.write_text("kept")
    write_json(tmp_path / "mine.json", 1)
    assert set(tmp_path.iterdir()) == {left, alive, elsewhere, like, tmp_path / "mine.json"}
    remove_orphans(tmp_path)
    assert set(tmp_path.iterdir()) == {alive, elsewhere, like, tmp_path / "mine.json"}


def test_a_writer_that_fails_leaves_everything_as_it_was(tmp_path):
    def fail(aside):
        aside.write_text("half")
        raise OSError("disk full")

    write_json(tmp_path / "a.json", "old")
    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "a.json", fail)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]
    with pytest.raises(OSError, match="disk full"), whole_folder(tmp_path / "folder") as folder:
        fail(folder / "file")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    target = tmp_path / "a.model"
    fill(target, "old")
    rename = Path.rename

    def interrupted(self, other):
        if self.suffix == ".tmp":
            raise KeyboardInterrupt("now")
        return rename(self, other)

    monkeypatch.setattr(aside, "swap", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt, match="now"):
        fill(target, "new")
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def fill(target, text):
    with whole_folder(target) as folder:
        for name in ("file", "other"):
            (folder / name).write_text(text)


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from nearbit.files import aside
from nearbit.files.writing import whole_folder, write_whole

kind, target, at, when = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if kind == "steps":
    aside.swap = lambda one, other: False
count = 0

def killing(call):
    def wrapped(*arguments, **named):
        global count
        count += 1
        mine = count
        if mine == at and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return call(*arguments, **named)
        finally:
            if mine == at:
                os.kill(os.getpid(), signal.SIGKILL)
    return wrapped

os.fsync, os.rename, os.replace = killing(os.fsync), killing(os.rename), killing(os.replace)
os.rmdir, os.unlink, os.mkdir = killing(os.rmdir), killing(os.unlink), killing(os.mkdir)
aside.swap = killing(aside.swap)
if kind == "file":
    write_whole(target, lambda aside: aside.write_text("new"))
else:
    with whole_folder(target) as folder:
        for name in ("file", "other"):
            (folder / name).write_text("new")
"""


@needs_kill
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["file", "swap", "steps"])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_one_whole(tmp_path, kind, when):
    seen, target = set(), tmp_path / "a.model"
    for at in range(1, 30):
        if kind == "file":
            target.write_text("old")
        else:
            fill(target, "old")
        done = subprocess.run([sys.executable, "-c", KILLED_AT, kind, str(target), str(at), when], check=False)
        if kind == "steps":
            restore_folder(target)
        texts = [target.read_text()] if kind == "file" else [(target / n).read_text() for n in ("file", "other")]
        assert len(set(texts)) == 1, f"killed at step {at}"
        seen.add(texts[0])
        if done.returncode == 0:
            break
        assert done.returncode == -9
    else:
        pytest.fail("no run came to its end")
    assert at > 4
    assert seen == {"old", "new"}
    if kind == "file":
        write_json(target, 1)
    else:
        fill(target, "last")
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="needs a system that exchanges names")
def test_two_folders_change_places_in_one_step(tmp_path):
    fill(tmp_path / "a", "a")
    fill(tmp_path / "b", "b")
    if not aside.swap(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system does not exchange names")
    assert (tmp_path / "a" / "file").read_text() == "b"
    assert (tmp_path / "b" / "file").read_text() == "a"
    with pytest.raises(OSError, match="No such file or directory"):
        aside.swap(tmp_path / "a", tmp_path / "missing")


def left_behind(target, process):
    """Move a folder away as a writer without exchange does, in the name of a process."""
    fill(target, "old")
    name = aside.beside(target).with_suffix(".old").name.replace(f"-{os.getpid()}-", f"-{process}-")
    return target.rename(target.with_name(name))


def test_a_folder_that_a_dead_writer_moved_away_comes_back(tmp_path):
    target = tmp_path / "a.model"
    moved = left_behind(target, 2**22 + 1)
    remove_orphans(tmp_path)
    assert moved.is_dir(), "it is the only one there is"
    restore_folder(target)
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    left_behind(target, 2**22 + 1)
    fill(target, "new")
    assert (target / "file").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]
    restore_folder(tmp_path / "never.model")
    restore_folder(tmp_path / "no folder" / "never.model")


def test_a_living_writer_is_waited_for_and_one_that_stays_away_is_not(tmp_path, monkeypatch):
    target = tmp_path / "a.model"
    left_behind(target, os.getpid())
    fresh = tmp_path / "fresh"
    fill(fresh, "new")
    threading.Timer(0.2, lambda: fresh.rename(target)).start()
    restore_folder(target)
    assert (target / "file").read_text() == "new"
    monkeypatch.setattr(aside, "PATIENCE", 0.05)
    shutil.rmtree(target)
    restore_folder(target)
    assert (target / "file").read_text() == "old"


def test_of_a_link_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    fill(tmp_path / "disk" / "big.model", "old")
    write_json(tmp_path / "disk" / "big.json", "old")
    for name in ("model", "json"):
        try:
            (tmp_path / f"a.{name}").symlink_to(Path("disk") / f"big.{name}")
        except OSError:
            pytest.skip("no links here")
    fill(tmp_path / "a.model", "new")
    write_json(tmp_path / "a.json", "new")
    assert (tmp_path / "a.model").is_symlink()
    assert (tmp_path / "a.json").is_symlink()
    assert (tmp_path / "disk" / "big.model" / "file").read_text() == "new"
    assert (tmp_path / "disk" / "big.json").read_text() == '"new"\n'


@pytest.mark.skipif(os.name == "nt", reason="needs pipes in the file system")
def test_a_device_a_pipe_or_a_folder_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe is a device or a pipe, not a file that could be replaced"):
        write_json(tmp_path / "pipe", 1)
    with pytest.raises(InputError, match="is a folder, not a file that could be replaced"):
        write_json(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_an_error_of_the_system_names_what_was_to_be_written(tmp_path):
    def full(aside):
        aside.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*a\.json'"):
        write_whole(tmp_path / "a.json", full)
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*a\.model'"),
        whole_folder(tmp_path / "a.model") as it,
    ):
        full(it / "file")
    with pytest.raises(OSError, match=r"No such file or directory: '.*elsewhere'"), whole_folder(tmp_path / "a.model"):
        (tmp_path / "elsewhere").read_text()
    assert list(tmp_path.iterdir()) == []


def test_the_file_that_is_replaced_can_be_kept_under_another_name(tmp_path):
    path, kept = tmp_path / "a", tmp_path / "a.before"
    write_checked(path, b"1", before=kept)
    assert not kept.exists()
    write_checked(path, b"2", before=kept)
    assert (read_checked(path), read_checked(kept)) == (b"2", b"1")


def test_a_text_that_is_not_utf8_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.json cannot hold the text .*bad.*not UTF-8"):
        write_json(tmp_path / "a.json", {"label": "bad\ud83d"})
    assert list(tmp_path.iterdir()) == []


def test_checked_files_are_read_only_as_they_were_written(tmp_path):
    path = tmp_path / "new" / "a"
    write_checked(path, b"content")
    assert read_checked(path) == b"content"
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 128]) + whole[at + 1 :])
        assert read_checked(path) is None
        path.write_bytes(whole[:at])
        assert read_checked(path) is None
    assert read_checked(tmp_path / "missing") is None
    assert read_checked(tmp_path) is None
    write_checked(path, b"")
    assert read_checked(path) == b""


def test_json_is_written_readable_and_refuses_what_json_has_not(tmp_path):
    write_json(tmp_path / "a.json", {"name": "Zaunkönig"})
    assert "Zaunkönig" in (tmp_path / "a.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))


def test_digests(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "a") == known
    assert json_digest({"a": 1, "b": 2}) == json_digest({"b": 2, "a": 1})
    assert json_digest([1, 2]) != json_digest([2, 1])


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "named"))
    assert cache_folder() == tmp_path / "named"
    monkeypatch.delenv("NEARBIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "nearbit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "nearbit"


def test_a_path_is_seen_from_a_folder_or_absolute_where_none_leads_there(tmp_path, monkeypatch):
    assert path_seen_from(tmp_path / "a", tmp_path / "b" / "c.png") == "../b/c.png"
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    assert path_seen_from(tmp_path, tmp_path / "link" / "c.png") == "link/c.png"
    assert path_seen_from(tmp_path, tmp_path / "link" / ".." / "c.png") == "real/c.png"
    assert path_seen_from(tmp_path, tmp_path / "b" / ".." / "c.png") == "c.png"

    def other_drive(*paths):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr("os.path.relpath", other_drive)
    assert path_seen_from(tmp_path / "a", tmp_path / "b") == (tmp_path / "b").as_posix()


def test_an_output_takes_the_place_of_no_index(tmp_path):
    place = tmp_path / "a.index"
    with create_index(place, 8) as index:
        index.add(np.zeros((1, 1), np.uint8))
    before = place.read_bytes()
    for path in (place, tmp_path / "link.npz"):
        if path != place:
            path.symlink_to(place)
        with pytest.raises(InputError, match=r"is an index or another database, which no output replaces: choose"):
            write_whole(path, lambda aside: aside.write_text("x"))
        with pytest.raises(InputError, match=r"is an index or another database"):
            FilePlace.of(path).fill(lambda aside: aside.write_text("x"))
    assert place.read_bytes() == before
    write_whole(place, lambda aside: aside.write_text("x"), over_database=True)
    write_whole(place, lambda aside: aside.write_text("y"))
    assert place.read_text() == "y"
