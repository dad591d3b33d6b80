"""AP at k, bounds, recall, radius, curves, graded relevance and averages against enumeration of every order of ties."""

import numpy as np
import pytest

import oracles
from nearbit import metrics
from nearbit.codes import pack
from nearbit.errors import InputError

PARENTS = [4, 4, 5, 5, 6, 6, -1]


def small_case(n_bits, *, multi):
    rng = np.random.default_rng(n_bits)
    signs = rng.choice([-1, 1], (2, n_bits))[rng.integers(0, 2, 9)]
    codes = pack(np.where(rng.random((9, n_bits)) < 1.5 / n_bits, -signs, signs))
    labels = rng.random((9, 4)) < 0.4 if multi else rng.integers(0, 4, 9)
    return codes[:3], labels[:3], codes[3:], labels[3:], n_bits


def groups_of(case):
    query_codes, query_labels, database_codes, database_labels, n_bits = case
    pairs = zip(query_codes, query_labels.tolist(), strict=True)
    return [oracles.ties(code, label, database_codes, database_labels.tolist(), n_bits) for code, label in pairs]


def mean_over(groups, figure):
    return [float(np.mean([float(figure(order)) for order in oracles.all_orders(group)])) for group in groups]


everything = pytest.mark.parametrize(("n_bits", "multi"), [(n, multi) for n in (1, 7, 12, 65) for multi in (0, 1)])


@everything
@pytest.mark.parametrize("divisor", ["relevant", "at most k", "found"])
def test_average_precision_at_k(n_bits, multi, divisor):
    case = small_case(n_bits, multi=multi)
    for k in (1, 2, 4, 6, 9):
        expected = mean_over(groups_of(case), lambda hits, k=k: oracles.cut_average_precision(hits, k, divisor))
        assert metrics.tie_aware_average_precision(*case, k=k, divisor=divisor) == pytest.approx(expected, abs=1e-9)


@everything
def test_bounds_are_the_extremes_over_orders(n_bits, multi):
    case = small_case(n_bits, multi=multi)
    low, high = metrics.average_precision_bounds(*case)
    for row, group in enumerate(groups_of(case)):
        values = [float(oracles.average_precision(order)) for order in oracles.all_orders(group)]
        assert (low[row], high[row]) == pytest.approx((min(values), max(values)), abs=1e-9)


@everything
def test_recall_radius_and_curves(n_bits, multi):
    case = small_case(n_bits, multi=multi)
    groups = groups_of(case)
    totals = [max(1, sum(map(sum, group))) for group in groups]
    by_rank, by_radius = metrics.curve_by_rank(*case, ranks=[1, 3, 7]), metrics.curve_by_radius(*case)
    for point, k in enumerate((1, 3, 7)):
        found = mean_over(groups, lambda hits, k=k: sum(hits[:k]))
        recall = [value / total for value, total in zip(found, totals, strict=True)]
        assert metrics.recall_at(*case, k=k) == pytest.approx(recall, abs=1e-9)
        assert by_rank.precision[point] == pytest.approx(np.mean(found) / k, abs=1e-9)
        assert by_rank.recall[point] == pytest.approx(np.mean(recall), abs=1e-9)
    for radius in range(n_bits + 1):
        balls = [[hit for tie in group[: radius + 1] for hit in tie] for group in groups]
        expected = (
            [sum(ball) / max(1, len(ball)) for ball in balls],
            [sum(ball) / total for ball, total in zip(balls, totals, strict=True)],
        )
        found = metrics.within_radius(*case, radius=radius)
        assert found[0] == pytest.approx(expected[0], abs=1e-9)
        assert found[1] == pytest.approx(expected[1], abs=1e-9)
        assert by_radius.precision[radius] == pytest.approx(np.mean(expected[0]), abs=1e-9)
        assert by_radius.recall[radius] == pytest.approx(np.mean(expected[1]), abs=1e-9)


def shared(a, b):
    return sum(x and y for x, y in zip(a, b, strict=True))


@everything
@pytest.mark.parametrize("hierarchy", [False, True])
def test_graded_figures(n_bits, multi, hierarchy):
    case = small_case(n_bits, multi=multi)
    if multi and hierarchy:
        with pytest.raises(InputError, match="one label each"):
            metrics.ndcg(*case, grades=metrics.grades_of_hierarchy(PARENTS, 4))
        return
    grades = metrics.grades_of_hierarchy(PARENTS, 4) if hierarchy else None
    levels = (lambda a, b: oracles.shared_levels(PARENTS, a, b)) if hierarchy else lambda a, b: int(a == b)
    query_codes, query_labels, database_codes, database_labels, _ = case
    groups = [
        oracles.graded_ties(code, label, database_codes, database_labels.tolist(), n_bits, shared if multi else levels)
        for code, label in zip(query_codes, query_labels.tolist(), strict=True)
    ]
    for k in (1, 3, 50):
        expected = mean_over(groups, lambda order, k=k: oracles.normalized_gain(order, k))
        assert metrics.ndcg(*case, k=k, grades=grades) == pytest.approx(expected, abs=1e-9)
        expected = mean_over(groups, lambda order, k=k: oracles.hierarchical_precision(order, k))
        assert metrics.hierarchical_average_precision(*case, k=k, grades=grades) == pytest.approx(expected, abs=1e-9)


def test_wrong_grades_and_choices_are_refused():
    case = small_case(7, multi=0)
    with pytest.raises(InputError, match="grades are of 1 classes, and the labels hold class number"):
        metrics.ndcg(*case, grades=metrics.grades_of_hierarchy([-1], 1))
    with pytest.raises(InputError, match="in a circle through node"):
        metrics.grades_of_hierarchy([1, 0], 2)
    with pytest.raises(InputError, match="from 0 to 1, or -1"):
        metrics.grades_of_hierarchy([2, -1], 2)
    with pytest.raises(InputError, match="at least n_classes = 3"):
        metrics.grades_of_hierarchy([-1], 3)
    with pytest.raises(InputError, match="divisor must be one of relevant, at most k, found, not 'all'"):
        metrics.tie_aware_average_precision(*case, k=3, divisor="all")
    with pytest.raises(InputError, match="radius must be a whole number of at least 0"):
        metrics.within_radius(*case, radius=-1)


@pytest.mark.parametrize("k", [3, 40, 199, 200])
def test_the_found_divisor_is_the_mean_over_random_orders_of_large_ties(k):
    rng = np.random.default_rng(3)
    codes, labels = pack(rng.choice([-1, 1], (201, 3))), rng.integers(0, 4, 201)
    value = metrics.tie_aware_average_precision(codes[:1], labels[:1], codes[1:], labels[1:], 3, k=k, divisor="found")
    drawn = []
    for _ in range(3000):
        order = rng.permutation(200) + 1
        drawn.append(metrics.ordered_average_precision(codes[:1], labels[:1], codes[order], labels[order], 3, k=k)[0])
    assert abs(np.mean(drawn) - value[0]) < 5 * np.std(drawn) / np.sqrt(3000) + 1e-9


def test_a_tree_of_names_grades_as_its_numbers():
    tree = {"a": "x", "b": "x", "c": "y", "d": "y", "x": "root", "y": "root"}
    expected = metrics.grades_of_hierarchy(PARENTS, 4).table
    assert np.array_equal(metrics.grades_of_tree(tree, ["a", "b", "c", "d"]).table, expected)
    with pytest.raises(InputError, match="does not give the class 'e' a parent"):
        metrics.grades_of_tree(tree, ["a", "e"])
    with pytest.raises(InputError, match="in a circle through 'a'"):
        metrics.grades_of_tree({"a": "b", "b": "a"}, ["a"])
    with pytest.raises(InputError, match="does not give the class 'x' a parent"):
        metrics.grades_of_tree({"a": "x"}, ["a", "x"])


@pytest.mark.parametrize(
    "table", [np.eye(2), np.zeros((2, 3), int), -np.eye(2, dtype=int), 2000 * np.eye(2, dtype=int)]
)
def test_grades_are_small_whole_numbers_in_a_square(table):
    with pytest.raises(InputError, match="grades must be whole numbers from 0 to 1000"):
        metrics.Grades(table)


def test_means_per_class():
    assert metrics.per_class([1.0, 0.0, 0.5], [0, 0, 2]).tolist() == pytest.approx([0.5, np.nan, 0.5], nan_ok=True)
    rows = np.array([[True, False, True], [True, False, False]])
    assert metrics.per_class([1.0, 0.0], rows).tolist() == pytest.approx([0.5, np.nan, 1.0], nan_ok=True)
    with pytest.raises(InputError, match="2 values came with 1 rows"):
        metrics.per_class([1.0, 0.0], [0])


def test_bootstrap_interval():
    values = np.random.default_rng(0).random(400)
    low, high = metrics.bootstrap_interval(values, rng=np.random.default_rng(1))
    assert low < values.mean() < high
    error = values.std() / 20
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    assert (low, high) == metrics.bootstrap_interval(values, rng=np.random.default_rng(1))
    low, high = metrics.bootstrap_interval(values, rng=np.random.default_rng(1), n_samples=1)
    assert low == high == values[np.random.default_rng(1).integers(0, 400, 400)].mean()
    with pytest.raises(InputError, match="level must be a number above 0"):
        metrics.bootstrap_interval(values, rng=np.random.default_rng(1), level=1.0)
    with pytest.raises(InputError, match="n_samples must be a whole number of at least 1"):
        metrics.bootstrap_interval(values, rng=np.random.default_rng(1), n_samples=0)


def test_queries_with_very_many_labels_spoil_no_figure():
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(0, 256, (60, 1)).astype(np.uint8), rng.random((60, 1100)) < 0.002
    case = (codes[:3], labels[:3].copy(), codes[3:], labels[3:], 8)
    before = metrics.ndcg(*case)
    case[1][2] = True
    assert metrics.ndcg(*case)[:2] == pytest.approx(before[:2])
    case[3][0] = True
    with pytest.raises(InputError, match="items share up to 1100 labels"):
        metrics.ndcg(*case)


def test_a_perfect_ranking_is_never_better_than_one():
    rng = np.random.default_rng(0)
    for _ in range(300):
        n_relevant, n_others = rng.integers(2, 30, 2)
        codes = np.concatenate([rng.choice([0, 1, 3, 7], n_relevant), np.full(n_others, 255)]).astype(np.uint8)[:, None]
        labels = np.repeat([0, 1], [n_relevant, n_others])
        case = (np.zeros((1, 1), np.uint8), [0], codes, labels, 8)
        value = metrics.tie_aware_average_precision(*case, k=int(rng.integers(1, len(codes))), divisor="at most k")
        assert 1 - 1e-9 < value[0] <= 1.0


def test_a_curve_needs_ranks():
    with pytest.raises(InputError, match="at least one rank"):
        metrics.curve_by_rank(*small_case(7, multi=0), ranks=[])
