"""The comparison of queries with a database: checked once, then read block by block, never as a full matrix."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from nearbit.codes import as_words, check_codes, check_n_bits
from nearbit.compiled import COUNTING
from nearbit.errors import InputError
from nearbit.given import check_number
from nearbit.metrics.counting.grouping import Columns, Groups, Lists, group, list_by_label, may_pay, order_of
from nearbit.metrics.counting.relevance import Asked, Relevance, relevance_of
from nearbit.threads import n_threads

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Result = TypeVar("Result")

QUERIES_PER_BLOCK = 256
MOST_BITS = 32_767
"""The longest code that the kernels count distances of."""
PLAIN_HISTOGRAMS, PLAIN_ORDER, PLAIN_GRADES = 2e-9, 6e-9, 4e-9
"""About how many seconds NumPy takes for one query and one item: to count distances, to rank, and to count grades."""
SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


@dataclass(frozen=True, eq=False)
class OrderedSums:
    """Rankings with ties in database order, summed up per query and limit.

    Attributes:
        items: items at each distance, int64 `(n_query, n_bits + 1)`.
        relevant: relevant items at each distance, the same shape.
        sums: sums of precision at the ranks of relevant items within each limit, float64 `(n_query, n_limits)`.
        found: relevant items within each limit, int64 `(n_query, n_limits)`.
        graded: relevant items at each distance by the number of labels that they share, int64 `(n_query, n_bits + 1,
            n_grades)`; no grades where they were not asked for, or items have one label each.
    """

    items: Counts
    relevant: Counts
    sums: Values
    found: Counts
    graded: Counts


class Grouped(NamedTuple):
    """Items of the database in columns: words, keys, and how many items each stands for (empty for 1 each)."""

    words: Columns
    keys: Columns
    weights: npt.NDArray[np.uint32]

    def at(self, rows: Counts, weights: npt.NDArray[np.uint32]) -> "Grouped":
        """Return the items of these rows, with these weights."""
        return Grouped(np.ascontiguousarray(self.words[:, rows]), np.ascontiguousarray(self.keys[:, rows]), weights)


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
        if len(self.database_words) > 1:
            return len(group(self.database_words).first)
        ordered = np.sort(self.database_words[0])
        return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))

    def map_blocks(self, figure: Callable[[range], Result]) -> Iterator[Result]:
        """Yield a figure of each block of queries, in order; the blocks are worked on in parallel.

        The size of a block bounds the memory of its histograms. A thread takes one block at a time; the first query is
        worked on alone, so that what all blocks share is made once.
        """
        starts = range(1, self.n_query, QUERIES_PER_BLOCK)
        blocks = [range(1), *(range(start, min(start + QUERIES_PER_BLOCK, self.n_query)) for start in starts)]
        yield figure(blocks[0])
        if len(blocks) > 1:
            with ThreadPoolExecutor(n_threads()) as pool:
                yield from pool.map(figure, blocks[1:])

    def once(self) -> tuple["Comparison", Counts]:
        """Return the comparison of different queries only, where that pays, and which of them each query is."""
        groups = group(np.concatenate([self.relevance.query_keys.T, self.query_words.T]))
        if not groups.pay:
            return self, np.arange(self.n_query)
        relevance = replace(self.relevance, query_keys=self.relevance.query_keys[groups.first])
        return replace(self, query_words=self.query_words[groups.first], relevance=relevance), groups.of_row

    def per_query(self, figure: Callable[["Comparison", range], Values]) -> Values:
        """Return a figure of each query: float64 `(n_query, …)`; queries of equal codes and labels are worked on once.

        Args:
            figure: gives the figures `(len(block), …)` of a block of the queries of a comparison.
        """
        comparison, of_query = self.once()
        values = np.concatenate(list(comparison.map_blocks(lambda block: figure(comparison, block))))
        return np.asarray(values[of_query], dtype=np.float64)

    def histograms(self, block: range) -> tuple[Counts, Counts]:
        """Return how many items, and how many relevant ones, lie at each distance from each query of the block.

        Returns:
            all items int64 `(len(block), n_bits + 1)`; relevant items, the same shape.
        """
        if not COUNTING.serves(PLAIN_HISTOGRAMS * len(block) * self.n_database):
            from nearbit.metrics.counting import plain

            return plain.histograms(self.asked(block), self.n_bits)
        from nearbit.metrics.counting import kernels

        items, relevant = self._empty_histograms(block)
        queries, query_keys = (rows[block.start : block.stop] for rows in (self.query_words, self.relevance.query_keys))
        grouped = self._grouped
        if not self.relevance.shared:
            starts, stops = (np.searchsorted(grouped.keys[0], query_keys[:, 0], side=side) for side in SIDES)
            kernels.grouped_histograms(queries, grouped.words, starts, stops, grouped.weights, items, relevant)
        elif self._lists is not None:
            starts, listed = self._lists
            kernels.listed_histograms(
                queries, grouped.words, grouped.weights, query_keys, starts, *listed, items, relevant
            )
        else:
            kernels.keyed_histograms(queries, grouped.words, query_keys, grouped.keys, grouped.weights, items, relevant)
        return items, relevant

    def ordered(self, block: range, limits: Counts, *, graded: bool = False) -> OrderedSums:
        """Return the histograms and, ties in database order, the sums of precision within each limit of ranks.

        Args:
            block: of the queries.
            limits: how many ranks count, int64 `(n_limits,)`.
            graded: whether relevant items are counted by how many labels they share, too, where they may share several.
        """
        asked = self.asked(block)
        n_grades = asked.most_shared + 1 if graded and asked.shared else 0
        if not COUNTING.serves(PLAIN_ORDER * len(block) * self.n_database):
            from nearbit.metrics.counting import plain

            return OrderedSums(*plain.ordered_sums(asked, self.n_bits, limits, n_grades))
        from nearbit.metrics.counting.order_kernels import ordered_sums

        ranges, by_label = self._ranges(asked.query_keys)
        items, relevant = self._empty_histograms(block)
        of_grades = np.zeros((*items.shape, n_grades), np.int64)
        sums, found = np.empty((len(block), len(limits))), np.empty((len(block), len(limits)), np.int64)
        ordered_sums(
            asked.queries, asked.database, ranges, by_label, asked.query_keys, asked.database_keys, limits,
            items, relevant, of_grades, sums, found,
        )  # fmt: skip
        return OrderedSums(items, relevant, sums, found, of_grades)

    def asked(self, block: range) -> Asked:
        """Return a block of queries with the whole database."""
        own = slice(block.start, block.stop)
        keys = self.relevance
        return Asked(self.query_words[own], self.database_words, keys.query_keys[own], keys.database_keys, keys.shared)

    def _ranges(self, query_keys: npt.NDArray[np.uint64]) -> tuple[Counts, npt.NDArray[np.uint32]]:
        """Return where the relevant items of queries lie among the items by label; empty where they share bits."""
        if self.relevance.shared:
            return np.empty((2, 0), np.int64), np.empty(0, np.uint32)
        keys, rows = self._by_label
        return np.stack([np.searchsorted(keys, query_keys[:, 0], side=side) for side in SIDES]), rows

    @cached_property
    def _by_label(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
        """The labels in order, and the items of each in database order."""
        rows = order_of(self.relevance.database_keys[0])
        return self.relevance.database_keys[0][rows], rows.astype(np.uint32)

    def _empty_histograms(self, block: range) -> tuple[Counts, Counts]:
        shape = (len(block), self.n_bits + 1)
        return np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    @cached_property
    def _grouped(self) -> Grouped:
        """The database ordered by its first key; equal items are one where that pays."""
        keys, none = self.relevance.database_keys, np.empty(0, np.uint32)
        plain = Grouped(self.database_words, keys, none)
        if may_pay(np.concatenate([keys, self.database_words])) and self.groups.pay:
            return plain.at(self.groups.first, self.groups.sizes)
        return plain if self.relevance.shared else plain.at(order_of(keys[0]), none)

    @cached_property
    def _lists(self) -> tuple[Counts, Grouped] | None:
        """The grouped database once more, label by label, with the starts of labels; None where that does not pay."""
        grouped = self._grouped
        lists: Lists | None = list_by_label(grouped.keys)
        if lists is None or not lists.pay(self.relevance.query_keys, grouped.keys.shape[1]):
            return None
        weights = grouped.weights[lists.rows] if grouped.weights.size else grouped.weights
        return lists.starts, grouped.at(lists.rows, weights)


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
    n_bits = check_n_bits(n_bits)
    if n_bits > MOST_BITS:
        raise InputError(f"metrics compare codes of at most {MOST_BITS} bits, not {n_bits}")
    queries = check_codes(query_codes, n_bits, name="query_codes")
    database = check_codes(database_codes, n_bits, name="database_codes")
    _check_lengths("query", len(queries), np.shape(query_labels))
    _check_lengths("database", len(database), np.shape(database_labels))
    words, columns = (np.require(part, requirements=["C", "W"]) for part in (as_words(queries), as_words(database).T))
    return Comparison(words, columns, relevance_of(query_labels, database_labels), n_bits)


def check_k(k: int) -> int:
    """Return `k` as an int; raise `InputError` unless it is a whole number of at least 1."""
    return check_number("k", k, at_least=1, whole=True)


def _check_lengths(name: str, n_codes: int, labels_shape: tuple[int, ...]) -> None:
    if n_codes == 0:
        raise InputError(f"{name}_codes are empty: an evaluation needs at least one {name} item")
    if not labels_shape or labels_shape[0] != n_codes:
        raise InputError(
            f"{name}_codes and {name}_labels must have one row an item: {n_codes} codes came with labels of the "
            f"shape {labels_shape}"
        )
