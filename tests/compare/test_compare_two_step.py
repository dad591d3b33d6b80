"""A comparison in two steps: the backbone of a seed is tuned once, and all its cells are trained on its features."""

import os
import signal
from dataclasses import replace
from functools import partial
from multiprocessing import parent_process
from pathlib import Path

import pytest

from nearbit.compare.bench import Work
from nearbit.compare.folder import Cell, read_cell
from nearbit.compare.run import Grid, compare
from nearbit.datasets import make_split
from nearbit.errors import TrainingError
from nearbit.files.writing import write_checked
from nearbit.training import TrainOptions
from nearbit.training.runs.baseline import useful_options
from nearbit.training.stages.tuning import Tuning
from tiny_data import tiny_dataset, tiny_split

OPTIONS = TrainOptions(regime="two-step", image_size=8, epochs=2, batch_size=8, learning_rate=0.005, device="cpu")
GRID = Grid(methods=("ridge", "itq"), bits=(4, 8), heads=("hidden",), seeds=(0, 1))


def split_of(dataset, seed):
    return tiny_split(dataset, seed=seed)


@pytest.fixture
def work(tmp_path):
    return Work(
        load=tiny_dataset, split=split_of, options=OPTIONS, folder=tmp_path / "out", cache=tmp_path / "cache",
        keep_models=True,
    )  # fmt: skip


def tuned_in(work):
    return sorted((work.cache / "stages").glob("tuned-*.weights"))


def test_all_cells_of_a_seed_share_one_backbone(work, monkeypatch):
    trained, whole = [], Tuning._train
    monkeypatch.setattr(Tuning, "_train", lambda self, *given: trained.append(self.key()) or whole(self, *given))
    lines = []
    found = compare(work, GRID, processes=1, say=lines.append)
    assert [result.status for result in found.results] == ["done"] * 8
    assert {result.facts["regime"] for result in found.results} == {"two-step"}
    assert len(set(trained)) == len(trained) == len(tuned_in(work)) == 2
    assert lines[:2] == ["seed 0: its backbone is fine-tuned", "seed 1: its backbone is fine-tuned"]
    assert not list((work.folder / "checkpoints").glob("tuning*"))
    compare(work, replace(GRID, bits=(4, 8, 12)), processes=1)
    assert len(trained) == 2
    for one in tuned_in(work):
        one.unlink()
    again = []
    compare(work, GRID, processes=1, say=again.append)
    assert again[:2] == ["seed 0: no run needs its backbone", "seed 1: no run needs its backbone"]
    assert len(trained) == 2


def test_classes_that_are_unseen_have_no_part_in_the_backbone(work, monkeypatch):
    trained, whole = [], Tuning._train
    monkeypatch.setattr(Tuning, "_train", lambda self, *given: trained.append(self.key()) or whole(self, *given))
    unseen = replace(
        work,
        load=partial(tiny_dataset, n_classes=4),
        split=lambda dataset, seed: make_split(dataset, seed=seed, unseen=["d"], protocol="seen@seen"),
    )
    found = compare(unseen, replace(GRID, bits=(8,), methods=("csq", "itq"), seeds=(0,)), processes=1)
    assert [result.status for result in found.results] == ["done"] * 2
    assert len(trained) == 1


def test_it_does_not_depend_on_how_many_processes_there_are(work, tmp_path):
    other = replace(work, folder=tmp_path / "other", cache=tmp_path / "other-cache")
    grid = replace(GRID, bits=(8,), methods=("ridge", "itq"))
    compare(work, grid, processes=1)
    compare(other, grid, processes=2)
    assert len(tuned_in(other)) == 2
    for seed in grid.seeds:
        one, two = (
            read_cell(folder, Cell(method="ridge", head="-", n_bits=8, seed=seed)).facts
            for folder in (work.folder, other.folder)
        )
        assert one["key"] == two["key"]
        assert one["report"] == two["report"]


def test_a_backbone_that_cannot_be_tuned_fails_the_cells_of_its_seed_at_once(work, monkeypatch):
    tried, whole = [], Tuning._train

    def broken(self, *given):
        tried.append(self.context.options.seed)
        if self.context.options.seed == 1:
            raise TrainingError("the loss became not finite")
        return whole(self, *given)

    monkeypatch.setattr(Tuning, "_train", broken)
    lines = []
    found = compare(work, replace(GRID, bits=(4, 8), methods=("csq",)), processes=1, say=lines.append)
    assert {(result.cell.seed, result.status) for result in found.results} == {(0, "done"), (1, "failed")}
    assert lines[1] == "seed 1: the loss became not finite"
    assert tried == [0, 1]


def with_no_backbone_in_its_place(work):
    """Put what is no backbone where the tuned one is kept."""
    (file,) = tuned_in(work)
    write_checked(file, b"no tensors")


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_backbone_that_cannot_be_tuned_leaves_what_stands_and_errors_of_a_cells_own(work, processes):
    compare(work, replace(GRID, bits=(8,), methods=("csq",), seeds=(0,)), processes=1)
    with_no_backbone_in_its_place(work)
    lines = []
    grid = Grid(methods=("csq", "ech:nested=9", "itq"), bits=(8,), heads=("hidden",), seeds=(0,))
    found = compare(work, grid, processes=processes, say=lines.append)
    csq, ech, itq = found.results
    assert csq.status == "done"
    assert "nested lengths must increase" in ech.facts["error"]
    assert "stages" in itq.facts["error"]
    assert sorted(line.split()[0] for line in lines[1:]) == ["1/3", "2/3", "3/3"]


def killed_once(dataset, seed):
    """Stand for a process that the system ends, as it tunes; the processes after it live."""
    mark = Path(os.environ["NEARBIT_TEST_KILLED"])
    if parent_process() is not None and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return split_of(dataset, seed)


@pytest.mark.slow
def test_a_process_that_dies_as_it_tunes_leaves_what_stands(work, monkeypatch, tmp_path):
    monkeypatch.setenv("NEARBIT_TEST_KILLED", str(tmp_path / "killed"))
    compare(work, replace(GRID, bits=(8,), methods=("csq",), seeds=(0,)), processes=1)
    grid = replace(GRID, bits=(8,), methods=("csq", "itq"), seeds=(0,))
    found = compare(replace(work, split=killed_once), grid, processes=2)
    assert [result.status for result in found.results] == ["done", "failed"]
    assert "ended without a word (exit code -9)" in found.results[1].facts["error"]


def test_what_no_cell_can_be_is_said_before_a_backbone_is_tuned(work, monkeypatch):
    monkeypatch.setattr(Tuning, "_train", lambda self, *given: pytest.fail("it was tuned"))
    found = compare(replace(work, options=replace(OPTIONS, adversarial=8.0)), replace(GRID, seeds=(0,)), processes=1)
    assert {result.status for result in found.results} == {"failed"}


def test_a_baseline_keeps_the_options_of_the_first_step():
    from nearbit.methods import ITQ

    options = useful_options(ITQ, replace(OPTIONS, hidden=16))
    assert (options.epochs, options.learning_rate, options.hidden) == (2, 0.005, TrainOptions().hidden)
