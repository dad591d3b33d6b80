"""Relevance: two items are relevant to each other if they share a label.

Labels come as class numbers `(n,)` (one label an item) or as bool `(n, n_classes)` (none, one or many). Both answer
the same question, which database rows are relevant to a query, without ever holding a queries × database matrix.
"""

from typing import Protocol, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import as_words
from nearbit.errors import InputError

Rows = npt.NDArray[np.intp]
Array = npt.NDArray[np.generic]


class Relevance(Protocol):
    """Says which database rows are relevant to a query."""

    def rows(self, query: int) -> Rows:
        """Return the database rows relevant to query number `query`, ascending."""


@final
class SingleLabel:
    """Relevance of items with exactly one label: database rows grouped by class, each query reads one group."""

    def __init__(self, query_classes: npt.NDArray[np.int64], database_classes: npt.NDArray[np.int64]) -> None:
        self._grouped = np.argsort(database_classes, kind="stable")
        ranked = database_classes[self._grouped]
        self._starts = np.searchsorted(ranked, query_classes, side="left")
        self._stops = np.searchsorted(ranked, query_classes, side="right")

    def rows(self, query: int) -> Rows:
        """Return the database rows of the query's class, ascending."""
        return self._grouped[self._starts[query] : self._stops[query]]


@final
class MultiLabel:
    """Relevance of items with any number of labels: bit masks of 64 classes a word, compared word by word."""

    def __init__(self, query_labels: npt.NDArray[np.bool_], database_labels: npt.NDArray[np.bool_]) -> None:
        self._query_masks = as_words(np.packbits(query_labels, axis=1))
        self._database_masks = np.ascontiguousarray(as_words(np.packbits(database_labels, axis=1)).T)

    def rows(self, query: int) -> Rows:
        """Return the database rows that share a label with the query, ascending."""
        shared = np.zeros(self._database_masks.shape[1], np.uint64)
        for mask, column in zip(self._query_masks[query], self._database_masks, strict=True):
            if mask:
                shared |= column & mask
        return np.flatnonzero(shared)


def relevance_of(query_labels: npt.ArrayLike, database_labels: npt.ArrayLike) -> Relevance:
    """Return the relevance of database items to queries; where every item has exactly one label, the faster form.

    Args:
        query_labels: class numbers int `(n_query,)`, or bool `(n_query, n_classes)`.
        database_labels: class numbers int `(n_database,)`, or bool `(n_database, n_classes)`: the same form.

    Raises:
        InputError: other types or shapes, different forms, or different numbers of classes.
    """
    queries = _check_labels(query_labels, "query_labels")
    database = _check_labels(database_labels, "database_labels")
    if queries.ndim != database.ndim:
        raise InputError(
            "query_labels and database_labels must have one form, class numbers (n,) or bool (n, n_classes); "
            f"they have the shapes {queries.shape} and {database.shape}"
        )
    if queries.ndim == 1:
        return SingleLabel(queries.astype(np.int64), database.astype(np.int64))
    if queries.shape[1] != database.shape[1]:
        raise InputError(
            f"query_labels and database_labels must have the same classes: {queries.shape[1]} and {database.shape[1]}"
            " came; make both from one list of classes"
        )
    return _of_matrices(queries.astype(np.bool_), database.astype(np.bool_))


def _of_matrices(queries: npt.NDArray[np.bool_], database: npt.NDArray[np.bool_]) -> Relevance:
    if (queries.sum(axis=1) == 1).all() and (database.sum(axis=1) == 1).all():
        return SingleLabel(queries.argmax(axis=1).astype(np.int64), database.argmax(axis=1).astype(np.int64))
    return MultiLabel(queries, database)


def _check_labels(labels: npt.ArrayLike, name: str) -> Array:
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
