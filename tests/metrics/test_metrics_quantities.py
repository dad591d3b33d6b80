"""The metrics against enumeration of every order of ties, on awkward data and small laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
from nearbit import metrics
from nearbit.codes import n_bytes, pack
from nearbit.metrics.counting import relevance

LENGTHS = (1, 7, 8, 12, 16, 64, 65, 130)


def codes_with_ties(rng, n, n_bits):
    """Codes near one of two centers, so that distances tie without being all equal."""
    signs = rng.choice([-1, 1], (2, n_bits))[rng.integers(0, 2, n)]
    flips = rng.random((n, n_bits)) < 1.5 / n_bits
    return pack(np.where(flips, -signs, signs))


def small_case(n_bits, seed, *, multi=False):
    rng = np.random.default_rng(seed)
    codes = codes_with_ties(rng, 10, n_bits)
    labels = rng.random((10, 4)) < 0.35 if multi else rng.integers(0, 3, 10)
    return codes[:4], labels[:4], codes[4:], labels[4:], n_bits


def groups_of(case):
    query_codes, query_labels, database_codes, database_labels, n_bits = case
    pairs = zip(query_codes, query_labels.tolist(), strict=True)
    return [oracles.ties(code, label, database_codes, database_labels.tolist(), n_bits) for code, label in pairs]


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("n_bits", LENGTHS)
def test_tie_aware_figures_equal_the_mean_over_all_orders(n_bits, multi):
    case = small_case(n_bits, n_bits, multi=multi)
    groups = groups_of(case)
    expected = [float(oracles.mean_over_orders(group, oracles.average_precision)) for group in groups]
    assert metrics.tie_aware_average_precision(*case) == pytest.approx(expected, abs=1e-9)
    for k in (1, 2, 5, 9):
        expected = [
            float(oracles.mean_over_orders(group, lambda hits, k=k: oracles.precision(hits, k))) for group in groups
        ]
        assert metrics.precision_at(*case, k=k) == pytest.approx(expected, abs=1e-9)
    expected = [float(oracles.mean_over_orders(group, oracles.r_precision)) for group in groups]
    assert metrics.r_precision(*case) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("n_bits", [*LENGTHS, 255, 256, 300])
def test_ordered_figure_equals_the_loop(n_bits, multi):
    case = small_case(n_bits, n_bits + 1000, multi=multi)
    for k in (None, 1, 3, 6, 100):
        expected = [float(oracles.average_precision(oracles.ordered_hits(group, k))) for group in groups_of(case)]
        assert metrics.ordered_average_precision(*case, k=k) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n_bits", [3, 12, 65, 300])
def test_ordered_figure_equals_the_loop_where_hundreds_tie(n_bits):
    rng = np.random.default_rng(n_bits)
    codes, labels = codes_with_ties(rng, 503, n_bits), rng.integers(0, 5, 503)
    case = (codes[:3], labels[:3], codes[3:], labels[3:], n_bits)
    expected = [float(oracles.average_precision(oracles.ordered_hits(group))) for group in groups_of(case)]
    assert metrics.ordered_average_precision(*case) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n_bits", [255, 256, 300, 511, 512])
def test_opposite_codes_rank_last(n_bits):
    codes = pack(np.array([[-1], [1]]) * np.ones(n_bits, np.int8))
    case = (codes[1:], [0], codes, [0, 1], n_bits)
    assert metrics.ordered_average_precision(*case).tolist() == [0.5]
    assert metrics.tie_aware_average_precision(*case).tolist() == [0.5]


def test_many_ties_equal_the_mean_of_random_orders():
    rng = np.random.default_rng(5)
    codes, labels = codes_with_ties(rng, 400, 16), rng.integers(0, 5, 400)
    exact = metrics.tie_aware_average_precision(codes[:8], labels[:8], codes[8:], labels[8:], 16)
    samples = []
    for _ in range(200):
        order = rng.permutation(392)
        samples.append(
            metrics.ordered_average_precision(codes[:8], labels[:8], codes[8:][order], labels[8:][order], 16)
        )
    standard_error = np.std(samples, axis=0) / math.sqrt(len(samples))
    assert (np.abs(np.mean(samples, axis=0) - exact) <= 5 * standard_error).all()


def test_all_identical_codes_give_the_expectation_of_a_random_order():
    codes = np.zeros((6, 2), np.uint8)
    values = metrics.tie_aware_average_precision(codes[:1], [0], codes[1:], [0, 1, 1, 0, 1], 12)
    group = [[True, False, False, True, False]]
    assert values[0] == pytest.approx(float(oracles.mean_over_orders(group, oracles.average_precision)), abs=1e-12)
    assert metrics.precision_at(codes[:1], [0], codes[1:], [0, 1, 1, 0, 1], 12, k=3)[0] == pytest.approx(0.4)


def test_a_query_without_relevant_items_counts_zero():
    codes = pack([[1, -1], [1, 1], [-1, 1]])
    case = (codes[:1], [7], codes[1:], [0, 1], 2)
    assert metrics.tie_aware_average_precision(*case).tolist() == [0.0]
    assert metrics.ordered_average_precision(*case).tolist() == [0.0]
    assert metrics.precision_at(*case, k=1).tolist() == [0.0]


def test_one_item():
    code = pack([[1]])
    assert metrics.tie_aware_average_precision(code, [3], code, [3], 1).tolist() == [1.0]
    assert metrics.ordered_average_precision(code, [3], code, [3], 1, k=1).tolist() == [1.0]
    assert metrics.precision_at(code, [3], code, [3], 1, k=4).tolist() == [0.25]


@pytest.mark.parametrize(("third_is_relevant", "value"), [(True, 5 / 6), (False, 1.0)])
def test_missing_a_relevant_item_raises_the_field_figure(third_is_relevant, value):
    """The worked example of DeepHash-pytorch's issue 33: [+, -, +] gives 5/6, [+, -, -] gives 1."""
    database = pack([[1, 1, 1, 1], [1, 1, 1, -1], [1, 1, -1, -1]])
    labels = [0, 1, 0 if third_is_relevant else 1]
    found = metrics.ordered_average_precision(database[:1], [0], database, labels, 4, k=3)
    assert found[0] == pytest.approx(value)


def test_items_without_a_label_are_relevant_to_nothing():
    codes = pack([[1, 1], [1, -1]])
    none = np.zeros((2, 3), bool)
    assert metrics.tie_aware_average_precision(codes, none, codes, none, 2).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("n_classes", [1, 5, 130])
def test_an_item_that_shares_several_labels_is_relevant_once(n_classes, monkeypatch):
    monkeypatch.setattr(relevance, "BLOCK", 40)
    rng = np.random.default_rng(n_classes)
    query, database = (rng.random((n, n_classes)) < 3 / n_classes for n in (17, 60))
    query[0] = database[0] = False
    expected = [
        sum(any(a and b for a, b in zip(one, other, strict=True)) for other in database.tolist())
        for one in query.tolist()
    ]
    assert relevance.relevant_counts(query, database).tolist() == expected


def test_more_than_one_word_of_classes():
    rng = np.random.default_rng(3)
    codes, labels = codes_with_ties(rng, 9, 12), rng.random((9, 130)) < 0.01
    labels[0, [3, 70, 129]] = labels[5, 129] = labels[6, 70] = labels[7, 3] = True
    case = (codes[:4], labels[:4], codes[4:], labels[4:], 12)
    expected = [float(oracles.mean_over_orders(group, oracles.average_precision)) for group in groups_of(case)]
    assert metrics.tie_aware_average_precision(*case) == pytest.approx(expected, abs=1e-9)
    assert expected[0] > 0


def test_more_queries_than_one_block_keep_their_order():
    rng = np.random.default_rng(4)
    codes, labels = codes_with_ties(rng, 600, 12), rng.integers(0, 4, 600)
    together = metrics.tie_aware_average_precision(codes, labels, codes[:20], labels[:20], 12)
    alone = [
        metrics.tie_aware_average_precision(codes[i : i + 1], labels[i : i + 1], codes[:20], labels[:20], 12)[0]
        for i in (0, 255, 256, 599)
    ]
    assert together[[0, 255, 256, 599]].tolist() == alone


cases = st.tuples(st.integers(1, 70), st.integers(0, 2**32 - 1), st.booleans())


@settings(max_examples=60, deadline=None)
@given(cases)
def test_values_lie_between_zero_and_one(drawn):
    n_bits, seed, multi = drawn
    case = small_case(n_bits, seed, multi=multi)
    for values in (
        metrics.tie_aware_average_precision(*case),
        metrics.ordered_average_precision(*case, k=3),
        metrics.precision_at(*case, k=2),
    ):
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()


@settings(max_examples=60, deadline=None)
@given(cases)
def test_tie_aware_figure_ignores_class_names_and_the_order_of_the_database(drawn):
    n_bits, seed, multi = drawn
    query_codes, query_labels, database_codes, database_labels, _ = small_case(n_bits, seed, multi=multi)
    rng = np.random.default_rng(seed)
    value = metrics.tie_aware_average_precision(query_codes, query_labels, database_codes, database_labels, n_bits)
    names = rng.permutation(4)
    if multi:
        renamed = (query_labels[:, names], database_labels[:, names])
    else:
        renamed = (names[query_labels], names[database_labels])
    order = rng.permutation(len(database_codes))
    moved = metrics.tie_aware_average_precision(
        query_codes, renamed[0], database_codes[order], renamed[1][order], n_bits
    )
    assert moved == pytest.approx(value, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(cases)
def test_class_numbers_and_their_bool_rows_give_the_same(drawn):
    n_bits, seed, _ = drawn
    query_codes, query_labels, database_codes, database_labels, _ = small_case(n_bits, seed)
    one_hot = np.eye(3, dtype=bool)
    by_number = metrics.tie_aware_average_precision(query_codes, query_labels, database_codes, database_labels, n_bits)
    by_row = metrics.tie_aware_average_precision(
        query_codes, one_hot[query_labels], database_codes, one_hot[database_labels], n_bits
    )
    assert np.array_equal(by_number, by_row)


def test_figures_do_not_exceed_one_by_rounding_on_a_large_database():
    n = 50_000
    codes = np.random.default_rng(0).integers(0, 256, (n, n_bytes(16)), dtype=np.uint8)
    value = metrics.tie_aware_average_precision(codes[:1], [0], codes, np.zeros(n, np.int64), 16)
    assert value[0] == pytest.approx(1.0, abs=1e-12)
    assert value[0] <= 1.0
