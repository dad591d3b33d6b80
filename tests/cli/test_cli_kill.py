"""kill -9 at random moments: the same command repeated until it is done ends as if nothing had happened."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nearbit.index import open_index
from nearbit.model.bundle import load_model
from tiny_data import write_folder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

TINY = ("--image-size", "8", "--epochs", "4", "--bits", "12", "--batch-size", "8")
TRAIN = ("train", "photos", *TINY, "--device", "cpu", "-o", "a.model", "--cache", "cache")
INDEX = ("index", "a.index", "photos", "--model", "../whole/a.model", "--device", "cpu", "--cache", "cache")
ENCODE = ("encode", "../whole/a.model", "photos", "-o", "a.npz", "--device", "cpu", "--cache", "cache", "--outputs")


@pytest.fixture(scope="module")
def server():
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).parent / "kill_server.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:

        def call(folder, arguments, seconds=60.0):
            given = [
                str(folder / word) if word.startswith(("photos", "a.", "cache", "../")) else word for word in arguments
            ]
            process.stdin.write(json.dumps({"arguments": given, "seconds": seconds}) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        assert process.stdout.readline() == "ready\n"
        yield call
        process.stdin.close()


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """A folder in which every command ran undisturbed, and the seconds that each took."""
    folder = tmp_path_factory.mktemp("kill") / "whole"
    write_folder(folder / "photos", per_class=6)
    seconds = {}
    for arguments in (TRAIN, INDEX, ENCODE):
        began = time.monotonic()
        assert server(folder, arguments) == 0
        seconds[arguments[0]] = time.monotonic() - began
    return folder, seconds


def until_done(server, folder, arguments, seconds, generator, kills):
    """Repeat a command, the first times killed at a random moment of those it takes; return how often it was killed."""
    for killed in range(kills):
        status = server(folder, arguments, generator.uniform(0.0, seconds))
        if status == 0:
            return killed
        assert status == -9
    assert server(folder, arguments) == 0
    return kills


def model_of(folder):
    model = load_model(folder / "a.model")
    history = [{name: value for name, value in one.items() if name != "seconds"} for one in model.record["history"]]
    centers = {name: array.tolist() for name, array in model.centers.arrays().items()}
    return model.model_id, history, centers, model.record["selected_epoch"], model.split.hash


def index_of(folder):
    with open_index(folder / "a.index") as index:
        assert index.verify() == []
        return [(item.id, item.code.tobytes(), item.path, item.labels) for item in index]


def arrays_of(folder):
    with np.load(folder / "a.npz", allow_pickle=False) as file:
        return {name: (file[name].dtype.str, file[name].shape, file[name].tobytes()) for name in file.files}


COMMANDS = {
    "train": (TRAIN, model_of, {"photos", "a.model", "cache"}),
    "index": (INDEX, index_of, {"photos", "a.index", "cache"}),
    "encode": (ENCODE, arrays_of, {"photos", "a.npz", "cache"}),
}


def kill_until(wanted, server, whole, tmp_path, name, kills):
    """Compare what rounds of killed commands end with, until so many kills were in time; return how many were."""
    reference, seconds = whole
    arguments, content, left = COMMANDS[name]
    expected, killed = content(reference), 0
    generator = random.Random(1)
    for number in range(10 * wanted):
        if killed >= wanted:
            break
        folder = tmp_path / f"{number}" / "own"
        folder.parent.mkdir()
        (folder.parent / "whole").symlink_to(reference)
        write_folder(folder / "photos", per_class=6)
        killed += until_done(server, folder, arguments, seconds[name], generator, kills)
        assert content(folder) == expected
        assert {path.name for path in folder.iterdir()} <= left
    return killed


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_that_is_repeated_ends_as_an_undisturbed_one(server, whole, tmp_path, name):
    assert kill_until(1, server, whole, tmp_path, name, kills=3) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_often_ends_as_an_undisturbed_one(server, whole, tmp_path, name):
    assert kill_until(60, server, whole, tmp_path, name, kills=8) >= 60
