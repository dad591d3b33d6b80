"""Tie-aware average precision: the exact expectation over all orders of equal distances."""

import numpy as np
import numpy.typing as npt

from nearbit.metrics.comparison import Counts, Values, compare


def tie_aware_average_precision(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
) -> Values:
    """Return the tie-aware average precision (AP) of each query over the whole database.

    The items are ranked by distance; items of equal distance stand in a random order, and the result is the exact
    mean of AP over all those orders. The divisor is the number of *all* relevant items. A query without a relevant
    item in the database has the value 0. Deterministic, and independent of the order of the database.

    Args:
        query_codes: uint8 `(n_query, ceil(n_bits / 8))`.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_codes: uint8 `(n_database, ceil(n_bits / 8))`.
        database_labels: labels of the database, in the form of `query_labels`.
        n_bits: code length in bits.

    Returns:
        float64 `(n_query,)`, each in [0, 1].

    Raises:
        InputError: a wrong type, shape or length, set tail bits, no query, or an empty database.

    Paper: McSherry and Najork, "Computing information retrieval performance measures efficiently in the presence of
    tied scores" (ECIR 2008); used for codes by He et al. (CVPR 2018). Differs from their code: none known.

    Example:
        >>> codes = np.array([[0b10000000], [0b10000000]], np.uint8)
        >>> tie_aware_average_precision(codes[:1], [0], codes, [0, 1], 1).tolist()  # the mean of 1 and 1/2
        [0.75]
    """
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    harmonic = harmonic_numbers(comparison.n_database)
    blocks = comparison.map_blocks(lambda block: expected_average_precision(*comparison.histograms(block), harmonic))
    return np.concatenate(list(blocks))


def harmonic_numbers(n: int) -> Values:
    """Return the harmonic numbers H(0) … H(n): float64 `(n + 1,)`."""
    return np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, n + 1))])


def expected_average_precision(items: Counts, relevant: Counts, harmonic: Values) -> Values:
    """Return the expected average precision from histograms over distances.

    A tie of n items, r of them relevant, after N items with R relevant ones, adds
    `r/n · [a·n + (R + 1 − a·(N + 1)) · (H(N + n) − H(N))]` with `a = (r − 1)/(n − 1)` (any value for n = 1); the sum
    over the ties is divided by the number of relevant items.

    Args:
        items: items at each distance, int64 `(n_query, n_bits + 1)`.
        relevant: relevant items at each distance, the same shape.
        harmonic: `harmonic_numbers(n_database)`.

    Returns:
        float64 `(n_query,)`; 0 where nothing is relevant.
    """
    items_before = np.cumsum(items, axis=1) - items
    relevant_before = np.cumsum(relevant, axis=1) - relevant
    slope = (relevant - 1) / np.maximum(items - 1, 1)
    spread = harmonic[items_before + items] - harmonic[items_before]
    inner = slope * items + (relevant_before + 1 - slope * (items_before + 1)) * spread
    gains = relevant / np.maximum(items, 1) * inner
    return np.asarray(gains.sum(axis=1) / np.maximum(relevant.sum(axis=1), 1), dtype=np.float64)
