"""The whole road by the command line on real photographs with several labels: MS COCO, frozen MobileNetV2 features."""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from nearbit.cli.main import run

CHANCE = 0.31  # the share of image pairs that have a label in common

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not {"NEARBIT_DATA", "NEARBIT_WEIGHTS"} <= set(os.environ),
        reason="NEARBIT_DATA and NEARBIT_WEIGHTS do not name the real images and weights",
    ),
    pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed"),
]


@pytest.fixture
def answer(tmp_path, monkeypatch, capsys):
    """Return a function that runs a command with --json in an empty folder and returns its object."""
    monkeypatch.setenv("NEARBIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        assert run([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.mark.parametrize("method", ["crh", "csq"])
def test_photographs_with_several_labels_are_found(answer, method):
    data = str(Path(os.environ["NEARBIT_DATA"]) / "coco-mini")
    backbone = f"hf:{Path(os.environ['NEARBIT_WEIGHTS']) / 'mobilenet_v2'}"
    options = ("--backbone", backbone, "--image-size", "160", "--epochs", "15", "--bits", "32", "--head", "hidden")
    trained = answer("train", data, "--protocol", "given", "--method", method, *options, "-o", "m.model")
    assert trained["split"]["query"] == 100
    indexed = answer("index", "add", "m.index", data, "--model", "m.model", "--part", "database")
    assert indexed["items"] == trained["split"]["database"]
    found = answer("search", "m.index", "--id", "1", "-k", "5")["results"][0]["neighbors"]
    assert found[0]["distance"] == 0
    assert answer("evaluate", "m.model", data)["tie_aware_map"] > CHANCE + 0.1
