"""Rankings with ties in database order in one pass, NumPy's form of all kernels, and what is warmed."""

import numpy as np
import pytest

from nearbit import metrics
from nearbit.codes import pack
from nearbit.compiled import COUNTING
from nearbit.metrics.counting import kernels, order_kernels, plain
from nearbit.metrics.counting.comparison import compare

LIMITS = np.array([10**6, 1, 40, 900], np.int64)
LABELS = {
    "one": lambda rng, n: rng.integers(0, 5, n),
    "rare": lambda rng, n: rng.integers(0, n, n),
    "several": lambda rng, n: rng.random((n, 70)) < 0.03,
    "many": lambda rng, n: rng.random((n, 9)) < 0.6,
    "none": lambda rng, n: np.zeros((n, 3), bool),
}


def case(n, n_bits, labels, *, spread, seed=0):
    """Return three queries and n items; `spread` is how many codes lie far from the center of their class."""
    rng = np.random.default_rng(seed)
    rows = LABELS[labels](rng, n + 3)
    own = rows if rows.ndim == 1 else rows.argmax(axis=1)
    centers = rng.random((int(own.max()) + 1, n_bits)) < 0.5
    noise = np.where(rng.random(n + 3) < spread, 0.5, 0.08)[:, None]
    codes = pack(np.where(centers[own] ^ (rng.random((n + 3, n_bits)) < noise), 1, -1))
    return codes[:3], rows[:3], codes[3:], rows[3:], n_bits


def by_loop(data):
    """Return the sums of precision and the numbers found within `LIMITS`, by a sort and a loop."""
    query_codes, query_labels, codes, labels, _ = data
    sums, found = np.zeros((len(query_codes), len(LIMITS))), np.zeros((len(query_codes), len(LIMITS)), np.int64)
    for query, (code, label) in enumerate(zip(query_codes, query_labels, strict=True)):
        distances = np.unpackbits(codes ^ code, axis=1).sum(axis=1, dtype=np.int64).tolist()
        hits = ((labels & label).any(axis=1) if labels.ndim == 2 else labels == label).tolist()
        seen = 0
        for rank, row in enumerate(sorted(range(len(codes)), key=distances.__getitem__), start=1):
            if hits[row]:
                seen += 1
                inside = rank <= LIMITS
                sums[query] += inside * seen / rank
                found[query] += inside
    return sums, found


@pytest.mark.parametrize("spread", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("labels", list(LABELS))
@pytest.mark.parametrize(("n", "n_bits"), [(1, 8), (63, 8), (4097, 64), (8300, 130)])
def test_one_pass_equals_a_sort_and_a_loop(n, n_bits, labels, spread):
    data = case(n, n_bits, labels, spread=spread)
    comparison, (sums, found) = compare(*data), by_loop(data)
    compiled = comparison.ordered(range(3), LIMITS, graded=True)
    histograms = comparison.histograms(range(3))
    assert np.array_equal(compiled.found, found)
    assert compiled.sums == pytest.approx(sums, abs=1e-9)
    assert np.array_equal(compiled.items, histograms[0])
    assert np.array_equal(compiled.relevant, histograms[1])
    if comparison.relevance.shared:
        expected = metrics.graded.graded_histograms(comparison, range(3), None)
        assert np.array_equal(compiled.graded[:, :, 1 : expected.shape[2]], expected[:, :, 1:])
        assert not compiled.graded[:, :, expected.shape[2] :].any()


def test_a_table_of_pairs_is_added_up_before_it_overflows():
    n = 2 * 131_072 + 5
    codes, labels = np.full((n, 1), 255, np.uint8), np.ones(n, np.int64)
    codes[-3:], labels[-3:], codes[7] = 0, 0, 0  # few lie near, and nearly all pairs of distances are (8, 8)
    found = compare(codes[-1:], [0], codes, labels, 8).ordered(range(1), LIMITS)
    assert found.items[0, [0, 8]].tolist() == [4, n - 4]
    assert found.sums[0, 0] == pytest.approx(1 / 2 + 2 / 3 + 3 / 4)


@pytest.mark.parametrize("labels", list(LABELS))
@pytest.mark.parametrize("n_bits", [8, 64, 130])
def test_numpy_counts_what_kernels_count(monkeypatch, labels, n_bits):
    data = case(700, n_bits, labels, spread=0.3)
    grades = None if data[1].ndim == 2 else metrics.grades_of_hierarchy([-1] * 703, 703)
    compiled = metrics.evaluate_codes(*data[:4], n_bits=n_bits, grades=grades)
    monkeypatch.setenv("NEARBIT_COMPILE", "never")
    monkeypatch.setattr(order_kernels, "ordered_sums", None)
    monkeypatch.setattr(kernels, "graded_histograms", None)
    by_numpy = metrics.evaluate_codes(*data[:4], n_bits=n_bits, grades=grades)
    for name, values in compiled.per_query.items():
        assert by_numpy.per_query[name] == pytest.approx(values, abs=1e-12), name
    assert by_numpy.curve_by_radius == compiled.curve_by_radius
    asked = compare(*data).asked(range(3))
    monkeypatch.setenv("NEARBIT_COMPILE", "now")
    expected = compare(*data).histograms(range(3))
    for found, counts in zip(plain.histograms(asked, n_bits), expected, strict=True):
        assert np.array_equal(found, counts)


@pytest.mark.parametrize("n_bits", [8, 64, 130])
def test_after_the_warming_real_work_compiles_nothing(n_bits):
    assert COUNTING.load()
    called = (
        kernels.grouped_histograms, kernels.listed_histograms, kernels.keyed_histograms, kernels.graded_histograms,
        order_kernels.ordered_sums,
    )  # fmt: skip
    before = [len(kernel.signatures) for kernel in called]
    for labels in LABELS:
        data = case(700, n_bits, labels, spread=0.3)
        for part in data[:4]:
            part.flags.writeable = False
        metrics.evaluate_codes(*data[:4], n_bits=n_bits)
        metrics.tie_aware_average_precision(*data)
        metrics.ndcg(*data, k=10)
    assert [len(kernel.signatures) for kernel in called] == before
