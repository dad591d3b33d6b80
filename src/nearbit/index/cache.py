"""The search structure of an index kept in a file beside it, for every process to map into its memory.

Layout: 16 bytes (magic, format version, length of the header), 32 bytes of BLAKE2b over them and the header, the header
(JSON), then the arrays, each at the start of a page of 4096 bytes. All gaps are zero. The header names the index, the
state and the code length that the arrays belong to, and for each array its type, shape, place and CRC-32 over all its
pages: no byte of the file is unchecked, and a CRC-32 finds every flipped byte at about 2 GB a second. A file that is
not exactly as it was written counts as none: it is made again from the index itself, which alone is the truth.
"""

import hashlib
import json
import math
import mmap
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nearbit.errors import NearbitError
from nearbit.files import write_whole
from nearbit.index.label_sets import LabelSets
from nearbit.index.revisions import State
from nearbit.index.snapshot import Base
from nearbit.index.structure import Structure

MAGIC = b"nbsearch"
FORMAT_VERSION = 1
PAGE = 4096
FIXED = struct.Struct("<8sII")
DIGEST_BYTES = 32
HEAD = FIXED.size + DIGEST_BYTES
"""How many bytes stand before the header."""

LONGEST_HEADER = 1 << 20
SMALL_FILE = 1 << 24
"""Up to so many bytes one thread checks a file."""

DTYPES = ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")

Arrays = dict[str, npt.NDArray[Any]]


@final
class SearchCache:
    """The cache file of one index."""

    def __init__(self, index: Path, index_id: str, n_bits: int) -> None:
        """Name the index; nothing is read yet."""
        self.path = index.with_name(f"{index.name}-search")
        self._index_id = index_id
        self._n_bits = n_bits

    def load(self) -> tuple[Base, LabelSets | None] | None:
        """Return what `save` wrote, mapped from the file; None where it is missing, damaged, or of another index."""
        try:
            with open(self.path, "rb") as file:
                view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # no file, one that cannot be read, an empty one
            return None
        header = _checked_header(view)
        if header is None or not self._is_ours(header):
            return None
        try:
            return self._assembled(_arrays(view, header), header)
        except (NearbitError, KeyError, TypeError, ValueError):  # whole, but not arrays that this nearbit makes
            return None

    def save(self, base: Base, labels: LabelSets | None) -> None:
        """Write a base and its label sets, whole or not at all.

        Raises:
            OSError: the file cannot be written.
        """
        arrays: Arrays = {"ids": base.ids, "words": base.words}
        if base.sets is not None and labels is not None:
            texts = json.dumps(labels.texts(), ensure_ascii=False).encode()
            arrays |= {"sets": base.sets, "labels": np.frombuffer(texts, np.uint8)}
        arrays |= {f"structure.{name}": array for name, array in base.structure.arrays().items()}
        header = {
            "index_id": self._index_id,
            "n_bits": self._n_bits,
            "revision": base.state.revision,
            "token": base.state.token,
        }
        write_whole(self.path, lambda aside: _write(aside, header, arrays))

    def state(self) -> State | None:
        """Return the state that the file was made of, by its header alone; None where it is of no use to this index."""
        try:
            with open(self.path, "rb") as file:
                header = _read_header(file.read(HEAD), file.read)
        except OSError:
            return None
        return None if header is None or not self._is_ours(header) else _state_of(header)

    def _is_ours(self, header: dict[str, Any]) -> bool:
        return bool(header["index_id"] == self._index_id and header["n_bits"] == self._n_bits)

    def _assembled(self, arrays: Arrays, header: dict[str, Any]) -> tuple[Base, LabelSets | None]:
        own = {name.removeprefix("structure."): array for name, array in arrays.items() if "." in name}
        structure = Structure.from_arrays(own, self._n_bits)
        labels = LabelSets(json.loads(arrays["labels"].tobytes())) if "labels" in arrays else None
        return Base(arrays["ids"], arrays["words"], arrays.get("sets"), structure, _state_of(header)), labels


def _write(path: Path, about: dict[str, Any], arrays: Arrays) -> None:
    """Write the file; arrays that are the same memory are written once."""
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    places: dict[tuple[int, str, tuple[int, ...]], dict[str, Any]] = {}
    entries, offset = {}, 0
    for name, array in plain.items():
        key = (array.__array_interface__["data"][0] if array.size else 0, array.dtype.name, array.shape)
        if key not in places:
            places[key] = {"dtype": array.dtype.name, "shape": array.shape, "offset": offset, "crc": _crc(array)}
            offset += _whole_pages(array.nbytes)
        entries[name] = places[key]
    text = json.dumps({**about, "arrays": entries, "bytes": offset}).encode()
    fixed = FIXED.pack(MAGIC, FORMAT_VERSION, len(text))
    with open(path, "wb") as file:
        file.write(_filled(fixed + hashlib.blake2b(fixed + text, digest_size=DIGEST_BYTES).digest() + text))
        begin = file.tell()
        for name, array in plain.items():
            if file.tell() == begin + entries[name]["offset"]:
                file.write(array.data.cast("B") if array.size else b"")
                file.write(bytes(-array.nbytes % PAGE))


def _checked_header(view: mmap.mmap) -> dict[str, Any] | None:
    """Return the header of a file all of whose bytes are as they were written, else None."""
    header = _read_header(view[:HEAD], lambda length: view[HEAD : HEAD + length])
    if header is None:
        return None
    begin = _whole_pages(HEAD + header["header_bytes"])
    if any(view[HEAD + header["header_bytes"] : begin]) or len(view) != begin + header["bytes"]:
        return None
    return header | {"begin": begin} if _are_whole(view, header, begin) else None


def _read_header(head: bytes, read: Callable[[int], bytes]) -> dict[str, Any] | None:
    """Return the header that follows the first bytes of a file; None where it is not as it was written."""
    if len(head) < HEAD:
        return None
    magic, version, length = FIXED.unpack_from(head)
    if magic != MAGIC or version != FORMAT_VERSION or length > LONGEST_HEADER:
        return None
    text = read(length)
    if hashlib.blake2b(head[: FIXED.size] + text, digest_size=DIGEST_BYTES).digest() != head[FIXED.size :]:
        return None
    header: dict[str, Any] = json.loads(text)
    return header | {"header_bytes": length}


def _state_of(header: dict[str, Any]) -> State:
    return State(int(header["revision"]), int(header["token"]))


def _are_whole(view: mmap.mmap, header: dict[str, Any], begin: int) -> bool:
    """Return whether every array has its CRC-32, gaps included."""

    def is_whole(place: tuple[int, int, int]) -> bool:
        offset, size, crc = place
        with memoryview(view) as whole, whole[begin + offset : begin + offset + size] as part:
            return zlib.crc32(part) == crc

    entries = header["arrays"].values()
    places = {(one["offset"], _whole_pages(_n_bytes(one)), one["crc"]) for one in entries}
    if header["bytes"] < SMALL_FILE:
        return all(map(is_whole, places))
    with ThreadPoolExecutor(4) as pool:
        return all(pool.map(is_whole, places))


def _arrays(view: mmap.mmap, header: dict[str, Any]) -> Arrays:
    arrays = {}
    for name, one in header["arrays"].items():
        if one["dtype"] not in DTYPES:
            raise ValueError(f"arrays of {one['dtype']} are not kept here")
        count = math.prod(one["shape"])
        begin = header["begin"] + one["offset"]
        arrays[name] = np.frombuffer(view, one["dtype"], count, begin if count else 0).reshape(one["shape"])
    return arrays


def _n_bytes(entry: dict[str, Any]) -> int:
    return int(math.prod(entry["shape"])) * int(np.dtype(entry["dtype"]).itemsize)


def _crc(array: npt.NDArray[Any]) -> int:
    """Return the CRC-32 of an array and of the zeros up to the next page."""
    crc = zlib.crc32(array.data.cast("B")) if array.size else 0
    return zlib.crc32(bytes(-array.nbytes % PAGE), crc)


def _filled(content: bytes) -> bytes:
    return content + bytes(-len(content) % PAGE)


def _whole_pages(size: int) -> int:
    return -(-size // PAGE) * PAGE
