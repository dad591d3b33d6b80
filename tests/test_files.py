"""Files and folders that are whole or absent, also when their writer is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nearbit.files import (
    cache_folder,
    json_digest,
    path_seen_from,
    read_checked,
    remove_orphans,
    sha256_of,
    whole_folder,
    write_checked,
    write_json,
    write_whole,
)

KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from nearbit.files import whole_folder, write_whole

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
    with whole_folder(target) as folder:
        (folder / "file").write_text("old")
    rename = Path.rename

    def interrupted(self, other):
        if self.suffix == ".tmp":
            raise KeyboardInterrupt("now")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt, match="now"), whole_folder(target) as folder:
        (folder / "file").write_text("new")
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


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

    def other_drive(*paths):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr("os.path.relpath", other_drive)
    assert path_seen_from(tmp_path / "a", tmp_path / "b") == (tmp_path / "b").as_posix()
