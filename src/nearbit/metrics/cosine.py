"""Average precision of the ranking by the cosine of real rows: what a search by the features themselves gives."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError
from nearbit.metrics.counting.comparison import Values
from nearbit.metrics.counting.relevance import Relevance, relevance_of
from nearbit.metrics.scored import Ties, relevant_to
from nearbit.metrics.tie_aware import harmonic_numbers
from nearbit.threads import n_threads

Rows = npt.NDArray[np.float32]

PAIRS_PER_BLOCK = 4_000_000
UNIT = 2.0**-18
"""Cosines are rounded to multiples of this, above what float32 rounds: so the ranking is not one machine's own."""

WITHOUT_CODES = {"float_cosine_map": "float features, cosine", "linear_probe_map": "linear probe, cosine"}
"""The figures that stand beside those of codes (`nearbit.reference`), with their names for people."""


def cosine_average_precision(
    query_rows: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_rows: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    *,
    leave_one_out: bool = False,
) -> Values:
    """Return the tie-aware average precision of each query that ranks the database by cosine, the largest first.

    Args:
        query_rows: float `(n_query, width)`, such as the features of a backbone; computed with as float32.
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_rows: float `(n_database, width)`.
        database_labels: labels of the database, in the form of `query_labels`.
        leave_one_out: whether the item of a query's own number is not among what it searches: both are the same rows.

    Returns:
        float64 `(n_query,)`, each in [0, 1]. Cosines are rounded to 2^-18, and count in expectation where they are then
        equal; a row of zeros has the cosine 0 with all. The memory does not grow with queries × database.

    Raises:
        InputError: rows of another shape or not finite, labels of another form, no query, or an empty database.

    Example:
        >>> cosine_average_precision([[1.0, 0.1]], [0], [[2.0, 0.0], [0.0, 1.0]], [0, 1]).tolist()
        [1.0]
    """
    queries, database = _checked(query_rows, "query_rows"), _checked(database_rows, "database_rows")
    relevance = relevance_of(query_labels, database_labels)
    if leave_one_out and len(queries) != len(database):
        raise InputError(f"each query is left out where both are the same rows; {len(queries)}, {len(database)} came")
    if (len(queries), len(database)) != (len(relevance.query_keys), relevance.database_keys.shape[1]):
        raise InputError(
            f"rows and labels must be as many: {len(queries)} queries and {len(database)} database rows came with "
            f"{len(relevance.query_keys)} and {relevance.database_keys.shape[1]} labels"
        )
    if queries.shape[1] != database.shape[1]:
        raise InputError(f"query_rows have {queries.shape[1]} columns and database_rows {database.shape[1]}")
    units: Rows = queries * _scales(queries)[:, None]
    scales, harmonic = _scales(database), harmonic_numbers(len(database))
    size = max(1, PAIRS_PER_BLOCK // len(database))
    found: list[float] = []
    with ThreadPoolExecutor(n_threads()) as pool:
        for start in range(0, len(queries), size):
            block = range(start, min(start + size, len(queries)))
            far = _rounded(units[block.start : block.stop] @ database.T, scales)
            found += pool.map(lambda row, query: _of_one(row, relevance, query, harmonic, leave_one_out), far, block)
    return np.array(found, np.float64)


def _of_one(far: npt.NDArray[np.int32], relevance: Relevance, query: int, harmonic: Values, left_out: bool) -> float:
    """Return the figure of one query; `far` are its distances in units, `left_out` whether its own item is none."""
    marked = 2 * far + ~relevant_to(relevance, query)
    if left_out:
        marked = np.delete(marked, query)
    marked.sort()
    return Ties.of(marked >> 1, marked & 1 == 0, harmonic).average_precision()


def _rounded(products: Rows, scales: Rows) -> npt.NDArray[np.int32]:
    """Return the cosines times −1 in units, whole numbers: the nearer, the smaller."""
    products *= scales * np.float32(-1 / UNIT)
    return np.rint(products, out=products).astype(np.int32)


def _scales(rows: Rows) -> Rows:
    """Return 1 / the length of each row, 0 for a row of zeros: float32 `(n,)`."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    inverse: Rows = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0).astype(np.float32)
    return inverse


def _checked(rows: npt.ArrayLike, name: str) -> Rows:
    array = np.asarray(rows)
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.size:
        raise InputError(f"{name} must be numbers (n, width), at least one row, not {array.dtype} {array.shape}")
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise InputError(f"{name} hold values that are not finite as float32: compute them again")
    return array
