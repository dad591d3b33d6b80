"""The report of an evaluation, the mean, and the refusal of every wrong input."""

import copy
import json
import pickle

import numpy as np
import pytest

from nearbit import metrics
from nearbit.codes import binarize
from nearbit.errors import InputError
from nearbit.metrics.counting import comparison

OF_GROUP = {
    group: {figure.name for figure in metrics.FIGURES if figure.group == group}
    for group in ("distance", "hierarchy", "asymmetric")
}


def case(n_query=5, n_database=150, n_bits=12, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.packbits(rng.random((n_query + n_database, n_bits)) < 0.5, axis=1)
    labels = rng.integers(0, 3, n_query + n_database)
    return codes[:n_query], labels[:n_query], codes[n_query:], labels[n_query:]


def test_report_holds_what_the_functions_return():
    data = case(n_database=1100)
    report = metrics.evaluate_codes(*data, n_bits=12)
    assert report.tie_aware_map == metrics.mean(metrics.tie_aware_average_precision(*data, 12))
    assert report.map_database_order == metrics.mean(metrics.ordered_average_precision(*data, 12))
    assert report.map_database_order_at_100 == metrics.mean(metrics.ordered_average_precision(*data, 12, k=100))
    assert report.map_database_order_at_1000 == metrics.mean(metrics.ordered_average_precision(*data, 12, k=1000))
    assert report.precision_at_10 == metrics.mean(metrics.precision_at(*data, 12, k=10))
    at_100 = metrics.tie_aware_average_precision(*data, 12, k=100, divisor="at most k")
    assert report.tie_aware_map_at_100 == pytest.approx(metrics.mean(at_100))
    assert report.r_precision == metrics.mean(metrics.r_precision(*data, 12))
    assert report.recall_at_1000 == pytest.approx(metrics.mean(metrics.recall_at(*data, 12, k=1000)))
    assert report.ndcg_at_100 == pytest.approx(metrics.mean(metrics.ndcg(*data, 12, k=100)))
    inside = [metrics.mean(values) for values in metrics.within_radius(*data, 12, radius=2)]
    assert [report.precision_within_2, report.recall_within_2] == pytest.approx(inside)
    curve = metrics.curve_by_rank(*data, 12, ranks=report.curve_by_rank["at"])
    assert report.curve_by_rank["at"] == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1100]
    assert report.curve_by_rank["precision"] == pytest.approx(curve.precision.tolist())
    assert report.curve_by_rank["recall"] == pytest.approx(curve.recall.tolist())
    assert (report.n_query, report.n_database, report.n_bits) == (5, 1100, 12)
    assert report.distinct_codes == len({code.tobytes() for code in data[2]})
    assert report.queries_without_relevant == 0


def test_a_hierarchy_adds_its_figures():
    data, grades = case(n_database=2600), metrics.grades_of_tree({"0": "a", "1": "a", "2": "b", "a": "r"}, list("012"))
    report = metrics.evaluate_codes(*data, n_bits=12, grades=grades)
    assert report.hierarchical_ndcg_at_100 == pytest.approx(metrics.ndcg(*data, 12, k=100, grades=grades).mean())
    expected = metrics.hierarchical_average_precision(*data, 12, k=2500, grades=grades).mean()
    assert report.mahp_at_2500 == pytest.approx(expected)
    assert set(report.to_dict()["conventions"]) == OF_GROUP["distance"] | OF_GROUP["hierarchy"]
    assert "mahp_at_2500" not in metrics.evaluate_codes(*data, n_bits=12).to_dict()


def test_many_labels_are_graded_by_how_many_are_shared():
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(0, 256, (160, 1)).astype(np.uint8), rng.random((160, 5)) < 0.5
    data = (codes[:5], labels[:5], codes[5:], labels[5:])
    report = metrics.evaluate_codes(*data, n_bits=8)
    assert report.ndcg_at_100 == pytest.approx(metrics.ndcg(*data, 8, k=100).mean())


def test_figures_at_a_k_beyond_the_database_are_none():
    report = metrics.evaluate_codes(*case(n_database=100), n_bits=12)
    assert report.map_database_order_at_100 is not None
    assert report.map_database_order_at_1000 is None
    report = metrics.evaluate_codes(*case(n_database=9), n_bits=12)
    assert report.precision_at_1 is not None
    assert report.precision_at_10 is None


def test_queries_without_relevant_items_are_counted_and_kept_in_the_mean():
    query_codes, query_labels, database_codes, database_labels = case()
    all_found = metrics.evaluate_codes(query_codes, query_labels, database_codes, database_labels, n_bits=12)
    query_labels = query_labels.copy()
    query_labels[:2] = 99
    report = metrics.evaluate_codes(query_codes, query_labels, database_codes, database_labels, n_bits=12)
    assert report.queries_without_relevant == 2
    assert report.tie_aware_map < all_found.tie_aware_map


def test_to_dict_is_json_with_a_convention_for_each_figure():
    report = metrics.evaluate_codes(*case(), n_bits=12).to_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    figures = {
        name for name in report if any(part in name for part in ("map", "precision", "recall", "ndcg", "separated"))
    }
    assert figures == set(report["conventions"]) == OF_GROUP["distance"]


def test_every_figure_is_the_mean_of_the_values_of_each_query():
    data = case(n_query=300, n_database=2600)
    outputs = np.random.default_rng(1).normal(size=(300, 12))
    data = (binarize(outputs), *data[1:])
    grades = metrics.grades_of_tree({"0": "a", "1": "a", "2": "b", "a": "r"}, list("012"))
    report = metrics.evaluate_codes(*data, n_bits=12, grades=grades, query_outputs=outputs)
    assert set(report.figures) == {figure.name for figure in metrics.FIGURES} == set(report.per_query)
    for name, values in report.per_query.items():
        assert (values.shape, report.figures[name]) == ((300,), metrics.mean(values))
        assert getattr(report, name) == report.figures[name] == report.to_dict()[name]
    expected = metrics.tie_aware_average_precision(*data, 12)
    assert np.array_equal(report.per_query["tie_aware_map"], expected)
    asymmetric = metrics.asymmetric_average_precision(outputs, *data[1:], 12, k=100, divisor="at most k")
    assert np.array_equal(report.per_query["asymmetric_tie_aware_map_at_100"], asymmetric)


def test_a_figure_is_told_in_words_that_the_report_carries():
    report = metrics.evaluate_codes(*case(), n_bits=12)
    assert report.to_dict()["conventions"] == {
        figure.name: figure.means for figure in metrics.FIGURES if figure.group == "distance"
    }
    assert len({figure.label for figure in metrics.FIGURES}) == len(metrics.FIGURES)


@pytest.mark.parametrize("name", list(metrics.CONVENTIONS_BY_NAME))
def test_a_convention_is_one_more_figure_of_the_same_comparison(monkeypatch, name):
    data, made = case(n_query=30, n_database=200), []
    data = (data[0], np.append(data[1][:-2], [99, 99]), *data[2:])
    chosen = metrics.convention_named(name)
    expected = {k: metrics.average_precision_by(*data, 12, convention=chosen, k=k) for k in (None, 7, 100)}
    init = comparison.Comparison.ordered
    monkeypatch.setattr(
        comparison.Comparison,
        "ordered",
        lambda own, block, limits, graded: made.append(block) or init(own, block, limits, graded=graded),
    )
    for k, values in expected.items():
        made.clear()
        report = metrics.evaluate_codes(*data, n_bits=12, convention=name, k=k)
        assert made == [range(1), range(1, 30)]
        assert (report.map_by_convention, report.convention, report.k) == (metrics.mean(values), name, k)
        kept = report.per_query["map_by_convention"]
        assert np.array_equal(kept[~np.isnan(kept)], values)


def test_a_report_can_be_copied_and_names_the_figure_that_was_meant():
    report = metrics.evaluate_codes(*case(), n_bits=12)
    for one in (copy.deepcopy(report), pickle.loads(pickle.dumps(report))):
        assert one == report
    assert {"tie_aware_map", "r_precision", "to_dict"} <= set(dir(report))
    assert report.mahp_at_2500 is report.asymmetric_tie_aware_map is report.map_by_convention is None
    with pytest.raises(AttributeError, match=r"a report has no 'tie_aware_mapp'. Did you mean 'tie_aware_map'"):
        _ = report.tie_aware_mapp


def test_progress_is_told_every_query():
    told = []
    metrics.evaluate_codes(*case(n_query=300), n_bits=12, progress=lambda *step: told.append(step))
    assert told == [("evaluating queries", done, 300) for done in (0, 1, 257, 300)]


def test_mean():
    assert metrics.mean(np.array([0.0, 1.0, 0.5])) == 0.5
    with pytest.raises(InputError, match="at least one"):
        metrics.mean([])
    with pytest.raises(InputError, match="finite"):
        metrics.mean([1.0, np.nan])
    with pytest.raises(InputError, match=r"shape \(1, 2\)"):
        metrics.mean([[1.0, 2.0]])


QUERY, QUERY_LABELS, DATABASE, DATABASE_LABELS = case()
BOOL_QUERY, BOOL_DATABASE = np.eye(3, dtype=bool)[QUERY_LABELS], np.eye(3, dtype=bool)[DATABASE_LABELS]


@pytest.mark.parametrize(
    ("arguments", "n_bits", "match"),
    [
        ((QUERY, QUERY_LABELS[1:], DATABASE, DATABASE_LABELS), 12, "5 codes came with labels of the shape"),
        ((QUERY, QUERY_LABELS, DATABASE, DATABASE_LABELS[1:]), 12, "150 codes came with labels of the shape"),
        ((QUERY, 3, DATABASE, DATABASE_LABELS), 12, "one row an item"),
        ((QUERY, QUERY_LABELS, DATABASE, DATABASE_LABELS), 8, r"query_codes of 8 bits must have the shape \(n, 1\)"),
        ((QUERY, QUERY_LABELS, DATABASE, DATABASE_LABELS), 10, "query_codes: the last 6 bits of each row must be 0"),
        ((QUERY, QUERY_LABELS, DATABASE, DATABASE_LABELS), 0, "n_bits must be a whole number"),
        ((QUERY.astype(float), QUERY_LABELS, DATABASE, DATABASE_LABELS), 12, "query_codes must be packed uint8"),
        ((QUERY[:0], QUERY_LABELS[:0], DATABASE, DATABASE_LABELS), 12, "query_codes are empty"),
        ((QUERY, QUERY_LABELS, DATABASE[:0], DATABASE_LABELS[:0]), 12, "database_codes are empty"),
        ((QUERY, BOOL_QUERY, DATABASE, BOOL_DATABASE[:, :2]), 12, "the same classes: 3 and 2 came"),
        ((QUERY, BOOL_QUERY, DATABASE, DATABASE_LABELS), 12, "must have one form"),
        ((QUERY, BOOL_QUERY[:, :0], DATABASE, BOOL_DATABASE[:, :0]), 12, "query_labels has no classes"),
        ((QUERY, BOOL_QUERY.astype(int), DATABASE, BOOL_DATABASE), 12, r"not int64 \(5, 3\)"),
        ((QUERY, QUERY_LABELS.astype(float), DATABASE, DATABASE_LABELS), 12, "not float64"),
        ((QUERY, QUERY_LABELS - 1, DATABASE, DATABASE_LABELS), 12, "class numbers start at 0"),
    ],
)
def test_wrong_input_is_refused(arguments, n_bits, match):
    with pytest.raises(InputError, match=match):
        metrics.evaluate_codes(*arguments, n_bits=n_bits)
    with pytest.raises(InputError, match=match):
        metrics.tie_aware_average_precision(*arguments, n_bits)


@pytest.mark.parametrize("k", [0, -1, True, 2.0])
def test_wrong_k_is_refused(k):
    with pytest.raises(InputError, match="k must be a whole number of at least 1"):
        metrics.ordered_average_precision(*case(), 12, k=k)
    with pytest.raises(InputError, match="k must be a whole number of at least 1"):
        metrics.precision_at(*case(), 12, k=k)


def test_figures_can_be_asked_for_by_kind_and_by_name():
    data = case(n_database=1100)
    whole = metrics.evaluate_codes(*data, n_bits=12)
    assert {figure.kind for figure in metrics.FIGURES} == set(metrics.KINDS)
    for kind in ("tie-aware", "database-order", "precision", "ndcg", "guaranteed"):
        report = metrics.evaluate_codes(*data, n_bits=12, figures=[kind])
        names = {one.name for one in metrics.FIGURES if one.kind == kind} | {"tie_aware_map"}
        assert dict(report.figures) == {name: whole.figures[name] for name in names}
        assert report.curve_by_rank == whole.curve_by_rank
        assert report.per_class == whole.per_class
        assert set(report.to_dict()["conventions"]) == names
    assert set(metrics.evaluate_codes(*data, n_bits=12, figures=["ndcg_at_100"]).figures) == {
        "tie_aware_map",
        "ndcg_at_100",
    }
    assert metrics.evaluate_codes(*data, n_bits=12, figures=["distance"]) == whole
    assert metrics.evaluate_codes(*data, n_bits=12, figures=[]).map_database_order is None


def test_rankings_are_not_walked_where_no_figure_needs_them(monkeypatch):
    data = case()
    monkeypatch.setattr(comparison.Comparison, "ordered", None)
    metrics.evaluate_codes(*data, n_bits=12, figures=["tie-aware", "precision", "ndcg", "guaranteed"])
    with pytest.raises(TypeError, match="not callable"):
        metrics.evaluate_codes(*data, n_bits=12, figures=["database-order"])


def test_a_convention_has_the_rankings_that_it_needs():
    data = case()
    whole = metrics.evaluate_codes(*data, n_bits=12, convention="csq", k=10)
    few = metrics.evaluate_codes(*data, n_bits=12, convention="csq", k=10, figures=["precision"])
    assert few.map_by_convention == whole.map_by_convention


def test_figures_that_are_not_known_or_lack_what_they_need_are_refused():
    data, outputs = case(), np.where(np.unpackbits(case()[0], axis=1, count=12), 1.0, -1.0)
    wrong = [
        ({"figures": ["precison"]}, "not by 'precison'. Did you mean 'precision'"),
        ({"figures": "precision"}, r"several names, such as \['precision'\]"),
        ({"figures": ["hierarchy"]}, "'hierarchy' need grades"),
        ({"figures": ["asymmetric"]}, "'asymmetric' need query_outputs"),
        ({"figures": ["ndcg"], "query_outputs": outputs}, "query_outputs would do nothing without figures of the kind"),
    ]
    for options, message in wrong:
        with pytest.raises(InputError, match=message):
            metrics.evaluate_codes(*data, n_bits=12, **options)
    report = metrics.evaluate_codes(*data, n_bits=12, query_outputs=outputs, figures=["asymmetric_tie_aware_map"])
    assert set(report.figures) == {"tie_aware_map", "asymmetric_tie_aware_map"}
