"""The compiled loops: more items than one block, groups of equal items, long codes, many classes."""

import os
import subprocess
import sys

import numpy as np
import pytest

import oracles
from nearbit import metrics
from nearbit.codes import pack
from nearbit.errors import InputError
from nearbit.metrics.counting.comparison import compare
from nearbit.metrics.counting.grouping import group, may_pay, order_of


def case(n_bits, n=4200, *, multi, seed=0):
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1, 1], (3, n_bits))[rng.integers(0, 3, n + 2)]
    codes = pack(np.where(rng.random((n + 2, n_bits)) < min(0.3, 8 / n_bits), -signs, signs))
    labels = rng.random((n + 2, 70)) < 0.03 if multi else rng.integers(0, 4, n + 2)
    return codes[:2], labels[:2], codes[2:], labels[2:], n_bits


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("n_bits", [1, 3, 12, 64, 65, 1024])
def test_figures_equal_the_loops_on_more_items_than_a_block(n_bits, multi):
    data = case(n_bits, 20_001 if n_bits <= 12 else 4200, multi=multi)
    query_codes, query_labels, database_codes, database_labels, _ = data
    labels = database_labels.tolist()
    groups = [
        oracles.ties(code, label, database_codes, labels, n_bits)
        for code, label in zip(query_codes, query_labels.tolist(), strict=True)
    ]
    assert compare(*data).groups.pay == (n_bits <= 3 or (n_bits == 12 and not multi))
    expected = [oracles.expected_average_precision(group) for group in groups]
    assert metrics.tie_aware_average_precision(*data) == pytest.approx(expected, abs=1e-9)
    expected = [float(oracles.average_precision(oracles.ordered_hits(group, 900))) for group in groups]
    assert metrics.ordered_average_precision(*data, k=900) == pytest.approx(expected, abs=1e-9)


def test_groups_of_many_labels_weigh_as_many_items_as_they_hold():
    codes, labels = np.zeros((9, 1), np.uint8), np.eye(2, dtype=bool)[[0, 0, 0, 0, 1, 1, 1, 1, 1]]
    labels[:, 1] = True
    assert compare(codes[:1], labels[:1], codes, labels, 4).groups.pay
    assert metrics.precision_at(codes[:1], labels[4:5] & False, codes, labels, 4, k=9).tolist() == [0.0]
    only_first = labels[:1] & np.array([[True, False]])
    assert metrics.precision_at(codes[:1], only_first, codes, labels, 4, k=9) == pytest.approx([4 / 9])


def histograms_by_loop(data):
    query_codes, query_labels, database_codes, database_labels, n_bits = data
    items, relevant = [], []
    for code, label in zip(query_codes, query_labels, strict=True):
        distances = np.unpackbits(database_codes ^ code, axis=1).sum(axis=1, dtype=np.int64)
        hits = (database_labels & label).any(axis=1) if database_labels.ndim == 2 else database_labels == label
        items.append(np.bincount(distances, minlength=n_bits + 1))
        relevant.append(np.bincount(distances[hits], minlength=n_bits + 1))
    return items, relevant


@pytest.mark.parametrize("labels", ["one", "few", "many"])
@pytest.mark.parametrize(("n_bits", "n"), [(64, 49_152), (64, 49_153), (20, 60_003), (130, 5001), (300, 5000)])
def test_histograms_of_more_items_than_a_block_equal_counts(n_bits, n, labels):
    rng = np.random.default_rng(n)
    codes = pack(rng.choice([-1, 1], (n + 3, n_bits)))
    rows = {
        "one": rng.integers(0, 3, n + 3),
        "few": rng.random((n + 3, 70)) < 0.03,
        "many": rng.random((n + 3, 9)) < 0.6,
    }
    data = (codes[:3], rows[labels][:3], codes[3:], rows[labels][3:], n_bits)
    comparison = compare(*data)
    assert (comparison._lists is not None) == (labels == "few") or labels == "one"
    for found, expected in zip(comparison.histograms(range(3)), histograms_by_loop(data), strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("multi", [False, True])
def test_equal_queries_are_worked_on_once_and_all_count(multi):
    codes, labels, database, database_labels, n_bits = case(12, 300, multi=multi)
    rows = [0, 1, 0, 0, 1, 0]
    data = (codes[rows], labels[rows], database, database_labels, n_bits)
    distinct, of_query = compare(*data).once()
    assert distinct.n_query == 2
    assert np.array_equal(distinct.query_words[of_query], compare(*data).query_words)
    each = metrics.tie_aware_average_precision(codes, labels, database, database_labels, n_bits)
    assert np.array_equal(metrics.tie_aware_average_precision(*data), each[rows])
    report = metrics.evaluate_codes(*data[:4], n_bits=n_bits)
    assert report.tie_aware_map == pytest.approx(each[rows].mean())
    assert report.curve_by_radius["precision"] == pytest.approx(metrics.curve_by_radius(*data).precision)


def test_codes_too_long_for_the_loops_are_refused():
    codes = np.zeros((1, 4096), np.uint8)
    with pytest.raises(InputError, match="at most 32767 bits, not 32768"):
        metrics.tie_aware_average_precision(codes, [0], codes, [0], 32768)
    assert metrics.tie_aware_average_precision(codes, [0], codes, [0], 32767).tolist() == [1.0]


@pytest.mark.parametrize("n_groups", [1, 700, 1400, 2400, 20_000])
@pytest.mark.parametrize("n", [1, 50, 3000, 20_000])
def test_a_sample_says_whether_grouping_may_pay(n, n_groups):
    rng = np.random.default_rng(n)
    values = rng.permutation(np.arange(n) % min(n, n_groups)).astype(np.uint64)
    columns = np.stack([values // 3, values])
    pays = len(np.unique(values)) <= 0.8 * n
    assert group(columns).pay == pays
    assert may_pay(columns) == pays


def test_rows_are_ordered_by_key():
    for keys in ([3, 1, 2, 1], [2**40, 5, 2**40, 0], [65535, 65536, 1]):
        array = np.array(keys, np.uint64)
        assert order_of(array).tolist() == sorted(range(len(keys)), key=keys.__getitem__)


def test_groups_hold_equal_items():
    columns = np.array([[5, 1, 5, 5], [0, 2, 1, 0]], np.uint64)
    groups = group(columns)
    assert groups.first.tolist() == [1, 0, 2]
    assert groups.sizes.tolist() == [1, 2, 1]
    assert groups.of_row.tolist() == [1, 0, 2, 1]


def test_kernels_are_loaded_by_the_first_evaluation_only():
    code = "import sys, nearbit.metrics; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


UNCOMPILED = """
import numpy as np
from nearbit.metrics.counting import kernels
codes = np.array([[0, 1, 3, 3, 7, 0, 5]], np.uint64)
keys = np.array([[1, 2, 3, 1, 2, 2, 1]], np.uint64)
items, relevant = np.zeros((1, 5), np.int64), np.zeros((1, 5), np.int64)
kernels.keyed_histograms(
    codes[:, :1].copy(), codes, keys[:, :1].copy(), keys, np.empty(0, np.uint32), items, relevant
)
print(items[0].tolist(), relevant[0].tolist())
"""


def test_histograms_of_shared_labels_stay_within_their_places():
    """Compiled loops do not check bounds; uncompiled ones raise where a place is none of theirs."""
    done = subprocess.run(
        [sys.executable, "-c", UNCOMPILED],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("[2, 1, 3, 1, 0] [1, 0, 3, 0, 0]\n", 0), done.stderr
