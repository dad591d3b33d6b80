"""The comparison of queries with a database: checked once, then read query by query, never as a full matrix."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.codes import as_words, check_codes, check_n_bits, word_distances
from nearbit.errors import InputError
from nearbit.metrics.relevance import Relevance, relevance_of

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

QUERIES_PER_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Comparison:
    """Checked codes and labels of queries and database.

    Attributes:
        query_words: uint64 `(n_query, words)`.
        database_words: uint64 `(n_database, words)`, in database order.
        relevance: which database rows are relevant to a query.
        n_bits: code length in bits.
    """

    query_words: npt.NDArray[np.uint64]
    database_words: npt.NDArray[np.uint64]
    relevance: Relevance
    n_bits: int

    @property
    def n_query(self) -> int:
        """Number of queries."""
        return len(self.query_words)

    @property
    def n_database(self) -> int:
        """Number of database items."""
        return len(self.database_words)

    def blocks(self) -> Iterator[range]:
        """Yield the query numbers in blocks, which bound the memory of histograms."""
        for start in range(0, self.n_query, QUERIES_PER_BLOCK):
            yield range(start, min(start + QUERIES_PER_BLOCK, self.n_query))

    def histograms(self, block: range) -> tuple[Counts, Counts]:
        """Return how many items, and how many relevant ones, lie at each distance from each query of the block.

        Returns:
            all items int64 `(len(block), n_bits + 1)`; relevant items, the same shape.
        """
        items = np.empty((len(block), self.n_bits + 1), np.int64)
        relevant = np.empty_like(items)
        for row, query in enumerate(block):
            distances = word_distances(self.query_words[query], self.database_words)
            items[row] = np.bincount(distances, minlength=self.n_bits + 1)
            relevant[row] = np.bincount(distances[self.relevance.rows(query)], minlength=self.n_bits + 1)
        return items, relevant

    def ordered_ranks(self, query: int) -> Counts:
        """Return the ranks (from 1, ascending) of a query's relevant items, ties in database order."""
        distances = word_distances(self.query_words[query], self.database_words)
        order = np.argsort(distances.astype(_narrow_type(self.n_bits)), kind="stable")
        is_relevant = np.zeros(self.n_database, np.bool_)
        is_relevant[self.relevance.rows(query)] = True
        return np.flatnonzero(is_relevant[order]) + 1


def compare(
    query_codes: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    database_codes: npt.ArrayLike,
    database_labels: npt.ArrayLike,
    n_bits: int,
) -> Comparison:
    """Check codes and labels of queries and database, and return their comparison.

    Raises:
        InputError: codes or labels of a wrong type or shape, set tail bits, codes and labels of different lengths,
            no query, or an empty database.
    """
    check_n_bits(n_bits)
    queries = check_codes(query_codes, n_bits, name="query_codes")
    database = check_codes(database_codes, n_bits, name="database_codes")
    _check_lengths("query", len(queries), np.shape(query_labels))
    _check_lengths("database", len(database), np.shape(database_labels))
    return Comparison(as_words(queries), as_words(database), relevance_of(query_labels, database_labels), int(n_bits))


def check_k(k: int) -> int:
    """Return `k` as an int; raise `InputError` unless it is a whole number of at least 1."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InputError(f"k must be a whole number of at least 1, not {k!r}")
    return int(k)


def _check_lengths(name: str, n_codes: int, labels_shape: tuple[int, ...]) -> None:
    if n_codes == 0:
        raise InputError(f"{name}_codes are empty: an evaluation needs at least one {name} item")
    if not labels_shape or labels_shape[0] != n_codes:
        raise InputError(
            f"{name}_codes and {name}_labels must have one row an item: {n_codes} codes came with labels of the "
            f"shape {labels_shape}"
        )


def _narrow_type(n_bits: int) -> type[np.uint8] | type[np.uint16] | type[np.int32]:
    """Return the narrowest type of a distance: the stable sort of 8 and 16 bits is a counting sort."""
    if n_bits <= np.iinfo(np.uint8).max:
        return np.uint8
    return np.uint16 if n_bits <= np.iinfo(np.uint16).max else np.int32
