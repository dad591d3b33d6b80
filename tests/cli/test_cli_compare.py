"""`nearbit compare` from the command line: files, going on, failures, and what is refused."""

import json
import re

import pytest

from nearbit.cli.main import run
from tiny_data import write_folder

TRAINED = ["--image-size", "8", "--epochs", "2", "--batch-size", "8", "--device", "cpu", "--jobs", "1"]
PARTS = ["--query", "2", "--validation", "2", "--database", "2", "--train", "2"]


@pytest.fixture
def compared(tmp_path, capsys):
    """Return a function that runs the command on a folder of images: its exit status, and what it said."""
    photos = write_folder(tmp_path / "photos")

    def compare(*more):
        status = run(["compare", str(photos), "-o", str(tmp_path / "out"), *TRAINED, *PARTS, *more])
        return status, capsys.readouterr()

    return compare


def test_comparison_writes_its_files_and_goes_on(compared, tmp_path):
    status, said = compared("--methods", "crh", "csq", "--bits", "8", "12", "--seeds", "1", "--json")
    assert status == 0
    about = json.loads(said.out)
    assert about["cells"] == 4
    assert about["failed"] == []
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "comparison.json", "report.html", "table.md", "table.csv", "table.tex", "summary.json",
    }  # fmt: skip
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["about"]["command"].startswith("nearbit compare photos -o out --image-size 8")
    assert said.err.count(": done, mAP") == 4
    status, said = compared("--methods", "crh", "csq", "--bits", "8", "12", "--seeds", "2")
    assert status == 0, said.err
    assert (said.err.count(": kept, mAP"), said.err.count(": done, mAP")) == (4, 4)
    assert "(2)" in said.out
    told = (said.out + said.err).count("A small set: ")
    assert told == len(set(re.findall("A small set: .*", said.out + said.err))) == 2, "each once, before the runs"
    assert "A small set: " in (tmp_path / "out" / "table.md").read_text()
    assert "report: " in said.out


def test_failed_cells_are_said_and_the_exit_is_a_users_mistake(compared, tmp_path):
    status, said = compared("--methods", "itq", "crh", "--bits", "8", "--seeds", "1")
    assert status == 2
    assert "1 of 2 runs failed (itq-8-seed0): see the report" in said.err
    assert "itq makes codes of frozen features" in (tmp_path / "out" / "table.md").read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--methods", "crh", "sch"], "Did you mean 'shc'"),
        (["--bits", "8", "8"], "names one twice"),
        (["--split", "s.json", "--allow-overlap"], "--split names a split that is made"),
    ],
)
def test_what_means_nothing_is_refused_before_any_work(compared, tmp_path, more, message):
    status, said = compared(*more)
    assert status == 2
    assert message in said.err
    assert not (tmp_path / "out").exists()
