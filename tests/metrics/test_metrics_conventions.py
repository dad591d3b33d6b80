"""Each convention by name against a loop written from its definition."""

from dataclasses import replace

import numpy as np
import pytest

import oracles
from nearbit import metrics
from nearbit.codes import pack
from nearbit.errors import InputError
from nearbit.metrics.conventions import CONVENTIONS_BY_NAME

DROPS = {
    "deephash-pytorch": (),
    "orthohash": (),
    "csq": ("unlabeled",),
    "hashnet": ("unlabeled", "nothing found"),
    "thulab-deephash": ("unlabeled", "nothing found"),
    "torchmetrics": (),
    "pytorch-metric-learning": ("unlabeled", "nothing relevant"),
}


def case(*, multi):
    rng = np.random.default_rng(7)
    signs = rng.choice([-1, 1], (2, 12))[rng.integers(0, 2, 60)]
    codes = pack(np.where(rng.random((60, 12)) < 0.1, -signs, signs))
    labels = rng.random((60, 6)) < 0.15 if multi else rng.integers(0, 8, 60)
    if multi:
        labels[:3] = False
    else:
        labels[:3] = 99
    return codes[:20], labels[:20], codes[20:], labels[20:]


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("k", [None, 1, 5, 30])
@pytest.mark.parametrize("name", DROPS)
def test_conventions_equal_the_loop(name, k, multi):
    data = case(multi=multi)
    query_codes, query_labels, database_codes, database_labels = data
    rankings = [
        oracles.ordered_hits(oracles.ties(code, label, database_codes, database_labels.tolist(), 12))
        for code, label in zip(query_codes, query_labels.tolist(), strict=True)
    ]
    has_label = [any(row) for row in query_labels.tolist()] if multi else [True] * 20
    report = metrics.evaluate_codes(*data, n_bits=12, convention=name, k=k)
    assert report.map_by_convention == pytest.approx(
        oracles.map_of_repository(rankings, has_label, k, DROPS[name], all_relevant="metric-learning" in name), abs=1e-9
    )
    assert (report.convention, report.k) == (name, k)
    assert CONVENTIONS_BY_NAME[name].wrong in report.to_dict()["conventions"]["map_by_convention"]


def test_every_convention_is_tested_and_tie_aware_is_the_primary_figure():
    assert set(CONVENTIONS_BY_NAME) == {*DROPS, "tie-aware"}
    report = metrics.evaluate_codes(*case(multi=True), n_bits=12, convention="tie-aware")
    assert report.map_by_convention == report.tie_aware_map


def test_the_tie_aware_convention_within_k_is_the_figure_of_that_name():
    codes, labels, _, _ = case(multi=False)
    many = np.repeat(codes, 15, axis=0), np.repeat(labels % 2, 15)
    report = metrics.evaluate_codes(codes, labels % 2, *many, n_bits=12, convention="tie-aware", k=100)
    assert report.map_by_convention == report.figures["tie_aware_map_at_100"]
    by_all = metrics.tie_aware_average_precision(codes, labels % 2, *many, 12, k=100, divisor="relevant")
    assert report.map_by_convention > metrics.mean(by_all)  # more than 100 are relevant


def test_ties_in_database_order_are_divided_by_no_more_than_k():
    data = case(multi=False)
    data[1][:], data[3][:] = 0, 0  # all are relevant
    own = replace(CONVENTIONS_BY_NAME["deephash-pytorch"], divisor="at most k")
    assert metrics.average_precision_by(*data, 12, convention=own, k=5).tolist() == pytest.approx([1.0] * 20)
    own = replace(own, divisor="relevant")
    assert metrics.average_precision_by(*data, 12, convention=own, k=5).tolist() == pytest.approx([5 / 40] * 20)


def test_wrong_conventions_are_refused():
    data = case(multi=False)
    with pytest.raises(InputError, match="Did you mean 'hashnet'"):
        metrics.evaluate_codes(*data, n_bits=12, convention="hashnett")
    with pytest.raises(InputError, match="k counts the ranks of a convention"):
        metrics.evaluate_codes(*data, n_bits=12, k=3)
    with pytest.raises(InputError, match="drops every query"):
        metrics.evaluate_codes(data[0][:3], data[1][:3], *data[2:], n_bits=12, convention="hashnet")


def test_interval_per_class_and_curve_of_a_report():
    data = case(multi=True)
    report = metrics.evaluate_codes(*data, n_bits=12, rng=np.random.default_rng(0))
    values = metrics.tie_aware_average_precision(*data, 12)
    assert report.tie_aware_map_interval == metrics.bootstrap_interval(values, rng=np.random.default_rng(0))
    expected = {str(c): mean for c, mean in enumerate(metrics.per_class(values, data[1]).tolist()) if mean == mean}
    assert report.per_class == pytest.approx(expected)
    sparse = metrics.evaluate_codes(data[0], np.arange(20) * 10**15, data[2], np.arange(40), n_bits=12)
    assert len(sparse.per_class) == 20
    curve = metrics.curve_by_radius(*data, 12)
    assert report.curve_by_radius["precision"] == pytest.approx(curve.precision.tolist(), abs=1e-12)
    assert report.curve_by_radius["recall"] == pytest.approx(curve.recall.tolist(), abs=1e-12)
    low, high = metrics.average_precision_bounds(*data, 12)
    assert (report.lowest_map, report.highest_map) == pytest.approx((low.mean(), high.mean()))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ties", "expectd", r"ties must be one of expected, database order, not 'expectd'\. Did you mean 'expected'"),
        ("divisor", "all", "divisor must be one of relevant, at most k, found, not 'all'"),
        ("nothing_found", "dropped", r"nothing_found must be .* Did you mean 'drop'"),
        ("unlabeled", "", "unlabeled must be one of zero, drop, not ''"),
        ("without_relevant", "no", "without_relevant must be one of zero, drop, not 'no'"),
    ],
)
def test_a_misspelt_choice_is_no_convention(field, value, message):
    with pytest.raises(InputError, match=message):
        replace(CONVENTIONS_BY_NAME["tie-aware"], **{field: value})
