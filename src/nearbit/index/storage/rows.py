"""Items as rows of the file, and a checksum of every row: which bit flipped is not known, but that one did.

The column `checksum` of an item holds two CRC-32 (that of zlib): in its high half over id and code, which are read when
a search structure is built, in its low half over path, labels, metadata and digest. That of outputs is one CRC-32 over
id, scale and data. A CRC-32 differs wherever up to 32 bits in a row, or any single bit, differ.
"""

import sqlite3
import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes
from nearbit.index.results import Ids, Item
from nearbit.index.storage.damage import Damage
from nearbit.json_text import parse_json

Fields = tuple[str | None, str, str, str | None]
"""Path, labels as JSON, metadata as JSON, digest: the columns beside id and code."""

Row = tuple[int, bytes, str | None, str, str, str | None]

ITEM_COLUMNS = "id, code, path, labels, metadata, digest"

EMPTY: Fields = (None, "[]", "{}", None)

SUMMED = 3
"""The first format of the file whose rows have checksums."""

ROWS_PER_BLOCK = 16_384

TEXTS = (1 << 32) - 1
"""The half of a checksum that is over texts."""

Sums = npt.NDArray[np.uint32]


def item_of(row: Row) -> Item:
    """Return the item of a row of `ITEM_COLUMNS`.

    Raises:
        Damage: a column holds what no item has.
    """
    item_id, code, path, labels, metadata, digest = row
    if not isinstance(code, bytes):
        raise Damage(f"the code of item {item_id} is no bytes")
    return Item(
        id=item_id,
        code=np.frombuffer(code, np.uint8).copy(),
        path=stored_text(path, item_id, "path"),
        labels=_labels_of_item(labels, item_id),
        digest=stored_text(digest, item_id, "digest"),
        metadata={} if metadata == EMPTY[2] else metadata_of(metadata, item_id),
    )


def stored_text(value: Any, item_id: int, what: str) -> str | None:
    """Return a text of an item, or None where it has none; raise `Damage` for anything else."""
    if value is None or isinstance(value, str):
        return value
    raise Damage(f"the {what} of item {item_id} is no text")


@lru_cache(maxsize=100_000)
def labels_of(text: str) -> tuple[str, ...]:
    """Return the labels in a column of labels; raise `Damage` unless it is a JSON list of texts."""
    labels = parse_json(text, f"the labels {text[:40]!r}", Damage) if isinstance(text, str) else None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise Damage(f"the labels {text[:40]!r} are no JSON list of texts")
    return tuple(labels)


def _labels_of_item(text: str, item_id: int) -> tuple[str, ...]:
    try:
        return labels_of(text)
    except (Damage, TypeError) as error:  # a TypeError: neither a text nor bytes
        raise Damage(f"the labels of item {item_id} are no JSON list of texts") from error


def metadata_of(text: str, item_id: int) -> dict[str, Any]:
    """Return what a column of metadata holds; raise `Damage` unless it is a JSON object."""
    name = f"the metadata of item {item_id}"
    metadata = parse_json(text, name, Damage) if isinstance(text, str) else None
    if not isinstance(metadata, dict):
        raise Damage(f"{name} is no JSON object")
    return metadata


def format_of(connection: sqlite3.Connection) -> int:
    """Return the format of the file, in the state that a transaction sees."""
    return int(connection.execute("SELECT value FROM meta WHERE key = 'format_version'").fetchone()[0])


def has_checksums(connection: sqlite3.Connection) -> bool:
    """Return whether the rows of a file have checksums, in the state that a transaction sees."""
    return format_of(connection) >= SUMMED


def row_sums(*columns: npt.NDArray[Any]) -> Sums:
    """Return the CRC-32 of each row of arrays `(n, …)` side by side, uint32 `(n,)`: their bytes, little-endian."""
    parts = [_bytes_of(column) for column in columns]
    sums = np.empty(len(parts[0]), np.uint32)
    for begin in range(0, len(sums), ROWS_PER_BLOCK):
        block = slice(begin, begin + ROWS_PER_BLOCK)
        rest = np.full(len(sums[block]), 0xFFFFFFFF, np.uint32)
        for part in parts:
            for column in np.ascontiguousarray(part[block].T):
                rest = _TABLE[(rest ^ column) & 0xFF] ^ (rest >> 8)
        sums[block] = ~rest
    return sums


def text_sum(fields: Fields) -> int:
    """Return the CRC-32 of an item's path, labels, metadata and digest; NULL differs from an empty text."""
    path, labels, metadata, digest = fields
    text = f"{_NULL if path is None else path}\0{labels}\0{metadata}\0{_NULL if digest is None else digest}"
    return zlib.crc32(text.encode("utf-8", "surrogateescape"))


def item_sums(ids: Ids, codes: Codes, fields: Sequence[Fields] | None) -> list[int]:
    """Return the checksums of items, as the file keeps them; without `fields`, of items of a code alone."""
    high = row_sums(ids[:, None], codes).astype(np.int64) << 32
    low = text_sum(EMPTY) if fields is None else np.fromiter(map(text_sum, fields), np.int64, len(ids))
    sums: list[int] = (high | low).tolist()
    return sums


def item_sum(row: Row) -> int:
    """Return the checksum of one item, as the file keeps it: a signed number of 64 bits."""
    item_id, code, path, labels, metadata, digest = row
    high = zlib.crc32(code, zlib.crc32(struct.pack("<q", item_id)))
    whole = high << 32 | text_sum((path, labels, metadata, digest))
    return whole - 2**64 if whole >= 2**63 else whole


def output_sum(item_id: int, scale: float, data: bytes) -> int:
    """Return the checksum of the outputs of one item."""
    return zlib.crc32(data, zlib.crc32(struct.pack("<qd", item_id, scale)))


def code_half(sums: npt.NDArray[np.int64]) -> Sums:
    """Return the half of stored checksums that is over ids and codes."""
    return (sums >> 32).astype(np.uint32)


def _bytes_of(column: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    little = np.ascontiguousarray(column, column.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(len(little), little.itemsize * little.shape[1])


def _table() -> Sums:
    """Return what each byte makes of a CRC-32."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, np.uint32(0xEDB88320) ^ (table >> 1), table >> 1).astype(np.uint32)
    return table


_NULL = "\0"
_TABLE = _table()
