"""Models measured under other protocols of seen and unseen classes beside that of their split."""

import csv
import json
from dataclasses import replace

import pytest

from nearbit.compare.bench import Work
from nearbit.compare.findings import find
from nearbit.compare.folder import read_folder
from nearbit.compare.run import Grid, compare
from nearbit.compare.tables import also_table, tables_of
from nearbit.compare.write import write_comparison
from nearbit.datasets import SplitSizes, make_split, other_protocol
from nearbit.errors import InputError
from nearbit.evaluation import evaluate
from nearbit.model.bundle import load_model
from nearbit.training import TrainOptions
from tiny_data import tiny_dataset

GRID = Grid(methods=("csq",), bits=(6,), seeds=(0, 1))
OTHERS = ("unseen@all", "seen@all")


def seen_only(dataset, seed):
    return make_split(dataset, seed=seed, protocol="seen@seen", sizes=SplitSizes(query=2, validation=2, database=3))


@pytest.fixture
def work(tmp_path):
    options = TrainOptions(image_size=8, epochs=1, batch_size=8, device="cpu", select="last")
    return Work(
        load=tiny_dataset, split=seen_only, options=options, folder=tmp_path / "out", cache=None, keep_models=True,
        also=OTHERS,
    )  # fmt: skip


def test_each_model_is_measured_there_as_evaluate_measures_it(work):
    found = compare(work, GRID, processes=1)
    dataset = tiny_dataset()
    assert found.about["also"] == list(OTHERS)
    for result in found.results:
        model = load_model(work.folder / "models" / f"{result.cell.name}.model")
        assert set(result.facts["also"]) == set(OTHERS)
        for name in OTHERS:
            other = other_protocol(dataset, seen_only(dataset, result.cell.seed), name)
            wanted = evaluate(model, dataset, other, device="cpu").report.tie_aware_map
            assert result.facts["also"][name]["tie_aware_map"] == pytest.approx(wanted, abs=1e-12)
            assert result.facts["also"][name]["split_hash"] == other.hash


def test_they_stand_in_a_table_of_their_own_and_in_the_csv(work):
    found = compare(work, GRID, processes=1)
    table = also_table(find(found))
    assert table.header == ("method", "head", "bits", *OTHERS)
    values = [result.facts["also"]["unseen@all"]["tie_aware_map"] for result in found.results]
    assert table.rows[0][3].text.startswith(f"{sum(values) / 2:.4f}")
    write_comparison(work.folder)
    with open(work.folder / "table.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["also.unseen@all.tie_aware_map"]) for line in lines] == values
    assert "Seen and unseen classes" in (work.folder / "report.html").read_text(encoding="utf-8")


def test_a_run_that_was_not_measured_there_is_made_anew_and_one_that_was_stays(work):
    lines = []
    compare(replace(work, also=()), GRID, processes=1)
    assert "also" not in [table.name for table in tables_of(find(read_folder(work.folder)))]
    compare(work, GRID, processes=1, say=lines.append)
    assert [line.split(": ")[1].split(",")[0] for line in lines] == ["done", "done"]
    lines.clear()
    compare(replace(work, also=OTHERS[:1]), GRID, processes=1, say=lines.append)
    assert [line.split(": ")[1].split(",")[0] for line in lines] == ["kept", "kept"]
    assert read_folder(work.folder).about["also"] == list(OTHERS)


def test_a_folder_of_before_is_read_and_gone_on_with(work):
    compare(replace(work, also=()), GRID, processes=1)
    path = work.folder / "comparison.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    del about["also"]
    path.write_text(json.dumps(about), encoding="utf-8")
    assert also_table(find(read_folder(work.folder))).rows == ()
    lines = []
    compare(replace(work, also=()), GRID, processes=1, say=lines.append)
    assert all(": kept, " in line for line in lines)


@pytest.mark.parametrize(
    ("also", "split", "message"),
    [
        (("unseen@all",), lambda dataset, seed: make_split(dataset, seed=seed), "cannot follow a split by sizes"),
        (("unseen@al",), seen_only, "Did you mean 'unseen@all'"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_any_run(work, also, split, message):
    with pytest.raises(InputError, match=message):
        compare(replace(work, also=also, split=split), GRID, processes=1)
    assert not work.folder.exists()
