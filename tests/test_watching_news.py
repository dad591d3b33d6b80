"""News of a folder that an index follows: which changes are heard, and which are the index's own."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from nearbit.errors import InputError
from nearbit.watching import is_of_index, listen
from tiny_data import write_folder

PHOTOS, INDEX = Path("photos"), Path("a.index")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folder(PHOTOS, per_class=1)


def test_news_wake_and_files_that_are_only_read_do_not():
    pytest.importorskip("watchdog", reason="skipped: watchdog is not installed (extra [watch])")
    news = threading.Event()
    with listen(PHOTOS, PHOTOS / "in.index", news):
        (PHOTOS / "a" / "000.png").read_bytes()
        (PHOTOS / "in.index-wal").write_bytes(b"x")
        assert not news.wait(0.5)
        for change in (
            lambda: (PHOTOS / "a" / "x.png").write_bytes(b"x"),
            lambda: (PHOTOS / "a" / "x.png").rename(PHOTOS / "b" / "y.png"),
            (PHOTOS / "b" / "y.png").unlink,
            (PHOTOS / "new").mkdir,
            lambda: (PHOTOS / "new" / "x.png").write_bytes(b"x"),
        ):
            change()
            assert news.wait(20)
            while news.is_set():  # some changes are told in several steps
                news.clear()
                news.wait(0.3)


ENDINGS = (
    "", "-wal", "-wal-foreign", "-journal", "-writer", "-search", "-thumbs", "-images/1.png", "-reencoding-lock",
    ".model/weights.safetensors", ".model-lock", ".errors.jsonl",
)  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_belongs_to_an_index_is_known_by_its_name(ending):
    assert is_of_index(f"/p/birds{ending}", "/p/birds", "/p")
    assert not is_of_index(f"/q/birds{ending}", "/p/birds", "/")


@pytest.mark.parametrize("name", ["birds1.png", "birds-1.png", "birds.png", "birds-searching.png", "birds.models.png"])
def test_an_image_whose_name_begins_as_that_of_the_index_is_none_of_its_files(name):
    assert not is_of_index(f"/p/{name}", "/p/birds", "/p")


@pytest.mark.parametrize("index", ["photo", "photos", "photos-x"])
def test_news_of_a_folder_whose_name_begins_as_that_of_the_index(index):
    pytest.importorskip("watchdog", reason="skipped: watchdog is not installed (extra [watch])")
    news = threading.Event()
    root = PHOTOS.parent / "photos-images"
    root.mkdir()
    with listen(root, PHOTOS.parent / index, news):
        (root / "1.png").write_bytes(b"x")
        assert news.wait(20)


def test_a_system_that_lets_no_more_be_watched_names_the_way_out(monkeypatch):
    pytest.importorskip("watchdog", reason="skipped: watchdog is not installed (extra [watch])")

    def refuse(*_, **__):
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("watchdog.observers.Observer", lambda: SimpleNamespace(schedule=refuse))
    message = r"does not let photos be watched \(inotify watch limit reached\).*max_user_watches.*--poll"
    with pytest.raises(InputError, match=message), listen(PHOTOS, INDEX, threading.Event()):
        pass
