"""The header of the cache file of an index: what it may say, checked before any of it is believed."""

import hashlib
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from nearbit.errors import IndexFileError
from nearbit.json_text import parse_json

MAGIC = b"nbsearch"
FORMAT_VERSION = 1
PAGE = 4096
FIXED = struct.Struct("<8sII")
DIGEST_BYTES = 32
HEAD = FIXED.size + DIGEST_BYTES
"""How many bytes stand before the header."""

LONGEST_HEADER = 1 << 20
MOST_ARRAYS = 64
MOST_AXES = 3
DTYPES = ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")

Header = dict[str, Any]


def read_header(head: bytes, read: Callable[[int], bytes]) -> Header | None:
    """Return the header that follows the first bytes of a file; None where it is not as this nearbit writes it."""
    if len(head) < HEAD:
        return None
    magic, version, length = FIXED.unpack_from(head)
    if magic != MAGIC or version != FORMAT_VERSION or length > LONGEST_HEADER:
        return None
    text = read(length)
    if len(text) != length or digest_of(head[: FIXED.size] + text) != head[FIXED.size :]:
        return None
    try:
        header = parse_json(text, "the header", IndexFileError)
    except IndexFileError:  # its hash has no key: anyone can write one that holds no JSON
        return None
    return header | {"header_bytes": length} if _is_header(header) else None


def digest_of(content: bytes) -> bytes:
    """Return the BLAKE2b hash that stands before a header."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def n_bytes_of(entry: Header) -> int:
    """Return the bytes of an array."""
    return int(math.prod(entry["shape"])) * int(np.dtype(entry["dtype"]).itemsize)


def whole_pages(size: int) -> int:
    """Return how many bytes the pages have that so many bytes fill."""
    return -(-size // PAGE) * PAGE


def _is_header(header: Any) -> bool:
    if not isinstance(header, dict) or not isinstance(header.get("index_id"), str):
        return False
    numbers = [header.get(name) for name in ("n_bits", "revision", "token", "bytes")]
    arrays = header.get("arrays")
    if not all(_is_whole(number) for number in numbers) or header["bytes"] < 0 or not isinstance(arrays, dict):
        return False
    return len(arrays) <= MOST_ARRAYS and all(_is_entry(one, header["bytes"]) for one in arrays.values())


def _is_entry(one: Any, n_bytes: int) -> bool:
    """Return whether an array has a type that is kept here, and lies on whole pages within the file."""
    if not isinstance(one, dict) or one.get("dtype") not in DTYPES or not isinstance(one.get("shape"), list):
        return False
    numbers = (*one["shape"], one.get("offset"), one.get("crc"))
    if not 1 <= len(one["shape"]) <= MOST_AXES or not all(_is_whole(number) and number >= 0 for number in numbers):
        return False
    return bool(one["offset"] % PAGE == 0 and one["offset"] + whole_pages(n_bytes_of(one)) <= n_bytes)


def _is_whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and -(2**63) <= number < 2**63
