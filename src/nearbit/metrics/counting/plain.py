"""What the kernels do, in NumPy: for work that ends before machine code would be loaded, and until it is there."""

import numpy as np
import numpy.typing as npt

from nearbit.metrics.counting.relevance import Asked

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Ordered = tuple[Counts, Counts, Values, Counts, Counts]


def distances(asked: Asked, query: int) -> npt.NDArray[np.uint16]:
    """Return the distances of one query to the whole database, uint16 `(n_database,)`."""
    return _ones(asked.database ^ asked.queries[query][:, None])


def is_relevant(asked: Asked, query: int) -> npt.NDArray[np.bool_]:
    """Return which items are relevant to one query, bool `(n_database,)`."""
    keys = asked.query_keys[query]
    if not asked.shared:
        return np.asarray(asked.database_keys[0] == keys[0])
    return np.asarray(((asked.database_keys & keys[:, None]) != 0).any(axis=0))


def histograms(asked: Asked, n_bits: int) -> tuple[Counts, Counts]:
    """Return all and the relevant items at each distance: int64 `(n_query, n_bits + 1)` each."""
    shape = (len(asked.queries), n_bits + 1)
    items, relevant = np.empty(shape, np.int64), np.empty(shape, np.int64)
    for query in range(len(items)):
        far = distances(asked, query)
        items[query] = np.bincount(far, minlength=n_bits + 1)
        relevant[query] = np.bincount(far[is_relevant(asked, query)], minlength=n_bits + 1)
    return items, relevant


def ordered_sums(asked: Asked, n_bits: int, limits: Counts, n_grades: int) -> Ordered:
    """Return what `OrderedSums` holds; with `n_grades`, relevant items by how many labels they share, too."""
    n = len(asked.queries)
    items, relevant = np.empty((n, n_bits + 1), np.int64), np.empty((n, n_bits + 1), np.int64)
    graded = np.zeros((n, n_bits + 1, n_grades), np.int64)
    sums, found = np.empty((n, len(limits))), np.empty((n, len(limits)), np.int64)
    for query in range(n):
        far, hits = distances(asked, query), is_relevant(asked, query)
        items[query] = np.bincount(far, minlength=n_bits + 1)
        relevant[query] = np.bincount(far[hits], minlength=n_bits + 1)
        ranks = np.flatnonzero(hits[np.argsort(far, kind="stable")]) + 1
        found[query] = np.searchsorted(ranks, limits, side="right")
        reached = np.concatenate([[0.0], np.cumsum(np.arange(1, len(ranks) + 1) / ranks)])
        sums[query] = reached[found[query]]
        if n_grades:
            own = _ones(asked.database_keys[:, hits] & asked.query_keys[query][:, None])
            graded[query] = _table(far[hits], own, graded.shape[1:])
    return items, relevant, sums, found, graded


def graded_histograms(asked: Asked, n_bits: int, n_grades: int, table: Counts) -> Counts:
    """Return the items of each distance and grade, int64 `(n_query, n_bits + 1, n_grades)`.

    Args:
        asked: queries and database.
        n_bits: code length in bits.
        n_grades: one more than the highest grade.
        table: int64 `(n_classes, n_classes)` grades between class numbers, or empty for 1 where they are equal.
    """
    counts = np.empty((len(asked.queries), n_bits + 1, n_grades), np.int64)
    for query, keys in enumerate(asked.query_keys):
        if asked.shared:
            grades = _ones(asked.database_keys & keys[:, None])
        elif table.size:
            grades = table[int(keys[0])][asked.database_keys[0].astype(np.int64)].astype(np.uint16)
        else:
            grades = is_relevant(asked, query).astype(np.uint16)
        counts[query] = _table(distances(asked, query), grades, counts.shape[1:])
    return counts


def _ones(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """Return the bits that are set in each column of words."""
    return np.asarray(np.bitwise_count(words).sum(axis=0, dtype=np.uint16))


def _table(rows: npt.NDArray[np.uint16], columns: npt.NDArray[np.uint16], shape: tuple[int, ...]) -> Counts:
    """Return how often each pair of a row and a column occurs."""
    places = rows.astype(np.int64) * shape[1] + columns
    return np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape)
