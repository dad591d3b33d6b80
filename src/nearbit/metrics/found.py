"""Average precision divided by the relevant items found within the first k ranks, exact over the orders of ties."""

import numpy as np

from nearbit.metrics.counting.comparison import Counts, Values
from nearbit.metrics.sums import tie_gains


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
