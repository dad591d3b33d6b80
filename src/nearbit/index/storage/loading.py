"""Ids, codes and label sets read from the file, many rows at a time."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, as_words, n_bytes
from nearbit.index.results import Ids
from nearbit.index.storage.change_log import Runs
from nearbit.index.storage.damage import Damage
from nearbit.index.storage.label_sets import LabelSets, SetNumbers
from nearbit.index.storage.rows import code_half, has_checksums, row_sums

ROWS_PER_FETCH = 65_536

Words = npt.NDArray[np.uint64]

Page = list[tuple[int, bytes, int | None] | tuple[int, bytes, int | None, str]]


@dataclass(frozen=True, eq=False)
class StoredItems:
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


def as_stored(ids: Ids, codes: Codes, label_texts: list[str], labels: LabelSets | None) -> StoredItems:
    """Return items that were just written as if they had been read; `label_texts` are their columns of labels."""
    order = np.argsort(ids, kind="stable")
    sets = None if labels is None else labels.numbers_of(label_texts)
    return StoredItems(ids[order], as_words(codes)[order], None if sets is None else sets[order])


def no_items(n_bits: int) -> StoredItems:
    """Return no items."""
    return StoredItems(np.empty(0, np.int64), np.empty((0, -(-n_bits // 64)), np.uint64), np.empty(0, np.int32))


def load_all(connection: sqlite3.Connection, n_bits: int, labels: LabelSets | None) -> StoredItems:
    """Read all items, with the numbers of their label sets where `labels` is given."""
    pages = _fetched(connection, labels is not None, "", ())
    return _gathered(pages, n_bits, labels, is_summed=has_checksums(connection))


def load_runs(connection: sqlite3.Connection, n_bits: int, labels: LabelSets | None, runs: Runs) -> StoredItems:
    """Read the items whose ids lie in the runs, which are sorted and apart."""

    def rows() -> Iterator[Page]:
        for first, last in runs.tolist():
            yield from _fetched(connection, labels is not None, "WHERE id BETWEEN ? AND ?", (first, last))

    return _gathered(rows(), n_bits, labels, is_summed=has_checksums(connection))


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
) -> Iterator[Page]:
    """Yield pages of rows: id, code, checksum (None in a file of an older format), and labels if they are asked for."""
    sums = "checksum" if has_checksums(connection) else "NULL"
    columns = f"id, code, {sums}, labels" if with_labels else f"id, code, {sums}"
    cursor = connection.execute(f"SELECT {columns} FROM items {where} ORDER BY id", parameters)
    while rows := cursor.fetchmany(ROWS_PER_FETCH):
        yield rows


def _gathered(pages: Iterator[Page], n_bits: int, labels: LabelSets | None, *, is_summed: bool) -> StoredItems:
    """Gather pages of rows into arrays.

    Raises:
        Damage: ids do not ascend, or a stored code has another width than `n_bits` asks for or another checksum.
    """
    width = n_bytes(n_bits)
    ids = [np.empty(0, np.int64)]
    words = [np.empty((0, -(-width // 8)), np.uint64)]
    sets: list[SetNumbers] | None = None if labels is None else [np.empty(0, np.int32)]
    for rows in pages:
        numbers, blobs, sums, *texts = zip(*rows, strict=True)
        _check_widths(numbers, blobs, width)
        codes = np.frombuffer(b"".join(blobs), np.uint8).reshape(-1, width)
        found = np.array(numbers, np.int64)
        _check_order(ids[-1], found)
        if is_summed:
            _check_sums(found, codes, sums)
        ids.append(found)
        words.append(as_words(codes))
        if sets is not None and labels is not None:
            known = labels.numbers_of(texts[0])
            sets = None if known is None else [*sets, known]
    return StoredItems(np.concatenate(ids), np.concatenate(words), None if sets is None else np.concatenate(sets))


def _check_widths(ids: tuple[int, ...], blobs: tuple[bytes, ...], width: int) -> None:
    if set(map(type, blobs)) == {bytes} and set(map(len, blobs)) == {width}:
        return
    wrong = next(
        item_id for item_id, code in zip(ids, blobs, strict=True) if not isinstance(code, bytes) or len(code) != width
    )
    raise Damage(f"the code of item {wrong} should have {width} bytes")


def _check_order(before: Ids, ids: Ids) -> None:
    """Refuse a table that would be read in a circle."""
    if (np.diff(ids) <= 0).any() or (len(before) and ids[0] <= before[-1]):
        raise Damage("the ids of its items do not ascend")


def _check_sums(ids: Ids, codes: Codes, sums: tuple[int | None, ...]) -> None:
    ours = row_sums(ids[:, None], codes)
    if set(map(type, sums)) != {int}:
        wrong = next(n for n, own in enumerate(sums) if not isinstance(own, int))
    else:
        differing = np.flatnonzero(code_half(np.array(sums, np.int64)) != ours)
        if not len(differing):
            return
        wrong = int(differing[0])
    raise Damage(f"the code of item {ids[wrong]} does not match its checksum")
