"""A checksum of every row: which bit of a stored item flipped is not known, but that one did.

The column `checksum` of an item holds two CRC-32 (that of zlib): in its high half over id and code, which are read when
a search structure is built, in its low half over path, labels, metadata and digest. That of outputs is one CRC-32 over
id, scale and data. A CRC-32 differs wherever up to 32 bits in a row, or any single bit, differ.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes
from nearbit.index.results import Ids
from nearbit.index.storage.rows import EMPTY, Fields, Row

ROWS_PER_BLOCK = 16_384

TEXTS = (1 << 32) - 1
"""The half of a checksum that is over texts."""

Sums = npt.NDArray[np.uint32]


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
