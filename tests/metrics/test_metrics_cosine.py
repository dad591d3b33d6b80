"""The ranking by cosine: equal to plain loops with exact fractions, zero rows and ties among them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nearbit.errors import InputError
from nearbit.metrics import cosine, cosine_average_precision, scored_average_precision


def signed_square(one, other):
    """Return cosine · |cosine| of two rows of whole numbers, exact; 0 for a row of zeros."""
    dot, lengths = (int(sum(a * b for a, b in zip(*pair, strict=True))) for pair in ((one, other), (one, one)))
    lengths *= int(sum(b * b for b in other))
    return Fraction(dot * abs(dot), lengths) if lengths else Fraction(0)


def expected(scores, relevant):
    """Return the mean over orders of ties of average precision, by the probability of each pair of places."""
    value, before, found = Fraction(0), 0, 0
    for score in sorted(set(scores), reverse=True):
        tied = [hit for own, hit in zip(scores, relevant, strict=True) if own == score]
        n, r = len(tied), sum(tied)
        for place in range(1, n + 1):
            others = Fraction((place - 1) * (r - 1), n - 1) if n > 1 else Fraction(0)
            value += Fraction(r, n) * (found + 1 + others) / (before + place)
        before, found = before + n, found + r
    return float(value / found) if found else 0.0


@st.composite
def rows(draw):
    n_query, n, width = draw(st.integers(1, 5)), draw(st.integers(1, 14)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    parts = [rng.integers(-2, 3, (size, width)).astype(np.float32) for size in (n_query, n)]
    if draw(st.booleans()):
        return *parts, rng.random((n_query, 3)) < 0.4, rng.random((n, 3)) < 0.4
    return *parts, rng.integers(0, 3, n_query), rng.integers(0, 3, n)


@settings(max_examples=150, deadline=None)
@given(rows())
def test_figures_are_those_of_plain_loops(case):
    queries, items, query_labels, labels = case
    scores = [[signed_square(query, item) for item in items.tolist()] for query in queries.tolist()]
    units = np.sqrt(np.abs(np.array(scores, np.float64))) / cosine.UNIT
    assume((np.abs(units % 1 - 0.5) > 0.1).all())  # no last bit of float32 decides how a cosine is rounded
    relevant = [
        [bool(np.any(own & other)) if labels.ndim == 2 else bool(own == other) for other in labels]
        for own in query_labels
    ]
    wanted = [expected(*pair) for pair in zip(scores, relevant, strict=True)]
    assert cosine_average_precision(queries, query_labels, items, labels).tolist() == pytest.approx(wanted, abs=1e-12)


def test_blocks_of_queries_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    queries, items = rng.standard_normal((9, 5)), rng.standard_normal((40, 5))
    labels = rng.integers(0, 3, 9), rng.integers(0, 3, 40)
    whole = cosine_average_precision(queries, labels[0], items, labels[1])
    assert whole == pytest.approx(scored_average_precision(scores_of(queries, items), *labels), abs=1e-12)
    monkeypatch.setattr(cosine, "PAIRS_PER_BLOCK", 100)
    assert cosine_average_precision(queries, labels[0], items, labels[1]) == pytest.approx(whole, abs=1e-12)


def scores_of(queries, items):
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(items, axis=1)
    return np.rint(queries @ items.T / lengths / cosine.UNIT)


def test_the_size_of_features_is_of_no_account():
    rng = np.random.default_rng(1)
    queries, items = rng.standard_normal((4, 3)), rng.standard_normal((12, 3))
    labels = rng.integers(0, 2, 4), rng.integers(0, 2, 12)
    whole = cosine_average_precision(queries, labels[0], items, labels[1])
    larger = cosine_average_precision(queries * 1e-12, labels[0], items * rng.uniform(1, 1e9, (12, 1)), labels[1])
    assert larger == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_rows": [[np.nan, 1.0]]}, "query_rows hold values that are not finite"),
        ({"query_rows": [1.0, 2.0]}, r"query_rows must be numbers \(n, width\), at least one row, not float64 \(2,\)"),
        ({"database_rows": np.zeros((0, 2)), "database_labels": []}, "database_rows must be numbers"),
        ({"database_rows": [[1.0]]}, "query_rows have 2 columns and database_rows 1"),
        ({"query_labels": [0, 1]}, "1 queries and 1 database rows came with 2 and 1 labels"),
    ],
)
def test_what_cannot_be_ranked_is_refused(change, message):
    given_rows = {"query_rows": [[1.0, 2.0]], "query_labels": [0], "database_rows": [[1.0, 0.0]]}
    with pytest.raises(InputError, match=message):
        cosine_average_precision(**given_rows | {"database_labels": [0]} | change)
