"""The asymmetric figures of an evaluation: queries by their real outputs, the database by its codes."""

import numpy as np
import numpy.typing as npt

from nearbit.metrics.averages import mean
from nearbit.metrics.scored import asymmetric_precisions

_RANKING = (
    "asymmetric: items ranked by the sum of |output of the query| over the bits that differ; mean average precision "
    "{ranks}; divisor: {divisor}; ties: exact mean over all orders; a query that finds nothing counts 0"
)
ASYMMETRIC = {
    "asymmetric_tie_aware_map": _RANKING.format(ranks="over the whole database", divisor="all relevant items"),
    "asymmetric_tie_aware_map_at_100": _RANKING.format(ranks="at 100 ranks", divisor="relevant items, at most 100"),
    "asymmetric_tie_aware_map_at_1000": _RANKING.format(ranks="at 1000 ranks", divisor="relevant items, at most 1000"),
}
"""What each figure means, by name. They are of another ranking than the figures without "asymmetric"."""
RANKS = (None, 100, 1000)


def asymmetric_figures(
    query_outputs: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
) -> dict[str, float | None]:
    """Return the figures of `ASYMMETRIC` by name; one at k is None where the database is smaller than k.

    Arguments and errors are those of `asymmetric_average_precision`.
    """
    asked = [(k, "relevant" if k is None else "at most k") for k in RANKS]
    values = asymmetric_precisions(query_outputs, query_labels, database_codes, database_labels, n_bits, asked)
    n_database = len(np.asarray(database_codes))
    return {
        name: None if k is not None and k > n_database else mean(values[:, number])
        for number, (name, k) in enumerate(zip(ASYMMETRIC, RANKS, strict=True))
    }
