"""Average precision as the field's repositories compute it: ties in database order, divided by what was found."""

import numpy as np
import numpy.typing as npt

from nearbit.metrics.counting.comparison import OrderedSums, Values, check_k, compare


def ordered_average_precision(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
    *,
    k: int | None = None,
) -> Values:
    """Return the average precision at `k` of each query by the convention of DeepHash-pytorch.

    Items of equal distance stand in database order (a stable sort). The divisor is the number of relevant items
    *found in the top k*, not of all relevant ones; a query that finds none has the value 0 and counts in the mean.
    Most published tables (CSQ, OrthoHash, MDS, SHC and their kin) use this convention. What is wrong with it: the
    value depends on the order of the database, by up to 38 points of mAP where codes tie; and with `k`, missing a
    relevant item can raise it (`[+, −, +]` gives 5/6, `[+, −, −]` gives 1). Report the tie-aware figure beside it.

    Args:
        query_codes: uint8 `(n_query, ceil(n_bits / 8))`.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_codes: uint8 `(n_database, ceil(n_bits / 8))`.
        database_labels: labels of the database, in the form of `query_labels`.
        n_bits: code length in bits.
        k: how many ranks count; None for all. A `k` beyond the database is the same as all.

    Returns:
        float64 `(n_query,)`, each in [0, 1]. Deterministic for one order of the database.

    Raises:
        InputError: a wrong type, shape or length, set tail bits, no query, an empty database, or k < 1.

    Differs from the authors' code: their sort is not stable (NumPy's default), so their order of ties is arbitrary;
    `k = -1`, which there drops the last item, is an error here.
    """
    limit = None if k is None else check_k(k)
    comparison = compare(query_codes, query_labels, database_codes, database_labels, n_bits)
    limits = np.array([comparison.n_database if limit is None else limit], np.int64)
    return comparison.per_query(lambda own, block: found_average_precision(own.ordered(block, limits))[:, 0])


def found_average_precision(ordered: OrderedSums) -> Values:
    """Return the average precision within each limit, divided by the relevant items found: `(n_query, n_limits)`."""
    return np.asarray(ordered.sums / np.maximum(ordered.found, 1), dtype=np.float64)
