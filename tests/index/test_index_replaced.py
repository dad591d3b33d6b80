"""An index whose file is replaced, deleted, overwritten or carried through a fork while it is open."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from nearbit.errors import IndexFileError, InputError
from nearbit.index import create_index, open_index, replace_index

needs_posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="an open file cannot be replaced there")
pytestmark = needs_posix

CODE = np.array([[7]], np.uint8)

HOLDER = """
import sys
from nearbit.index import open_index
with open_index(sys.argv[1], read_only=True) as index:
    index.labels()
    print("open", flush=True)
    sys.stdin.readline()
"""


def made(path, n, label):
    with create_index(path, 8) as index:
        index.add(np.arange(n, dtype=np.uint8)[:, None], metadata=[{"labels": [label]}] * n)
    return path


@pytest.fixture
def live(tmp_path):
    return made(tmp_path / "live.index", 3, "old")


@pytest.fixture
def new(tmp_path):
    return made(tmp_path / "new.index", 7, "new")


def held_by_another_process(path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"open\n"
    return holder


def check(path, label, n):
    with open_index(path) as index:
        assert (index.labels(), len(index), index.verify()) == ({label: n}, n, [])


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_log_of_a_replaced_file_is_not_replayed_over_the_new_one(live, new, elsewhere):
    """Its holder is this process, or another one; an item was added that the holder's log may still hold."""
    holder = held_by_another_process(live) if elsewhere else open_index(live, read_only=True)
    with open_index(live) as index:
        index.add(CODE, metadata=[{"labels": ["old"]}])
    new.replace(live)
    check(live, "new", 7)
    with open_index(live) as index:
        index.add(CODE, metadata=[{"labels": ["new"]}])
        if elsewhere:
            holder.communicate(b"\n", timeout=20)
        else:
            holder.close()
        index.add(CODE, metadata=[{"labels": ["new"]}])
    check(live, "new", 9)


@pytest.mark.parametrize("kept", [True, False])
def test_the_log_that_a_killed_writer_left_belongs_to_its_file_alone(live, new, kept):
    """A reader keeps the log from being emptied; then all are killed."""
    child = os.fork()
    if child == 0:
        writer, reader = open_index(live), open_index(live)
        with reader._store.read() as connection:
            connection.execute("SELECT count(*) FROM items").fetchone()
            writer.add(CODE, metadata=[{"labels": ["old"]}])
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    log = live.with_name("live.index-wal")
    assert log.stat().st_size
    if kept:
        check(live, "old", 4)
    else:
        new.replace(live)
        check(live, "new", 7)
        assert live.with_name("live.index-wal-foreign").stat().st_size


def test_a_write_that_a_killed_writer_began_is_not_the_log_of_another_file(live, tmp_path):
    """Cut after every frame, and within one: only the whole write counts, and nothing is put away."""
    with open_index(live) as index, open_index(live) as reader, reader._store.read() as connection:
        connection.execute("SELECT count(*) FROM items").fetchone()
        index.add(CODE)
        log, before = live.with_name("live.index-wal").read_bytes(), live.read_bytes()
    page_bytes = int.from_bytes(log[8:12], "big")
    for end in [*range(32, len(log), 24 + page_bytes), 32 + 100, 32 + 24 + page_bytes + 100, len(log)]:
        folder = tmp_path / str(end)
        folder.mkdir()
        (folder / "cut.index").write_bytes(before)
        (folder / "cut.index-wal").write_bytes(log[:end])
        with open_index(folder / "cut.index") as index:
            assert len(index) == (4 if end == len(log) else 3)
        assert [file.name for file in folder.iterdir()] == ["cut.index"]


def test_a_log_is_empty_after_each_write(live):
    with open_index(live) as index, open_index(live) as reader:
        reader.labels()
        index.add(CODE)
        assert live.with_name("live.index-wal").stat().st_size == 0
        index.remove([1])
        assert live.with_name("live.index-wal").stat().st_size == 0


@pytest.mark.parametrize(("change", "words"), [("replace", "replaced by another file"), ("unlink", "deleted or moved")])
def test_a_handle_of_a_file_that_is_gone_neither_answers_nor_acknowledges(live, new, change, words):
    writer, reader = open_index(live), open_index(live, read_only=True)
    with writer, reader, open_index(live, read_only=True, outlives=True) as outliving:
        new.replace(live) if change == "replace" else live.unlink()
        for call in (lambda: writer.add(CODE), lambda: writer.remove([1]), writer.labels, reader.labels):
            with pytest.raises(IndexFileError, match=f"was {words} while it was open; open it again"):
                call()
        assert outliving.labels() == {"old": 3}
        assert not outliving.is_in_place()
    if change == "replace":
        check(live, "new", 7)


def test_a_write_during_which_the_file_is_replaced_is_not_acknowledged(live, new):
    def write(index):
        with index._store.write() as connection:
            connection.execute("DELETE FROM items")
            new.replace(live)

    with open_index(live) as index, pytest.raises(IndexFileError, match="was replaced by another file"):
        write(index)
    check(live, "new", 7)


def test_another_index_copied_over_an_open_one_is_noticed(live, tmp_path):
    other = made(tmp_path / "other.index", 3, "new")
    with open_index(live) as index:
        index.labels()
        shutil.copyfile(other, live)
        for call in (index.labels, lambda: index.add(CODE)):
            with pytest.raises(IndexFileError, match=r"another index was copied over .* nearbit index replace"):
                call()
        index._store.close()
    check(live, "new", 3)


def test_replace_index_swaps_what_is_open(live, new):
    holder = held_by_another_process(live)
    with open_index(live) as index:
        index.add(CODE)
        assert replace_index(live, new) == 7
        with pytest.raises(IndexFileError, match="was replaced by another file"):
            index.add(CODE)
    check(live, "new", 7)
    check(new, "new", 7)
    holder.communicate(b"\n", timeout=20)
    check(live, "new", 7)
    assert sorted(file.name for file in live.parent.iterdir()) == ["live.index", "new.index"]


def test_replace_index_refuses_what_it_cannot_do(live, new, tmp_path, monkeypatch):
    monkeypatch.setattr("nearbit.index.index.BUSY_SECONDS", 0.05)
    with pytest.raises(InputError, match="are one file"):
        replace_index(live, live)
    with pytest.raises(IndexFileError, match="does not exist"):
        replace_index(live, tmp_path / "none.index")
    (tmp_path / "far").mkdir()
    with create_index(tmp_path / "far" / "far.index", 8) as far:
        far.add(CODE, metadata=[{"path": "a.jpg"}])
    with pytest.raises(InputError, match=r"relative to its folder \(a\.jpg\)"):
        replace_index(live, tmp_path / "far" / "far.index")
    with open_index(live) as index, index.writing(), pytest.raises(IndexFileError, match=f"process {os.getpid()} on"):
        replace_index(live, new)
    with open_index(new) as index, index._store.write() as connection:
        connection.execute("UPDATE items SET code = x'09' WHERE id = 2")
    with pytest.raises(IndexFileError, match=r"is damaged, and .* was left as it is: item 2"):
        replace_index(live, new)
    check(live, "old", 3)


def in_child(action):
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_uses_nothing_of_its_parent(live):
    index = open_index(live)

    def child():
        for call in (index.labels, lambda: index.add(CODE)):
            with pytest.raises(IndexFileError, match=r"was opened by process \d+, of which this one is a fork"):
                call()
        index.close()
        with open_index(live) as own:
            own.add(CODE, metadata=[{"labels": ["old"]}])

    assert in_child(child) == 0
    index.add(CODE, metadata=[{"labels": ["old"]}])
    index.close()
    check(live, "old", 5)


@pytest.mark.parametrize("call", ["labels", "codes", "state", "verify", "compact"])
def test_a_child_forked_while_another_thread_reads_is_told_so(live, call):
    reads, done = threading.Event(), threading.Event()

    def read(index):
        with index._manager._lock, index._store.read():
            reads.set()
            done.wait()

    def child():
        signal.alarm(20)  # else it would wait for ever
        with pytest.raises(IndexFileError, match="of which this one is a fork"):
            getattr(index, call)()

    with open_index(live) as index:
        reader = threading.Thread(target=read, args=(index,))
        reader.start()
        reads.wait()
        status = in_child(child)
        done.set()
        reader.join()
    assert status == 0


def test_a_forked_child_does_not_keep_the_lock_of_a_writer_that_ended(live):
    """The writer forks while it holds the lock, and is killed; its child lives on."""
    told, tells = os.pipe()
    writer = os.fork()
    if writer == 0:
        with open_index(live) as index, index.writing():
            child = os.fork()
            if child == 0:
                signal.pause()
            os.write(tells, f"{child}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(tells)
    os.waitpid(writer, 0)
    with open(told) as lines:
        child = int(lines.readline())
    try:
        with open_index(live) as index:
            index.add(CODE, metadata=[{"labels": ["old"]}])
    finally:
        os.kill(child, signal.SIGKILL)
    check(live, "old", 4)


def test_a_child_forked_while_its_parent_writes_is_kept_out(live, monkeypatch):
    monkeypatch.setattr("nearbit.index.storage.store.BUSY_SECONDS", 0.05)

    def child():
        with open_index(live) as own, pytest.raises(IndexFileError, match="is writing to it"):
            own.add(CODE)

    with open_index(live) as index, index.writing():
        assert in_child(child) == 0
        index.add(CODE, metadata=[{"labels": ["old"]}])
    check(live, "old", 4)


@pytest.mark.parametrize("spelling", ["symbolic", "hard", "dots", "folder"])
def test_a_file_is_one_whatever_its_spelling(live, spelling, monkeypatch):
    """The other writer is another process: handles of one process are tried as well."""
    (live.parent / "b").mkdir()
    other = {"dots": live.parent / "b" / ".." / live.name, "folder": live.parent / "b" / "c" / live.name}.get(
        spelling, live.parent / "b" / "other.index"
    )
    if spelling == "symbolic":
        other.symlink_to(live)
    elif spelling == "hard":
        if sys.platform != "linux":
            pytest.skip("hard links are one file on Linux alone")
        other.hardlink_to(live)
    elif spelling == "folder":
        other.parent.symlink_to(live.parent)
    script = (
        "import sys, numpy as np\nfrom nearbit.index import open_index\nfrom nearbit.index.storage import store\n"
        "store.BUSY_SECONDS = 0.05\n"
        "with open_index(sys.argv[1]) as index: index.add(np.array([[7]], np.uint8), metadata=[{'labels': ['old']}])"
    )

    def write(path):
        return subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)

    monkeypatch.setattr("nearbit.index.storage.store.BUSY_SECONDS", 0.05)
    with open_index(live) as index, open_index(other) as again:
        with index.writing():
            assert "is writing to it" in write(live).stderr
            assert "is writing to it" in write(other).stderr
            with pytest.raises(IndexFileError, match="is writing to it"):
                again.add(CODE)
        assert write(other).returncode == 0
        assert len(index) == len(again) == 4
        index.add(CODE, metadata=[{"labels": ["old"]}])
        assert write(other).returncode == 0
        again.add(CODE, metadata=[{"labels": ["old"]}])
        assert (len(index), len(again), index.verify()) == (7, 7, [])
    check(live, "old", 7)
    check(other, "old", 7)


def test_what_belongs_to_an_index_lies_beside_the_real_file(live, monkeypatch):
    monkeypatch.setattr("nearbit.index.live.manager.CACHED_ITEMS", 1)
    (live.parent / "b").mkdir()
    link = live.parent / "b" / "link.index"
    link.symlink_to(live)
    with open_index(link) as index, index.writing():
        assert index.path == live
        assert live.with_name("live.index-writer").exists()
        index.compact()
    assert [file.name for file in link.parent.iterdir()] == ["link.index"]
    assert live.with_name("live.index-search").exists()


def test_a_link_that_leads_to_another_file_now_is_a_replaced_index(live, new):
    link = live.with_name("link.index")
    link.symlink_to(live)
    with open_index(link) as index:
        link.unlink()
        link.symlink_to(new)
        with pytest.raises(IndexFileError, match="was replaced by another file"):
            index.add(CODE)
    check(link, "new", 7)


def test_opening_again_in_one_process_keeps_the_locks_of_sqlite(live):
    """POSIX drops a process's locks on a file where any descriptor of it is closed; then others remove its log."""
    reader = open_index(live)
    reader.labels()
    with pytest.raises(IndexFileError, match="exists already"):
        create_index(live, 8)
    open_index(live).close()
    script = (
        "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.execute('SELECT * FROM meta').fetchall()\nc.close()"
    )
    subprocess.run([sys.executable, "-c", script, str(live)], check=True)
    assert live.with_name("live.index-wal").exists()
    reader.close()
    assert not live.with_name("live.index-wal").exists()


@pytest.mark.parametrize("name", [":memory:", "file:x.index?mode=memory", "", Path("postgresql://me:secret@host/db")])
def test_what_names_a_database_in_other_programs_is_no_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for call in (lambda: create_index(name, 8), lambda: open_index(name)):
        with pytest.raises(InputError, match="an index is a file or lies at an address: expected its path") as info:
            call()
        assert "secret" not in str(info.value)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_of_strangers_is_neither_followed_nor_believed(live, tmp_path, monkeypatch):
    monkeypatch.setattr("nearbit.index.storage.store.BUSY_SECONDS", 0.05)
    lock, victim = live.with_name("live.index-writer"), tmp_path / "victim"
    victim.write_text("mine")
    lock.symlink_to(victim)
    with open_index(live) as index, pytest.raises(IndexFileError, match="is a link or a folder where the lock file"):
        index.add(CODE)
    assert victim.read_text() == "mine"
    lock.unlink()
    with open_index(live) as index, index.writing(), open_index(live) as other:
        for content in (
            "[" * 100_000,
            '{"pid": "' + "x" * 1000 + '", "since": 3}',
            '{"pid": ' + "1" * 5000 + "}",
            "\xff",
        ):
            Path(lock).write_text(content, encoding="latin-1")
            with pytest.raises(IndexFileError, match="another process is writing to it; wait"):
                other.add(CODE)
