"""How long a comparison will take, said after each run; and tables as soon as a seed is whole."""

import re
from functools import partial

import pytest

from nearbit.compare.bench import Work
from nearbit.compare.folder import Cell
from nearbit.compare.run import Grid, compare
from nearbit.compare.time_left import TimeLeft, seconds_of
from nearbit.training import TrainOptions
from tiny_data import tiny_dataset, tiny_split


def cell(method="crh", bits=8, seed=0, head="auto"):
    return Cell(method=method, head=head, n_bits=bits, seed=seed)


def test_nothing_is_said_before_anything_was_measured():
    left = TimeLeft([cell(), cell(seed=1)], {}, 1)
    assert left.seconds() is None
    left.ended(cell(), None)
    assert left.seconds() is None


def test_runs_are_expected_to_take_what_the_nearest_kind_took():
    cells = [cell(seed=seed) for seed in range(3)] + [cell(bits=16), cell("csq")]
    left = TimeLeft(cells, {}, 1)
    left.ended(cell(), 10.0)
    assert left.seconds() == pytest.approx(4 * 10)
    left.ended(cell(bits=16), 30.0)
    assert left.seconds() == pytest.approx(10 + 10 + 20), "two of its own kind, and one of all"
    left.ended(cell("csq"), 5.0)
    assert left.seconds() == pytest.approx(20)


def test_runs_that_were_done_before_take_no_time_and_say_how_long_others_will():
    left = TimeLeft([cell(), cell(seed=1), cell(seed=2)], {cell(): 8.0}, 1)
    assert left.seconds() == pytest.approx(16)


def test_several_processes_share_the_runs_but_none_is_shorter_than_itself():
    cells = [cell(seed=seed) for seed in range(5)]
    left = TimeLeft(cells, {cells[0]: 10.0}, 2)
    assert left.seconds() == pytest.approx(20)
    left = TimeLeft(cells, {cells[0]: 10.0}, 8)
    assert left.seconds() == pytest.approx(10)


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [
        ({"seconds": {"features": 9.0, "similarity": None, "training": 2.0, "evaluation": 0.5}}, 2.5),
        ({"seconds": {"similarity": 1.0, "training": 2.0, "evaluation": 0.5}}, 3.5),
        ({"seconds": {}}, None),
        ({"seconds": 3}, None),
        ({}, None),
    ],
)
def test_seconds_of_a_run_are_what_each_run_of_its_kind_takes(facts, seconds):
    assert seconds_of(facts) == seconds


@pytest.fixture
def work(tmp_path):
    options = TrainOptions(image_size=8, epochs=1, batch_size=8, device="cpu")
    return Work(
        load=tiny_dataset,
        split=lambda dataset, seed: tiny_split(dataset, seed=seed),
        options=options,
        folder=tmp_path / "out",
        cache=None,
    )


def test_each_line_but_the_last_says_how_long_the_others_will_take(work):
    lines = []
    compare(work, Grid(methods=("crh", "itq"), bits=(4,), seeds=(0, 1)), processes=1, say=lines.append)
    done = [line for line in lines if ": done, " in line]
    assert re.fullmatch(r"1/4 crh-auto-4-seed0: done, mAP \d\.\d{4}; about \d+ s left", done[0])
    assert not lines[-1].endswith("left")
    again = []
    compare(work, Grid(methods=("crh", "csq"), bits=(4,), seeds=(0, 1)), processes=1, say=again.append)
    assert re.fullmatch(r"1/4 crh-auto-4-seed0: kept, .*; about \d+ s left", again[0]), "known from before"


def test_a_seed_is_whole_before_the_next_begins_and_holds_every_method(work):
    told = []
    compare(
        work, Grid(methods=("crh", "itq"), bits=(4, 6), seeds=(2, 5)), processes=1,
        say=lambda line: told.append(line.split()[1]), after_seed=partial(told.append),
    )  # fmt: skip
    assert told[4] == 2
    assert len(told) == 9, "after the last seed the caller goes on by itself"
    assert sorted(told[:4]) == ["crh-auto-4-seed2:", "crh-auto-6-seed2:", "itq-4-seed2:", "itq-6-seed2:"]


def test_a_small_set_is_told_before_the_first_run(work):
    told = []
    compare(
        work, Grid(methods=("crh",), bits=(4,), seeds=(0,)), processes=1,
        say=lambda line: told.append("run"), warn=told.append,
    )  # fmt: skip
    assert told[0].startswith("A small set: 6 queries.")
    assert told[-1] == "run"
