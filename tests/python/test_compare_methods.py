"""A comparison in one call, and what it gives back."""

import sys
import types

import numpy as np
import pytest

import nearbit as nb
from nearbit.errors import DataError, InputError, MissingExtraError

RNG = np.random.default_rng(0)
Y = np.repeat(np.arange(3), 20)
X = RNG.normal(size=(60, 12)) + 3 * RNG.normal(size=(3, 12))[Y]
QUICK = nb.TrainOptions(epochs=1, head="linear", batch_size=16, device="cpu")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    given = {"bits": (8,), "seeds": 2, "out": folder / "out", "cache": folder / "cache"}
    return nb.compare_methods(nb.from_features(X, Y), ["itq", "ridge"], **given), given


def test_features_are_compared_in_one_call(compared):
    found, given = compared
    rows = found.rows()
    assert [(row["method"], row["bits"], row["seed"], row["status"]) for row in rows] == [
        ("itq", 8, 0, "done"), ("itq", 8, 1, "done"), ("ridge", 8, 0, "done"), ("ridge", 8, 1, "done"),
    ]  # fmt: skip
    assert all(0 < row["tie_aware_map"] <= 1 for row in rows)
    assert (given["out"] / "report.html").is_file()
    assert found.failed == {}
    assert repr(found).startswith("Compared(4 runs; ")
    assert "<td>ridge</td>" in found._repr_html_()


def test_the_same_call_goes_on_and_failed_runs_are_named(compared):
    found, given = compared
    again = nb.compare_methods(
        nb.from_features(X, Y), ["itq", "ridge", "pca"], **(given | {"bits": (8, 16), "seeds": [0]})
    )
    assert len(again.comparison.results) > len(found.comparison.results)
    assert any("vary in" in why for why in again.failed.values())
    assert "failed" in repr(again)


def test_a_comparison_is_a_table(compared, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=list))
    assert compared[0].to_pandas() == compared[0].rows()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="a DataFrame of a comparison needs the package pandas"):
        compared[0].to_pandas()


def test_a_folder_is_opened_without_running_anything(compared, monkeypatch):
    found, given = compared
    monkeypatch.setattr("nearbit.compare.front.compare", lambda *_, **__: pytest.fail("ran"))
    again = nb.open_comparison(str(given["out"]))
    wanted = {(row["method"], row["bits"], row["seed"]): row for row in found.rows()}
    rows = {(row["method"], row["bits"], row["seed"]): row for row in again.rows()}
    assert set(wanted) <= set(rows)
    for cell, row in wanted.items():
        assert rows[cell] == row
    with pytest.raises(DataError, match=r"comparison\.json"):
        nb.open_comparison(given["out"] / "cells")


def test_a_row_has_what_the_features_give_at_its_seed_and_what_a_run_took(compared):
    found, _ = compared
    references = found.comparison.about["references"]
    for row in found.rows():
        for name in ("float_cosine_map", "linear_probe_map"):
            assert row[name] == references[str(row["seed"])][name]
        assert row["training_seconds"] >= 0
        assert 0 < row["validation_map"] <= 1


def test_one_split_may_serve_all_seeds(tmp_path):
    dataset = nb.from_features(X, Y)
    split = nb.make_split(dataset, seed=9)
    found = nb.compare_methods(
        dataset, ["csq"], bits=[8], seeds=1, out=tmp_path / "o", cache=tmp_path / "c", split=split, options=QUICK
    )
    assert found.comparison.results[0].facts["split_hash"] == split.hash


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"methods": "crh"}, r"methods must be a list: give \['crh'\]"),
        ({"methods": ["chr"]}, "Did you mean 'crh'"),
        ({"protocol": "given", "split": "s"}, "give a split, or a protocol or sizes"),
        ({"bit": [8]}, "compare_methods has no option 'bit'. Did you mean 'bits'"),
    ],
)
def test_what_cannot_be_compared_is_said(given, message, tmp_path):
    with pytest.raises(InputError, match=message):
        nb.compare_methods(nb.from_features(X, Y), out=tmp_path / "o", **given)
