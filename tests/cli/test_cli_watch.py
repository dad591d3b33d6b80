"""`nearbit watch` as its user runs it: in a process of its own, stopped and killed and started again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_makers import random_model
from nearbit.cli.commands.index import watch as watch_command
from nearbit.cli.console import echo
from nearbit.index import open_index
from nearbit.model.bundle import load_model

pytest.importorskip("watchdog", reason="skipped: watchdog is not installed (extra [watch])")

OPTIONS = ("--settle", "0.2", "--device", "cpu", "--json")


@pytest.fixture
def watch(photos_and_model):
    """Start the command; what it says is read line by line, and it has ended when the test has."""
    started = []

    def start(*arguments, folder="photos"):
        command = [sys.executable, "-m", "nearbit", "watch", folder, "a.index", *OPTIONS, *arguments]
        errors = open(f"errors{len(started)}.txt", "w+")  # noqa: SIM115 - closed below
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ)
        too_long = threading.Timer(300, process.kill)  # then a test fails instead of waiting for ever
        too_long.start()
        started.append((process, errors, too_long))
        return process

    yield start
    for process, errors, too_long in started:
        too_long.cancel()
        process.kill()
        process.communicate()
        errors.close()


def said(process):
    line = process.stdout.readline()
    assert line, "it has ended"
    return json.loads(line)


def wait_for(process, **expected):
    """Read lines until one says this; return it."""
    while True:
        found = said(process)
        if all(found[name] == value for name, value in expected.items()):
            return found


def wait_until(holds, *processes):
    """Wait until something holds, for which these processes have to run."""
    end = time.monotonic() + 300
    while not holds():
        assert [process.poll() for process in processes] == [None] * len(processes)
        assert time.monotonic() < end
        time.sleep(0.05)


def picture(path, seed=0):
    Path(path).parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)).save(path)


def paths():
    with open_index("a.index", read_only=True) as index:
        return {path: item_id for path, item_id, _ in index.paths()}


def test_files_are_followed_and_what_is_damaged_is_said_once_until_a_signal_and_at_the_next_start(watch):
    process = watch("--model", "a.model")
    wait_for(process, items=9)
    before = paths()
    picture("photos/a/new.png")
    wait_for(process, items=10)
    Path("photos/a/new.png").rename("photos/b/moved.png")
    found = wait_for(process, moved=1)
    assert found["items"] == 10
    Path("photos/a/broken.png").write_bytes(Path("photos/a/000.png").read_bytes()[:60])
    wait_until(lambda: "broken.png" in Path("errors0.txt").read_text(), process)
    Path("photos/b/moved.png").unlink()
    wait_for(process, items=9)
    assert paths() == before
    assert Path("errors0.txt").read_text().count("skipped: a/broken.png: ") == 1
    Path("photos/a/broken.png").unlink()
    for sent in (signal.SIGTERM, signal.SIGINT):
        process.send_signal(sent)
        assert process.wait(60) == 0
        assert "stopped; nothing is half-written" in Path("errors0.txt").read_text()
        Path("photos/a/000.png").unlink(missing_ok=True)
        picture("photos/c/more.png", seed=2)
        process = watch()  # the model is the one that the index names
        found = wait_for(process, items=9)
    assert paths().keys() == before.keys() - {"photos/a/000.png"} | {"photos/c/more.png"}


def test_a_second_signal_changes_nothing_of_the_goodbye(photos_and_model, nearbit, monkeypatch):
    def say(text):
        if "stopped" in text:
            signal.raise_signal(signal.SIGINT)
        echo(text)

    def stop(*_, **__):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("nearbit.cli.commands.index.watch.echo", say)
    monkeypatch.setattr("nearbit.watching.follow", stop)
    before = signal.getsignal(signal.SIGINT)
    status, _, err = nearbit("watch", "photos", "a.index", "--model", "a.model")
    assert (status, err.count("alf-written")) == (0, 1)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
def test_killed_again_and_again_it_ends_as_the_mirror(watch):
    rng = np.random.default_rng(0)
    for attempt in range(2):
        process = watch("--model", "a.model")
        if attempt:
            said(process)
        picture(f"photos/a/{attempt}.png", seed=10 + attempt)
        picture(f"photos/d{attempt}/x.png", seed=20 + attempt)
        time.sleep(float(rng.uniform(0, 1.5)))
        process.kill()
        process.wait(60)
    process = watch("--model", "a.model")
    while (found := said(process))["items"] != 13 or found["waiting"]:
        pass
    with open_index("a.index") as index:
        assert {path for path, _, _ in index.paths()} == {str(file) for file in Path("photos").rglob("*.png")}
        assert index.verify() == []


@pytest.mark.slow
def test_two_on_one_index_take_turns(watch):
    first, second = watch("--model", "a.model"), watch("--model", "a.model")
    wait_for(first, items=9)
    wait_for(second, items=9)
    picture("photos/a/new.png")
    wait_until(lambda: "photos/a/new.png" in paths(), first, second)
    with open_index("a.index") as index:
        assert len(index) == 10
        assert index.verify() == []


@pytest.mark.slow
def test_without_news_it_looks_every_so_often_and_a_new_index_needs_no_model(watch):
    process = watch("--poll", "0.3", "--backbone", "thumbnail", "--bits", "8")
    wait_for(process, items=9)
    picture("photos/a/new.png")
    wait_for(process, items=10)
    assert Path("a.index.model/bundle.json").is_file()


@pytest.mark.slow
def test_a_folder_called_as_a_built_in_set_is_followed_itself(photos_and_model, watch):
    Path("photos").rename("shapes")
    process = watch("--backbone", "thumbnail", "--bits", "8", folder="shapes")
    wait_for(process, items=9)
    assert json.loads(Path("a.index.model/bundle.json").read_text())["record"]["n_train"] == 9


@pytest.mark.slow
@pytest.mark.parametrize("named", [("--model", "a.model"), ("--backbone", "thumbnail", "--bits", "8")])
def test_a_new_index_keeps_the_outputs_that_are_asked_for(watch, named):
    process = watch("--keep-outputs", "int8", *named)
    wait_for(process, items=9)
    with open_index("a.index", read_only=True) as index:
        assert index.outputs == "int8"
        assert index.kept_outputs([1, 9]).any(axis=1).all()


def test_an_index_that_was_moved_over_to_another_model_is_followed_by_that_one(photos_and_model, as_json):
    as_json("index", "add", "a.index", "photos", "--model", "a.model")
    encoder = watch_command._encoder(Path("a.index"), Path("a.model"), None)
    first = encoder().model_id
    random_model(seed=5).save("b.model")
    as_json("index", "reencode", "a.index", "--model", "b.model")
    assert encoder().model_id == load_model("b.model").model_id != first


def test_what_cannot_be_watched_is_one_line(photos_and_model, refused):
    assert "'nothing' does not exist" in refused("watch", "nothing", "a.index")
    assert "is a file" in refused("watch", "photos/a/000.png", "a.index")
    assert "photographs want a pretrained backbone" in refused("watch", "photos", "a.index")
    assert not Path("a.index").exists()
