import math

import pytest
from cell_files import group_of, write_done, write_failed

from nearbit.compare.folder import Cell
from nearbit.compare.statistics import Row, Spread, figure_of, groups_of, holm, scalars_of, spread_of


def plain_deviation(values):
    middle = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def plain_holm(values):
    """Return for each p-value the largest (number of values not below it) times it, over those up to it."""
    adjusted = []
    for own in values:
        steps = [min(1.0, other * sum(third >= other for third in values)) for other in values if other <= own]
        adjusted.append(max(steps))
    return adjusted


@pytest.mark.parametrize("values", [[0.5, 0.7], [0.1, 0.1, 0.1], [1.0, 0.0, 0.25, 0.3]])
def test_a_spread_is_mean_and_sample_deviation(values):
    spread = spread_of(values)
    assert spread.n == len(values)
    assert spread.mean == pytest.approx(sum(values) / len(values))
    assert spread.deviation == pytest.approx(plain_deviation(values))


def test_equal_values_have_no_deviation_that_rounding_left():
    assert spread_of([0.1, 0.1, 0.1]).deviation == 0.0


def test_one_value_has_no_deviation_and_none_has_no_spread():
    assert spread_of([0.25]) == Spread(n=1, mean=0.25, deviation=None)
    assert spread_of([]) is None


@pytest.mark.parametrize("values", [[0.01, 0.04, 0.03], [0.5], [0.2, 0.9, 0.001, 0.03], [0.01, 0.02, 0.03, 0.6]])
def test_holm_is_its_definition(values):
    assert holm(values) == pytest.approx(plain_holm(values))


def test_holm_keeps_ties_equal_the_order_of_values_and_never_lowers_one():
    values = [0.04, 0.01, 0.04, 0.5]
    adjusted = holm(values)
    assert adjusted == pytest.approx([0.12, 0.04, 0.12, 0.5])
    assert all(after >= before for after, before in zip(adjusted, values, strict=True))
    assert holm([]) == []


@pytest.mark.parametrize(
    ("figure", "expected"),
    [("a.b", 2.0), ("c", 1.5), ("a", None), ("a.none", None), ("c.deeper", None), ("flag", None), ("words", None)],
)
def test_a_figure_is_a_number_at_a_path(figure, expected):
    assert figure_of({"a": {"b": 2, "none": None}, "c": 1.5, "flag": True, "words": "x"}, figure) == expected


def test_scalars_are_the_numbers_of_a_cell_by_path():
    facts = {
        "report": {"tie_aware_map": 0.5, "per_class": {"0": 1.0}, "convention": "x"},
        "peak_mb": 3,
        "seconds": None,
    }
    assert scalars_of(facts) == {"report.tie_aware_map": 0.5, "peak_mb": 3.0}


def test_groups_count_cells_that_are_done_failed_and_missing(tmp_path):
    cells = [Cell(method="crh", head="linear", n_bits=12, seed=seed) for seed in range(5)]
    write_done(tmp_path, cells[0])
    write_done(tmp_path, cells[1], flip=0.3)
    write_failed(tmp_path, cells[2], "too few\n  classes")
    write_failed(tmp_path, cells[3], "too few classes")
    group = group_of(tmp_path, "crh", seeds=range(5))
    assert [len(group.of_status(status)) for status in ("done", "failed", "missing")] == [2, 2, 1]
    assert group.failures() == [("too few classes", 2)]
    written = group.to_dict()
    assert (written["done"], written["failed"], written["missing"]) == (2, 2, 1)
    values = [result.figure("tie_aware_map") for result in group.results[:2]]
    assert written["figures"]["report.tie_aware_map"] == {
        "n": 2,
        "mean": pytest.approx(sum(values) / 2),
        "deviation": pytest.approx(plain_deviation(values)),
    }
    assert written["figures"]["seconds.training"]["mean"] == 2.5
    assert "seconds.similarity" not in written["figures"]


def test_cells_of_one_row_and_length_are_one_group(tmp_path):
    cells = [("crh", "linear", 12), ("crh", "hidden", 12), ("crh", "linear", 16), ("itq", "-", 12)]
    results = [
        result
        for method, head, n_bits in cells
        for result in group_of(tmp_path, method, head=head, n_bits=n_bits, seeds=(0, 1)).results
    ]
    groups = groups_of(sorted(results, key=lambda result: result.cell.seed))
    rows = [Row("crh", "linear"), Row("crh", "hidden"), Row("crh", "linear"), Row("itq", "-")]
    assert [group.row for group in groups] == rows
    assert [(group.n_bits, len(group.results)) for group in groups] == [(12, 2), (12, 2), (16, 2), (12, 2)]
    assert [group.row.name for group in groups] == ["crh, linear", "crh, hidden", "crh, linear", "itq"]
