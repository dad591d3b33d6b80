"""Tie-aware average precision: the exact expectation over all orders of equal distances, and its closed forms."""

import numpy as np
import numpy.typing as npt

from nearbit.given import check_choice
from nearbit.metrics.counting.comparison import Comparison, Counts, Values, check_k, compare

DIVISORS = ("relevant", "at most k", "found")


def tie_aware_average_precision(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
    *,
    k: int | None = None,
    divisor: str = "relevant",
) -> Values:
    """Return the tie-aware average precision (AP) of each query over the whole database, or within the first k ranks.

    The items are ranked by distance; items of equal distance stand in a random order, and the result is the exact
    mean of AP over all those orders. A query without a relevant item in the database has the value 0.
    Deterministic, and independent of the order of the database.

    Args:
        query_codes: uint8 `(n_query, ceil(n_bits / 8))`.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_codes: uint8 `(n_database, ceil(n_bits / 8))`.
        database_labels: labels of the database, in the form of `query_labels`.
        n_bits: code length in bits.
        k: how many ranks count; None for all. A `k` beyond the database is the same as all.
        divisor: "relevant", all relevant items M (with `k` below M, a perfect ranking stays below 1); "at most k",
            min(M, k); or "found", those within the first k ranks, as most published tables have it (missing a
            relevant item can raise it). Without `k` they are the same.

    Returns:
        float64 `(n_query,)`, each in [0, 1].

    Raises:
        InputError: a wrong type, shape or length, set tail bits, no query, an empty database, k < 1, or an unknown
            divisor.

    Paper: McSherry and Najork, "Computing information retrieval performance measures efficiently in the presence of
    tied scores" (ECIR 2008); used for codes by He et al. (CVPR 2018). Differs from their code: none known.

    Example:
        >>> codes = np.array([[0b10000000], [0b10000000]], np.uint8)
        >>> tie_aware_average_precision(codes[:1], [0], codes, [0, 1], 1).tolist()  # the mean of 1 and 1/2
        [0.75]
    """
    limit = None if k is None else check_k(k)
    check_choice("divisor", divisor, tuple(DIVISORS))
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    harmonic = harmonic_numbers(comparison.n_database)
    ranks = comparison.n_database if limit is None else limit

    def figure(own: Comparison, block: range) -> Values:
        return average_precision_from(*own.histograms(block), harmonic, ranks, divisor)

    return comparison.per_query(figure)


def leave_one_out_average_precision(codes: npt.ArrayLike, labels: npt.ArrayLike, n_bits: int) -> Values:
    """Return the tie-aware average precision of each item as a query among all the others.

    It is `tie_aware_average_precision` with the database of all items but the query itself, and has its errors.

    Args:
        codes: uint8 `(n, ceil(n_bits / 8))`.
        labels: class numbers int `(n,)`, or bool `(n, n_classes)`.
        n_bits: code length in bits.

    Returns:
        float64 `(n,)`; 0 where no other item is relevant.

    Example:
        >>> codes = np.array([[0b00000000], [0b10000000], [0b11000000]], np.uint8)
        >>> leave_one_out_average_precision(codes, [0, 1, 0], 2).tolist()
        [0.5, 0.0, 0.5]
    """
    comparison = compare(codes, labels, codes, labels, n_bits)
    harmonic = harmonic_numbers(comparison.n_database)

    def figure(own: Comparison, block: range) -> Values:
        items, relevant = own.histograms(block)
        items, relevant = items.copy(), relevant.copy()
        items[:, 0] -= 1  # the query itself, at distance 0 and with its own labels
        relevant[:, 0] -= own.relevance.labelled(block)
        return average_precision_from(items, relevant, harmonic, comparison.n_database, "relevant")

    return comparison.per_query(figure)


def average_precision_from(items: Counts, relevant: Counts, harmonic: Values, k: int, divisor: str) -> Values:
    """Return the tie-aware average precision within the first k ranks, by one of `DIVISORS`, from histograms."""
    if divisor == "found":
        return expected_found_precision(items, relevant, harmonic, k)
    values = expected_average_precision(items, relevant, harmonic, k)
    return at_most_k(values, relevant, k) if divisor == "at most k" else values


def at_most_k(values: Values, relevant: Counts, k: int) -> Values:
    """Return average precision divided by min(M, k), from that divided by the number M of relevant items."""
    total = relevant.sum(axis=1)
    return np.asarray(np.minimum(values * np.maximum(total, 1) / np.clip(total, 1, k), 1.0), dtype=np.float64)


def average_precision_bounds(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
) -> tuple[Values, Values]:
    """Return the lowest and the highest average precision of each query that some order of ties gives.

    Lowest: the relevant items of every tie stand last; highest: first. The further they lie apart, the less a figure
    in database order says. Arguments, divisor and errors are those of `tie_aware_average_precision`, over the whole
    database.

    Returns:
        float64 `(n_query,)` and `(n_query,)`, each in [0, 1]; both 0 for a query without relevant items.

    Example:
        >>> codes = np.array([[0b10000000], [0b10000000]], np.uint8)
        >>> [values.tolist() for values in average_precision_bounds(codes[:1], [0], codes, [0, 1], 1)]
        [[0.5], [1.0]]
    """
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    harmonic = harmonic_numbers(comparison.n_database)
    both = comparison.per_query(lambda own, block: np.stack(bounds_from(*own.histograms(block), harmonic), axis=1))
    return both[:, 0], both[:, 1]


def bounds_from(items: Counts, relevant: Counts, harmonic: Values) -> tuple[Values, Values]:
    """Return the lowest and highest average precision from histograms over distances.

    The r relevant items of a tie that stand after N′ items, R of them relevant, add
    `Σ (R + i)/(N′ + i) = r + (R − N′)·(H(N′ + r) − H(N′))`, i = 1 … r; N′ is N where they stand first in the tie,
    and N + n − r where they stand last.
    """
    first = np.cumsum(items, axis=1) - items
    relevant_before = np.cumsum(relevant, axis=1) - relevant
    total = np.maximum(relevant.sum(axis=1), 1)

    def value(before: Counts) -> Values:
        sums = relevant + (relevant_before - before) * (harmonic[before + relevant] - harmonic[before])
        return np.asarray(sums.sum(axis=1) / total, dtype=np.float64)

    return value(first + items - relevant), value(first)


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
    total = np.maximum(relevant.sum(axis=1), 1)
    items_before = np.cumsum(items, axis=1) - items
    counted = items if k is None else np.clip(k - items_before, 0, items)
    if k is not None:  # the ties from there on add 0
        width = whole_eighths(counted)
        items, relevant, items_before, counted = (part[:, :width] for part in (items, relevant, items_before, counted))
    relevant_before = np.cumsum(relevant, axis=1) - relevant
    gains = tie_gains(items, relevant, items_before, relevant_before, counted, harmonic)
    return np.asarray(gains.sum(axis=1) / total, dtype=np.float64)


def whole_eighths(counts: Counts) -> int:
    """Return how many columns hold all that is not 0, rounded up to whole eighths.

    NumPy sums the rows of so many columns as it sums those of more: the same numbers in the same order, so that
    figures are equal to the last bit however far histograms go.
    """
    filled = np.flatnonzero(counts.any(axis=0))
    return -(-(1 + int(filled[-1])) // 8) * 8 if filled.size else 8


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


def expected_found_precision(items: Counts, relevant: Counts, harmonic: Values, k: int) -> Values:
    """Return the expected average precision within the first k ranks, divided by the relevant items found in them.

    Only the tie that rank k cuts leaves open how many are found: of its n items, r of them relevant, the first m count,
    and x of those are relevant with the hypergeometric probability C(r, x)·C(n − r, m − x) / C(n, m). Given x, they
    are a tie of m items of which x are relevant, so that the expectation is a sum over x of closed forms.

    Args:
        items: items at each distance, int64 `(n_query, n_bits + 1)`.
        relevant: relevant items at each distance, the same shape.
        harmonic: `harmonic_numbers(n_database)`.
        k: how many ranks count.

    Returns:
        float64 `(n_query,)`; a query that finds nothing has the value 0.
    """
    items_before = np.cumsum(items, axis=1) - items
    relevant_before = np.cumsum(relevant, axis=1) - relevant
    whole = items_before + items <= k
    gains = tie_gains(items, relevant, items_before, relevant_before, np.where(whole, items, 0), harmonic)
    sums, found = gains.sum(axis=1), (relevant * whole).sum(axis=1)
    values = sums / np.maximum(found, 1)
    for query in np.flatnonzero(items.sum(axis=1) > k):
        cut = int(np.argmin(whole[query]))
        first = int(items_before[query, cut])
        values[query] = _over_cuts(
            int(items[query, cut]),
            int(relevant[query, cut]),
            k - first,
            first,
            int(found[query]),
            sums[query],
            harmonic,
        )
    return np.asarray(values, dtype=np.float64)


def _over_cuts(n: int, r: int, m: int, before: int, found: int, sums: float, harmonic: Values) -> float:
    """Return the mean over x, the relevant items among the first m of a tie of n items with r relevant ones."""
    x = np.arange(max(0, m - (n - r)), min(m, r) + 1)
    logs = _log_choose(r, x) + _log_choose(n - r, m - x)
    weights = np.exp(logs - logs.max())
    gains = tie_gains(
        np.full_like(x, m), x, np.full_like(x, before), np.full_like(x, found), np.full_like(x, m), harmonic
    )
    return float((weights * (sums + gains) / np.maximum(found + x, 1)).sum() / weights.sum())


def _log_choose(n: int, x: Counts) -> Values:
    from scipy.special import gammaln

    return np.asarray(gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1), dtype=np.float64)
