"""Relevance: two items are relevant to each other if they share a label.

Labels come as class numbers `(n,)` (one label an item) or as bool `(n, n_classes)` (none, one or many). Both become
keys of 64 bits, from which the kernels read relevance item by item, without ever holding a queries × database matrix.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nearbit.codes import as_words
from nearbit.errors import InputError

BLOCK = 1 << 22
"""Pairs of sets of labels that are compared at once."""

Array = npt.NDArray[np.generic]
Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Relevance:
    """Says which database items are relevant to a query.

    Attributes:
        query_keys: uint64 `(n_query, keys)`: the class number, or the labels as bits.
        database_keys: uint64 `(keys, n_database)`, in columns.
        shared: whether keys are bits of labels, relevant where one is shared; else class numbers, relevant where equal.
    """

    query_keys: Keys
    database_keys: Keys
    shared: bool

    def labelled(self, block: range) -> npt.NDArray[np.bool_]:
        """Return which queries of a block have a label, and so are relevant to themselves: bool `(len(block),)`."""
        keys = self.query_keys[block.start : block.stop]
        return np.asarray(keys.any(axis=1), np.bool_) if self.shared else np.ones(len(keys), np.bool_)


class Asked(NamedTuple):
    """Some queries and the database in its own order, as both forms of the kernels take them.

    Attributes:
        queries: uint64 `(n, words)`.
        database: uint64 `(words, n_database)`.
        query_keys: uint64 `(n, keys)`.
        database_keys: uint64 `(keys, n_database)`.
        shared: as in `Relevance`.
    """

    queries: Keys
    database: Keys
    query_keys: Keys
    database_keys: Keys
    shared: bool

    @property
    def most_shared(self) -> int:
        """How many labels an item can share with a query at most."""
        return int(np.bitwise_count(self.query_keys).sum(axis=1).max()) if self.shared else 1


def relevance_of(query_labels: npt.ArrayLike, database_labels: npt.ArrayLike) -> Relevance:
    """Return the relevance of database items to queries; where every item has exactly one label, the faster form.

    Args:
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_labels: class numbers int `(n_database,)`, or bool `(n_database, n_classes)`: the same form.

    Raises:
        InputError: other types or shapes, different forms, or different numbers of classes.
    """
    queries = check_labels(query_labels, "query_labels")
    database = check_labels(database_labels, "database_labels")
    if queries.ndim != database.ndim:
        raise InputError(
            "query_labels and database_labels must have one form, class numbers (n,) or bool (n, n_classes); "
            f"they have the shapes {queries.shape} and {database.shape}"
        )
    if queries.ndim == 1:
        return _of_numbers(queries, database)
    if queries.shape[1] != database.shape[1]:
        raise InputError(
            f"query_labels and database_labels must have the same classes: {queries.shape[1]} and {database.shape[1]}"
            " came; make both from one list of classes"
        )
    return _of_matrices(queries.astype(np.bool_), database.astype(np.bool_))


def _of_numbers(queries: Array, database: Array) -> Relevance:
    return Relevance(queries.astype(np.uint64)[:, None], database.astype(np.uint64)[None, :], shared=False)


def _of_matrices(queries: npt.NDArray[np.bool_], database: npt.NDArray[np.bool_]) -> Relevance:
    if (queries.sum(axis=1) == 1).all() and (database.sum(axis=1) == 1).all():
        return _of_numbers(queries.argmax(axis=1), database.argmax(axis=1))
    query_keys, database_keys = (as_words(np.packbits(labels, axis=1)) for labels in (queries, database))
    return Relevance(query_keys, np.ascontiguousarray(database_keys.T), shared=True)


def relevant_counts(
    query_labels: npt.NDArray[np.bool_], database_labels: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Return how many database items share a label with each query, an item with several counted once: int64.

    Args:
        query_labels: bool `(n_query, n_classes)`.
        database_labels: bool `(n_database, n_classes)`.
    """
    query_words, database_words = (as_words(np.packbits(one, axis=1)) for one in (query_labels, database_labels))
    asked, places = np.unique(query_words, axis=0, return_inverse=True)
    known, counts = np.unique(database_words, axis=0, return_counts=True)
    found, size = np.zeros(len(asked), np.int64), max(1, BLOCK // max(1, len(known)))
    for start in range(0, len(asked), size):
        block = asked[start : start + size]
        shared = np.zeros((len(block), len(known)), np.bool_)
        for word in range(known.shape[1]):
            shared |= (block[:, word, None] & known[:, word]) != 0
        found[start : start + size] = shared @ counts
    return found[places.reshape(-1)]


def check_labels(labels: npt.ArrayLike, name: str) -> Array:
    """Return labels as an array; raise `InputError` unless they are class numbers or bool rows with classes."""
    array = np.asarray(labels)
    is_numbers = array.ndim == 1 and np.issubdtype(array.dtype, np.integer)
    is_matrix = array.ndim == 2 and array.dtype == np.bool_
    if not (is_numbers or is_matrix):
        raise InputError(
            f"{name} must be class numbers (n,) of an integer type or bool (n, n_classes), "
            f"not {array.dtype} {array.shape}; a matrix of 0 and 1 becomes one by .astype(bool)"
        )
    if is_matrix and array.shape[1] == 0:
        raise InputError(f"{name} has no classes: its shape is {array.shape}; at least one column is needed")
    if is_numbers and array.size and array.min() < 0:
        raise InputError(
            f"{name} holds the class number {array.min()}; class numbers start at 0 (items without a "
            "label need the bool form, with an empty row)"
        )
    return array
