"""Figures of rankings by real scores: equal to plain loops over every order of ties, whatever the scores."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
from nearbit.codes import pack, signs_of, unpack
from nearbit.errors import InputError
from nearbit.index import create_index
from nearbit.metrics import (
    asymmetric_average_precision,
    evaluate_codes,
    mean,
    scored_average_precision,
    tie_aware_average_precision,
)
from nearbit.metrics.figures import ASYMMETRIC


def ties_of(scores, relevant):
    """Return the (items, relevant items) of each tie, the largest score first."""
    return [
        (sum(scores == value), sum(relevant[scores == value].tolist())) for value in sorted(set(scores), reverse=True)
    ]


def expected(scores, relevant, k=None, divisor="relevant"):
    """Return the mean over orders of ties, by the probability that each pair of items of a tie stands so."""
    total, value, before, found = int(relevant.sum()), Fraction(0), 0, 0
    for n, r in ties_of(scores, relevant):
        for place in range(1, int(n) + 1):
            rank = before + place
            if k is None or rank <= k:
                others = Fraction((place - 1) * (r - 1), n - 1) if n > 1 else Fraction(0)
                value += Fraction(int(r), int(n)) * (found + 1 + others) / rank
        before, found = before + int(n), found + r
    most = total if k is None or divisor == "relevant" else min(total, k)
    return float(value / most) if most else 0.0


@st.composite
def rankings(draw):
    n_query, n, n_bits = draw(st.integers(1, 4)), draw(st.integers(1, 12)), draw(st.sampled_from([1, 5, 8, 12, 70]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    outputs = rng.choice([-1.5, -1.0, -0.0, 0.0, 0.25, 1.0], (n_query, n_bits)).astype(np.float32)
    signs = np.where(rng.random((n, n_bits)) < 0.5, 1, -1)
    if draw(st.booleans()):
        labels = rng.random((n_query, 3)) < 0.4, rng.random((n, 3)) < 0.4
    else:
        labels = rng.integers(0, 3, n_query), rng.integers(0, 3, n)
    return (
        outputs,
        signs,
        labels,
        draw(st.sampled_from([None, 1, 3, 50])),
        draw(st.sampled_from(["relevant", "at most k"])),
    )


@settings(max_examples=150, deadline=None)
@given(rankings())
def test_figures_are_those_of_plain_loops(case):
    outputs, signs, (query_labels, labels), k, divisor = case
    found = asymmetric_average_precision(
        outputs, query_labels, pack(signs), labels, outputs.shape[1], k=k, divisor=divisor
    )
    scores = outputs.astype(float) @ signs.T
    by_score = scored_average_precision(scores, query_labels, labels, k=k, divisor=divisor)
    by_call = scored_average_precision(lambda query: scores[query], query_labels, labels, k=k, divisor=divisor)
    assert np.array_equal(by_score, by_call)
    for query, label in enumerate(query_labels):
        relevant = (labels & label).any(axis=1) if labels.ndim == 2 else labels == label
        value = expected(scores[query], relevant, k, divisor)
        assert found[query] == pytest.approx(value, abs=1e-12)
        assert by_score[query] == pytest.approx(value, abs=1e-12)


def test_the_oracle_of_ties_is_the_mean_over_every_order():
    scores, relevant = np.array([2, 2, 1, 1, 1, 0]), np.array([True, False, True, True, False, True])
    ties = [[True, False], [True, True, False], [True]]
    value = oracles.mean_over_orders(ties, oracles.average_precision)
    assert expected(scores, relevant) == pytest.approx(float(value), abs=1e-12)


def test_equal_magnitudes_give_the_symmetric_figure():
    rng = np.random.default_rng(0)
    signs, labels = np.where(rng.random((60, 8)) < 0.5, 1, -1), rng.integers(0, 4, 60)
    data = (labels[:9], pack(signs), labels, 8)
    symmetric = tie_aware_average_precision(pack(signs[:9]), *data)
    assert asymmetric_average_precision(0.3 * signs[:9], *data) == pytest.approx(symmetric, abs=1e-12)


def test_the_ranking_is_that_of_the_index(tmp_path):
    rng = np.random.default_rng(2)
    outputs = rng.normal(size=(5, 12)).astype(np.float32)
    codes, labels = pack(signs_of(rng.normal(size=(40, 12)))), rng.integers(0, 3, 40)
    with create_index(tmp_path / "a.index", 12) as index:
        index.add(codes, ids=range(40))
        found = index.search(pack(signs_of(outputs)), k=40, weights=outputs)
    distances = np.empty((5, 40))
    np.put_along_axis(distances, found.ids, found.weighted, axis=1)
    by_index = scored_average_precision(-distances, labels[:5], labels)
    assert np.array_equal(asymmetric_average_precision(outputs, labels[:5], codes, labels, 12), by_index)


def test_figures_of_an_evaluation_have_names_and_words():
    rng = np.random.default_rng(1)
    outputs, signs = rng.normal(size=(6, 8)), np.where(rng.random((150, 8)) < 0.5, 1, -1)
    data = (outputs, rng.integers(0, 2, 6), pack(signs), rng.integers(0, 2, 150))
    report = evaluate_codes(pack(signs_of(outputs)), *data[1:], n_bits=8, query_outputs=outputs).to_dict()
    figures = {name: value for name, value in report.items() if name.startswith("asymmetric")}
    assert list(figures) == [figure.name for figure in ASYMMETRIC]
    assert {figure.name: report["conventions"][figure.name] for figure in ASYMMETRIC} == {
        figure.name: figure.means for figure in ASYMMETRIC
    }
    assert figures["asymmetric_tie_aware_map"] == mean(asymmetric_average_precision(*data, 8))
    at_100 = asymmetric_average_precision(*data, 8, k=100, divisor="at most k")
    assert figures["asymmetric_tie_aware_map_at_100"] == mean(at_100)
    assert figures["asymmetric_tie_aware_map_at_1000"] is None
    assert unpack(data[2], 8).shape == (150, 8)


@pytest.mark.parametrize(
    ("outputs", "labels", "more", "words"),
    [
        ([[np.nan] * 8], [0], {}, "query_outputs must be finite"),
        ([[1.0] * 7], [0], {}, r"query_outputs must be real numbers \(1, 8\)"),
        ([[1.0] * 8], [0], {"k": 0}, "k must be a whole number"),
        ([[1.0] * 8], [0], {"divisor": "found"}, "divisor must be one of relevant, at most k"),
        (np.empty((0, 8)), np.empty(0, int), {}, "an evaluation needs queries and database items"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(outputs, labels, more, words):
    with pytest.raises(InputError, match=words):
        asymmetric_average_precision(outputs, labels, np.zeros((2, 1), np.uint8), [0, 1], 8, **more)


def test_database_labels_of_another_length_are_refused():
    with pytest.raises(InputError, match="2 codes came with 3 labels"):
        asymmetric_average_precision([[1.0] * 8], [0], np.zeros((2, 1), np.uint8), [0, 1, 1], 8)


@pytest.mark.parametrize("scores", [[[0.1, np.nan]], [["a", "b"]]])
def test_scores_that_are_no_finite_numbers_are_refused(scores):
    with pytest.raises(InputError, match=r"scores must be finite numbers \(2,\) a query"):
        scored_average_precision(scores, [0], [0, 1])


def test_scores_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"scores must have the shape \(1, 2\), not \(1, 3\)"):
        scored_average_precision([[1.0, 2.0, 3.0]], [0], [0, 1])
