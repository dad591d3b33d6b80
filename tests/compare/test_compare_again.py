"""A comparison repeated: what is damaged, missing or of another run is made anew, and another split is refused."""

import json
from dataclasses import replace
from multiprocessing import Pipe
from threading import Thread

import pytest

from nearbit.cli.commands.compare import _typed
from nearbit.compare.bench import Bench, Work
from nearbit.compare.findings import find
from nearbit.compare.folder import Cell, read_cell, read_folder
from nearbit.compare.page import comparison_page
from nearbit.compare.run import Grid, compare
from nearbit.compare.write import write_comparison
from nearbit.datasets import Problem, make_split
from nearbit.datasets.splits.unseen import choose_unseen
from nearbit.errors import DataError, InputError
from nearbit.files.writing import write_json
from nearbit.methods import METHODS
from nearbit.pool import Worker, _give, _work
from nearbit.training import TrainOptions
from tiny_data import tiny_dataset, tiny_split

OPTIONS = TrainOptions(image_size=8, epochs=1, batch_size=8, validate_every=1, device="cpu")
ONE = Grid(methods=("csq",), bits=(8,), seeds=(0,))
CELL = Cell(method="csq", head="auto", n_bits=8, seed=0)


def split_of(dataset, seed):
    return tiny_split(dataset, seed=seed)


def one_split(number):
    """Return a function that gives every seed the split of one."""
    return lambda dataset, seed: tiny_split(dataset, seed=number)


def unseen_split(dataset, seed):
    return make_split(dataset, seed=seed, protocol="unseen@all")


@pytest.fixture
def work(tmp_path):
    """Tiny data, a small network from scratch, one epoch."""
    return Work(load=tiny_dataset, split=split_of, options=OPTIONS, folder=tmp_path / "out", cache=None)


def outcomes(work, grid=ONE, **more):
    """Run a comparison and return what was said of each cell."""
    lines = []
    compare(work, grid, processes=1, say=lines.append, **more)
    return [line.split(": ")[1].split(",")[0] for line in lines]


@pytest.mark.parametrize("damage", [("csq-auto-8-seed0.npz", b"PK broken"), ("csq-auto-8-seed0.json", b'{"half":')])
def test_cell_with_a_damaged_file_is_made_anew(work, damage):
    name, content = damage
    assert outcomes(work) == ["done"]
    path = work.folder / "cells" / name
    path.write_bytes(content)
    assert outcomes(work) == ["done"]
    assert read_cell(work.folder, CELL).arrays()["centers"].shape == (3, 8)
    assert outcomes(work) == ["kept"]


def test_damaged_files_say_what_to_do_and_reports_are_made_without_their_arrays(work):
    assert outcomes(work) == ["done"]
    path = read_cell(work.folder, CELL).arrays_path
    path.write_bytes(b"PK broken")
    assert "Comparison on tiny" in comparison_page(find(read_folder(work.folder)))
    path.with_suffix(".json").write_text("{")
    with pytest.raises(DataError, match=r"is not JSON: .*: delete it, or repeat the comparison, to run it again"):
        write_comparison(work.folder)
    (work.folder / "comparison.json").write_text("{")
    with pytest.raises(DataError, match=r"is not JSON: .*: restore it, or choose another folder"):
        compare(work, ONE, processes=1)


def test_models_asked_for_later_are_made_of_that_run(work):
    assert outcomes(work) == ["done"]
    keeping = replace(work, keep_models=True)
    assert outcomes(keeping) == ["done"]
    assert outcomes(keeping) == ["kept"]
    path = work.folder / "cells" / "csq-auto-8-seed0.json"
    write_json(path, json.loads(path.read_text()) | {"key": "of an older nearbit"})
    assert outcomes(work) == ["done"]
    assert outcomes(keeping) == ["kept"]


def test_interrupt_between_the_files_of_a_cell_leaves_no_mixture(work, monkeypatch):
    assert outcomes(work) == ["done"]
    other = Bench(replace(work, options=replace(OPTIONS, epochs=2)))
    with monkeypatch.context() as patch:
        patch.setattr("nearbit.compare.bench.peak_mb", lambda: (_ for _ in ()).throw(KeyboardInterrupt("between")))
        with pytest.raises(KeyboardInterrupt, match="between"):
            other.run(CELL)
    assert read_cell(work.folder, CELL).status == "missing"


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_another_split_of_the_same_recipe_is_refused(work, seeds):
    grid = Grid(methods=("csq",), bits=(8,), seeds=seeds)
    assert set(outcomes(replace(work, split=one_split(0)), grid)) == {"done"}
    for other in (grid, Grid(methods=("csq",), bits=(12,), seeds=(0,))):
        with pytest.raises(InputError, match=r"another split \(hash\): choose another -o"):
            compare(replace(work, split=one_split(5)), other, processes=1)
    assert set(outcomes(replace(work, split=one_split(0)), Grid(methods=("csq",), bits=(8,), seeds=(2,)))) == {"done"}
    if len(seeds) > 1:
        with pytest.raises(InputError, match=r"another split \(hash\)"):
            compare(replace(work, split=one_split(5)), Grid(methods=("csq",), bits=(8,), seeds=(7,)), processes=1)


def test_seeds_that_draw_other_unseen_classes_come_beside_each_other(work):
    drawn = {seed: list(choose_unseen(tiny_dataset(), None, seed)) for seed in range(9)}
    other = next(seed for seed, names in drawn.items() if names != drawn[0])
    unseen = replace(work, split=unseen_split)
    assert outcomes(unseen) == ["done"]
    assert outcomes(unseen, Grid(methods=("csq",), bits=(8,), seeds=(other,))) == ["done"]
    split = read_folder(work.folder).about["split"]
    assert split["unseen"] == {"0": drawn[0], str(other): drawn[other]}
    assert "unseen" not in split["recipe"]
    assert len(set(split["hashes"].values())) == 2


def test_every_command_of_a_comparison_is_kept_and_said(work):
    for command, bits in (("compare --bits 8", 8), ("compare --bits 9", 9), ("compare --bits 9", 9)):
        outcomes(work, Grid(methods=("csq",), bits=(bits,), seeds=(0,)), command=command)
    found = read_folder(work.folder)
    assert found.about["commands"] == ["compare --bits 8", "compare --bits 9"]
    page = comparison_page(find(found))
    assert "The commands below make the same cells" in page
    assert "compare --bits 8\ncompare --bits 9</code>" in page
    assert "tie_aware_map" in find(found).to_dict()["conventions"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/home/me/great tits", "-o", "../out"], "nearbit compare 'great tits' -o out"),
        (["photos", "--cache=/home/me/c", "-o/tmp/out"], "nearbit compare photos --cache=c -oout"),
        (["photos/birds", "--backbone", "hf:~/models/dino"], "nearbit compare photos/birds --backbone hf:dino"),
        (["d", "--backbone", "timm:org/net", "-o", "~me/x/y"], "nearbit compare d --backbone timm:org/net -o y"),
    ],
)
def test_command_is_said_so_that_it_can_be_typed_again_and_names_no_folders(arguments, said):
    assert _typed(arguments) == said


def test_images_that_cannot_be_read_are_said(work):
    damaged = replace(tiny_dataset(), problems=(Problem("birds/half.png", "truncated"),))
    lines = []
    compare(replace(work, load=lambda: damaged), ONE, processes=1, say=lines.append)
    assert lines[0] == "1 image cannot be read and is left out; the first: birds/half.png: truncated"


def test_no_process_is_refused(work):
    with pytest.raises(InputError, match="processes must be a whole number of at least 1, not 0"):
        compare(work, ONE, processes=0)
    assert not work.folder.exists()


@pytest.mark.parametrize("error", [EOFError, BrokenPipeError, ConnectionResetError])
def test_process_whose_parent_has_gone_ends_without_a_word(work, monkeypatch, error):
    class Line:
        def recv(self):
            raise error

    monkeypatch.setattr("nearbit.pool.signal.signal", lambda *_: None)
    _work({}, None, Line())
    assert not work.folder.exists()


def test_work_for_a_process_that_has_died_does_not_end_the_others():
    ours, theirs = Pipe()
    theirs.close()
    worker = Worker(None, ours)
    _give(worker, [CELL])
    assert worker.task == CELL
    ours.close()


def test_two_commands_at_one_cell_train_it_once(work, monkeypatch):
    """The second comes while the first writes what it found, and keeps that."""
    found, whole = {}, Bench._write

    def run(name):
        found[name] = Bench(work).run(CELL)[0]

    second = Thread(target=run, args=("second",))

    def written(self, *given):
        second.start()
        second.join(0.5)
        assert second.is_alive(), "it waits"
        return whole(self, *given)

    monkeypatch.setattr(Bench, "_write", written)
    run("first")
    second.join(60)
    assert found == {"first": "done", "second": "kept"}
    assert read_cell(work.folder, CELL).status == "done"
    assert not list((work.folder / "checkpoints").iterdir())


def test_a_method_that_is_no_name_is_refused_with_how_it_gets_one():
    with pytest.raises(
        InputError, match=r"takes the names of methods, and Method 'csq' is none: declare it as an entry p"
    ):
        Grid(methods=(METHODS["csq"], "crh"))
