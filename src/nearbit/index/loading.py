"""Ids, codes and label sets read from the file, many rows at a time."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, as_words, n_bytes
from nearbit.errors import IndexFileError
from nearbit.index.label_sets import LabelSets, SetNumbers
from nearbit.index.results import Ids
from nearbit.index.revisions import Runs

ROWS_PER_FETCH = 65_536

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Loaded:
    """Some items as they lie in the file, by id.

    Attributes:
        ids: int64 `(n,)`, ascending.
        words: uint64 `(n, words)`, the codes padded to whole words.
        sets: int32 `(n,)`, the number of each item's set of labels; None where they were not asked for, or are too
            many to keep.
    """

    ids: Ids
    words: Words
    sets: SetNumbers | None


def as_loaded(ids: Ids, codes: Codes, label_texts: list[str], labels: LabelSets | None) -> Loaded:
    """Return items that were just written as if they had been read; `label_texts` are their columns of labels."""
    order = np.argsort(ids, kind="stable")
    sets = None if labels is None else labels.numbers_of(label_texts)
    return Loaded(ids[order], as_words(codes)[order], None if sets is None else sets[order])


def nothing(n_bits: int) -> Loaded:
    """Return no items."""
    return Loaded(np.empty(0, np.int64), np.empty((0, -(-n_bits // 64)), np.uint64), np.empty(0, np.int32))


def load_all(connection: sqlite3.Connection, n_bits: int, labels: LabelSets | None) -> Loaded:
    """Read all items, with the numbers of their label sets where `labels` is given."""
    return _loaded(_fetched(connection, labels is not None, "", ()), n_bits, labels)


def load_runs(connection: sqlite3.Connection, n_bits: int, labels: LabelSets | None, runs: Runs) -> Loaded:
    """Read the items whose ids lie in the runs, which are sorted and apart."""

    def rows() -> Iterator[list[tuple[int, bytes, str]]]:
        for first, last in runs.tolist():
            yield from _fetched(connection, labels is not None, "WHERE id BETWEEN ? AND ?", (first, last))

    return _loaded(rows(), n_bits, labels)


def load_label_sets(connection: sqlite3.Connection, labels: LabelSets) -> tuple[Ids, SetNumbers] | None:
    """Read the numbers of the label sets of all items, by id; None where they are too many to keep."""
    cursor = connection.execute("SELECT id, labels FROM items ORDER BY id")
    ids, sets = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    while rows := cursor.fetchmany(ROWS_PER_FETCH):
        numbers, texts = zip(*rows, strict=True)
        known = labels.numbers_of(texts)
        if known is None:
            return None
        ids.append(np.array(numbers, np.int64))
        sets.append(known)
    return np.concatenate(ids), np.concatenate(sets)


def _fetched(
    connection: sqlite3.Connection, with_labels: bool, where: str, parameters: tuple[int, ...]
) -> Iterator[list[tuple[int, bytes, str]]]:
    columns = "id, code, labels" if with_labels else "id, code"
    cursor = connection.execute(f"SELECT {columns} FROM items {where} ORDER BY id", parameters)
    while rows := cursor.fetchmany(ROWS_PER_FETCH):
        yield rows


def _loaded(pages: Iterator[list[tuple[int, bytes, str]]], n_bits: int, labels: LabelSets | None) -> Loaded:
    """Gather pages of rows into arrays.

    Raises:
        IndexFileError: a stored code has another width than `n_bits` asks for.
    """
    width = n_bytes(n_bits)
    ids = [np.empty(0, np.int64)]
    words = [np.empty((0, -(-width // 8)), np.uint64)]
    sets: list[SetNumbers] | None = None if labels is None else [np.empty(0, np.int32)]
    for rows in pages:
        numbers, blobs, *texts = zip(*rows, strict=True)
        _check_widths(numbers, blobs, width)
        ids.append(np.array(numbers, np.int64))
        words.append(as_words(np.frombuffer(b"".join(blobs), np.uint8).reshape(-1, width)))
        if sets is not None and labels is not None:
            known = labels.numbers_of(texts[0])
            sets = None if known is None else [*sets, known]
    return Loaded(np.concatenate(ids), np.concatenate(words), None if sets is None else np.concatenate(sets))


def _check_widths(ids: tuple[int, ...], blobs: tuple[bytes, ...], width: int) -> None:
    if set(map(type, blobs)) == {bytes} and set(map(len, blobs)) == {width}:
        return
    wrong = next(
        item_id for item_id, code in zip(ids, blobs, strict=True) if not isinstance(code, bytes) or len(code) != width
    )
    raise IndexFileError(
        f"the index is damaged: the code of item {wrong} should have {width} bytes; "
        "restore the file from a copy or build it again"
    )
