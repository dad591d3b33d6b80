"""A service shows what happens to a folder that its index follows."""

from pathlib import Path

from service_site import running, wait_until

from model_makers import random_model
from nearbit.reading import ReadingOptions
from nearbit.service.settings import ServiceOptions
from nearbit.watching import Follower
from tiny_data import write_folder


def shown(site):
    return {item["path"]: item["id"] for item in site("GET", "/api/v1/items").json["items"]}


def test_files_that_come_move_and_go_are_seen_without_a_restart(tmp_path, monkeypatch):
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))
    photos = write_folder(tmp_path / "photos", per_class=2)
    model = random_model()
    follower = Follower(
        tmp_path / "a.index", photos, lambda: model, options=ReadingOptions(), device="cpu", settle=0.001
    )
    follower.look()
    with running(ServiceOptions(index=tmp_path / "a.index")) as site:
        before = shown(site)
        assert len(before) == 6
        Path(photos / "a" / "000.png").rename(photos / "b" / "moved.png")
        Path(photos / "c" / "004.png").unlink()
        write_folder(tmp_path / "more", per_class=1, seed=5)
        Path(tmp_path / "more" / "a" / "000.png").rename(photos / "c" / "new.png")
        wait_until(lambda: not follower.look().is_late, 60)
        wait_until(lambda: "photos/c/new.png" in shown(site))
        now = shown(site)
        assert now["photos/b/moved.png"] == before["photos/a/000.png"]
        assert not {"photos/a/000.png", "photos/c/004.png"} & now.keys()
        assert len(now) == 6
