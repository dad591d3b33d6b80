"""The comparison of queries with a database: checked once, then read block by block, never as a full matrix."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nearbit.codes import as_words, check_codes, check_n_bits
from nearbit.errors import InputError
from nearbit.metrics.grouping import Columns, Groups, group
from nearbit.metrics.relevance import Relevance, relevance_of

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Result = TypeVar("Result")

QUERIES_PER_BLOCK = 256


@dataclass(frozen=True, eq=False)
class OrderedSums:
    """Rankings with ties in database order, summed up per query and limit.

    Attributes:
        items: items at each distance, int64 `(n_query, n_bits + 1)`.
        relevant: relevant items at each distance, the same shape.
        sums: sums of precision at the ranks of relevant items within each limit, float64 `(n_query, n_limits)`.
        found: relevant items within each limit, int64 `(n_query, n_limits)`.
    """

    items: Counts
    relevant: Counts
    sums: Values
    found: Counts


@dataclass(frozen=True, eq=False)
class Comparison:
    """Checked codes and labels of queries and database.

    Attributes:
        query_words: uint64 `(n_query, words)`.
        database_words: uint64 `(words, n_database)`, in columns, in database order.
        relevance: which database items are relevant to a query.
        n_bits: code length in bits.
    """

    query_words: npt.NDArray[np.uint64]
    database_words: Columns
    relevance: Relevance
    n_bits: int

    @property
    def n_query(self) -> int:
        """Number of queries."""
        return len(self.query_words)

    @property
    def n_database(self) -> int:
        """Number of database items."""
        return int(self.database_words.shape[1])

    @cached_property
    def groups(self) -> Groups:
        """Database items of equal labels and equal codes together, ordered by label first."""
        return group(np.concatenate([self.relevance.database_keys, self.database_words]))

    def distinct_codes(self) -> int:
        """Return the number of different codes in the database."""
        return len(group(self.database_words).first)

    def map_blocks(self, figure: Callable[[range], Result]) -> Iterator[Result]:
        """Yield a figure of each block of queries, in order; the blocks are worked on in parallel.

        The size of a block bounds the memory of its histograms. One core takes one block at a time; the first block is
        worked on alone, so that what all blocks share is made once.
        """
        starts = range(0, self.n_query, QUERIES_PER_BLOCK)
        blocks = [range(start, min(start + QUERIES_PER_BLOCK, self.n_query)) for start in starts]
        yield figure(blocks[0])
        if len(blocks) > 1:
            with ThreadPoolExecutor(_n_cores()) as pool:
                yield from pool.map(figure, blocks[1:])

    def histograms(self, block: range) -> tuple[Counts, Counts]:
        """Return how many items, and how many relevant ones, lie at each distance from each query of the block.

        Returns:
            all items int64 `(len(block), n_bits + 1)`; relevant items, the same shape.
        """
        from nearbit.metrics import kernels

        items, relevant = self._empty_histograms(block)
        queries = self.query_words[block.start : block.stop]
        columns, keys, weights = self._grouped
        if self.relevance.shared:
            query_keys = self.relevance.query_keys[block.start : block.stop]
            kernels.keyed_histograms(queries, columns, query_keys, keys, True, weights, items, relevant)
        else:
            wanted = self.relevance.query_keys[block.start : block.stop, 0]
            starts, stops = (np.searchsorted(keys[0], wanted, side=side) for side in ("left", "right"))
            kernels.grouped_histograms(queries, columns, starts, stops, weights, items, relevant)
        return items, relevant

    def ordered(self, block: range, limits: Counts) -> OrderedSums:
        """Return the histograms and, ties in database order, the sums of precision within each limit of ranks."""
        from nearbit.metrics import kernels

        items, relevant = self._empty_histograms(block)
        sums = np.empty((len(block), len(limits)))
        found = np.empty((len(block), len(limits)), np.int64)
        kernels.ordered_sums(
            self.query_words[block.start : block.stop],
            self.database_words,
            self.relevance.query_keys[block.start : block.stop],
            self.relevance.database_keys,
            self.relevance.shared,
            limits,
            items,
            relevant,
            sums,
            found,
        )
        return OrderedSums(items, relevant, sums, found)

    def _empty_histograms(self, block: range) -> tuple[Counts, Counts]:
        shape = (len(block), self.n_bits + 1)
        return np.empty(shape, np.int64), np.empty(shape, np.int64)

    @cached_property
    def _grouped(self) -> tuple[Columns, Columns, npt.NDArray[np.uint32]]:
        """Words and keys in columns, ordered by key, with the sizes of groups: no sizes where grouping does not pay."""
        groups = self.groups
        rows = groups.first if groups.pay else np.argsort(groups.of_row, kind="stable")
        weights = groups.sizes if groups.pay else np.empty(0, np.uint32)
        words, keys = self.database_words[:, rows], self.relevance.database_keys[:, rows]
        return np.ascontiguousarray(words), np.ascontiguousarray(keys), weights


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
    columns = np.ascontiguousarray(as_words(database).T)
    return Comparison(as_words(queries), columns, relevance_of(query_labels, database_labels), int(n_bits))


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


def _n_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
