"""Comparisons whose files were changed by hand, or made to harm: read as they are, or refused in one clear error."""

import json

import pytest
from cell_files import write_comparison_folder

from nearbit.compare.folder import DESCRIPTION, read_folder
from nearbit.compare.write import summary_lines, write_comparison
from nearbit.errors import DataError

ODD = (None, "x", -1, [], {}, [["a"]])


@pytest.fixture
def folder(tmp_path):
    write_comparison_folder(tmp_path, methods=("crh", "csq"), bits=(12,), seeds=(0,))
    return tmp_path


def change(path, names, value):
    """Put a value in the place of another, some levels down."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    inner = whole
    for name in names[:-1]:
        inner = inner[name]
    inner[names[-1]] = value
    path.write_text(json.dumps(whole), encoding="utf-8")


def read_all(folder):
    """Read a comparison in each way that there is; return whether it was refused."""
    try:
        write_comparison(folder)
        summary_lines(folder)
    except DataError:
        return True
    return False


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("name", ["methods", "bits", "heads", "seeds", "baselines", "dataset", "split", "versions"])
def test_a_description_of_other_kinds_is_one_error(folder, name, value):
    change(folder / DESCRIPTION, [name], value)
    read_all(folder)


@pytest.mark.parametrize("name", ["methods", "bits", "heads", "seeds"])
def test_a_description_without_a_list_is_refused(folder, name):
    change(folder / DESCRIPTION, [name], None)
    with pytest.raises(DataError, match="do not say what `nearbit compare` writes"):
        read_folder(folder)


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("name", ["report", "health", "certificate", "seconds", "head", "peak_mb", "versions"])
def test_facts_of_a_run_of_other_kinds_are_one_error(folder, name, value):
    path = next((folder / "cells").glob("*.json"))
    change(path, [name], value)
    read_all(folder)


def test_a_run_without_figures_is_refused(folder):
    change(next((folder / "cells").glob("*.json")), ["report"], 5)
    with pytest.raises(DataError, match=r"do not say what `nearbit compare` writes \(\w+Error: "):
        write_comparison(folder)


def test_a_method_that_names_another_folder_is_refused(folder):
    change(folder / DESCRIPTION, ["methods"], ["../../etc/crh"])
    with pytest.raises(DataError, match="a method names another folder"):
        read_folder(folder)


def test_more_runs_than_anyone_could_wait_for_are_refused(folder):
    change(folder / DESCRIPTION, ["seeds"], list(range(10_000)))
    change(folder / DESCRIPTION, ["bits"], list(range(1, 1000)))
    with pytest.raises(DataError, match=r"asks for more than 1000000 runs"):
        read_folder(folder)
