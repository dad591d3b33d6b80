"""Closed forms of expected average precision, from histograms over distances."""

import numpy as np

from nearbit.metrics.counting.comparison import Counts, Values


def harmonic_numbers(n: int) -> Values:
    """Return the harmonic numbers H(0) … H(n): float64 `(n + 1,)`."""
    return np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, n + 1))])


def expected_average_precision(items: Counts, relevant: Counts, harmonic: Values, k: int | None = None) -> Values:
    """Return the expected average precision from histograms over distances.

    A tie of n items, r of them relevant, after N items with R relevant ones, of which the first m = min(n, k − N)
    ranks count, adds `r/n · [a·m + (R + 1 − a·(N + 1)) · (H(N + m) − H(N))]` with `a = (r − 1)/(n − 1)` (any value
    for n = 1); the sum over the ties is divided by the number of relevant items.

    Args:
        items: items at each distance, int64 `(n_query, n_bits + 1)`.
        relevant: relevant items at each distance, the same shape.
        harmonic: `harmonic_numbers(n_database)`.
        k: how many ranks count; None for all.

    Returns:
        float64 `(n_query,)`; 0 where nothing is relevant.
    """
    items_before = np.cumsum(items, axis=1) - items
    relevant_before = np.cumsum(relevant, axis=1) - relevant
    counted = items if k is None else np.clip(k - items_before, 0, items)
    gains = tie_gains(items, relevant, items_before, relevant_before, counted, harmonic)
    return np.asarray(gains.sum(axis=1) / np.maximum(relevant.sum(axis=1), 1), dtype=np.float64)


def tie_gains(
    items: Counts, relevant: Counts, items_before: Counts, relevant_before: Counts, counted: Counts, harmonic: Values
) -> Values:
    """Return what each tie adds to the sum of precision at relevant ranks, in expectation; arrays of one shape.

    Args:
        items: n, items of the tie.
        relevant: r, relevant items of the tie.
        items_before: N.
        relevant_before: R.
        counted: m, ranks of the tie that count.
        harmonic: harmonic numbers up to the largest N + m.
    """
    slope = (relevant - 1) / np.maximum(items - 1, 1)
    spread = harmonic[items_before + counted] - harmonic[items_before]
    inner = slope * counted + (relevant_before + 1 - slope * (items_before + 1)) * spread
    return np.asarray(relevant / np.maximum(items, 1) * inner, dtype=np.float64)
