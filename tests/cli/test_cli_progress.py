"""What a training says of its time: an estimate at its start, lines in a log, and that it ended early."""

import re
from types import SimpleNamespace

import pytest

from nearbit.cli.console import Bars
from nearbit.cli.train_told import printing_callbacks
from nearbit.progress import about
from nearbit.training import trainer
from tiny_data import TINY, write_folder


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about 1 s"),
        (42.4, "about 42 s"),
        (89, "about 89 s"),
        (91, "about 2 min"),
        (1500, "about 25 min"),
        (5400, "about 1.5 h"),
        (36000, "about 10 h"),
    ],
)
def test_durations_in_words(seconds, words):
    assert about(seconds) == words


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is moved: `clock[0] += 1`."""
    now = [50.0]
    monkeypatch.setattr("nearbit.cli.console.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_a_log_gets_a_line_each_half_minute_with_the_time_left(clock, capsys):
    with Bars() as show:
        for done in range(1, 11):
            show("Training", done, 10)
            clock[0] += 10
        show("Another", 1, 3)
        clock[0] += 31
        show("Another", 2, 3)
    assert capsys.readouterr().err.splitlines() == [
        "Training: 4 of 10, about 60 s left",
        "Training: 7 of 10, about 30 s left",
        "Another: 2 of 3, about 31 s left",
    ]


def test_a_stage_that_comes_again_has_a_time_of_its_own(clock, capsys):
    with Bars() as show:
        for done in range(1, 4):
            show("Training", done, 3)
            clock[0] += 10
        clock[0] += 1000
        show("Training", 1, 3)
        clock[0] += 31
        show("Training", 2, 3)
    assert capsys.readouterr().err.splitlines() == ["Training: 2 of 3, about 31 s left"]


def test_an_estimate_stands_at_the_start_and_an_early_end_in_the_result(nearbit, tmp_path, monkeypatch):
    monkeypatch.setattr("nearbit.progress.MEASURED_SECONDS", 0.0)
    monkeypatch.setattr("nearbit.cli.train_told.WORTH_SAYING", 0.0)
    monkeypatch.setattr(trainer.Trainer, "validation_map", lambda self: 0.5)
    write_folder(tmp_path / "photos")
    command = ("train", tmp_path / "photos", "-o", tmp_path / "m.model", *TINY, "--epochs", 12, "--patience", 5)
    status, out, err = nearbit(*command)
    assert status == 0, err
    assert re.search(r"12 bits, linear head: about \d+ s at most: 12 epochs of \d+ steps\n", err)
    assert "epoch 10 of 12 (ended after 10: no gain in 5, --patience), validation mAP 0.5000" in out


def test_the_best_epoch_so_far_stands_in_the_line(clock, capsys):
    with Bars() as show, printing_callbacks(None, show) as callbacks:
        for number, score in enumerate((0.5, 0.75, None, 0.75, 0.25), start=1):
            callbacks.epoch("linear", {"epoch": number} | ({} if score is None else {"validation_map": score}))
            show("Training", number, 10)
            clock[0] += 31
        callbacks.epoch("classifier", {"epoch": 1})
        assert show.note == "", "nothing is validated"
        callbacks.resumed("Training", 5, 10)
        callbacks.epoch("hidden", {"epoch": 6, "validation_map": 0.5})
        assert show.note == "best since epoch 5: mAP 0.5000, epoch 6"
        callbacks.epoch("final-hidden", {"epoch": 1, "validation_map": 0.25})
        assert show.note == "best so far: mAP 0.2500, epoch 1"
    said = capsys.readouterr().err.splitlines()
    shown = [line.partition("; ")[2] for line in said[:4]]
    assert shown == [f"best so far: mAP 0.7500, epoch {epoch}" for epoch in (2, 2, 4, 4)]
    assert show.note == ""
