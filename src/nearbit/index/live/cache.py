"""The search structure of an index kept in a file beside it, for every process to map into its memory.

Layout: 16 bytes (magic, format version, length of the header), 32 bytes of BLAKE2b over them and the header, the header
(JSON), then the arrays, each at the start of a page of 4096 bytes. All gaps are zero. The header names the index, the
state and the code length that the arrays belong to, and for each array its type, shape, place and CRC-32 over all its
pages: no byte of the file is unchecked, and a CRC-32 finds every flipped byte at about 2 GB a second. A file that is
not exactly as it was written counts as none: it is made again from the index itself, which alone is the truth.
"""

import json
import math
import mmap
import os
import stat
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np
import numpy.typing as npt

from nearbit.errors import IndexFileError, NearbitError
from nearbit.files.writing import write_whole
from nearbit.index.engine.layout_checks import check_tails
from nearbit.index.engine.structure import Structure
from nearbit.index.live.cache_header import (
    FIXED,
    FORMAT_VERSION,
    HEAD,
    MAGIC,
    PAGE,
    Header,
    digest_of,
    n_bytes_of,
    read_header,
    whole_pages,
)
from nearbit.index.live.snapshot import MainSegment
from nearbit.index.storage.change_log import State
from nearbit.index.storage.label_sets import LabelSets
from nearbit.json_text import parse_json

SMALL_FILE = 1 << 24
"""Up to so many bytes one thread checks a file."""

Arrays = dict[str, npt.NDArray[Any]]


@final
class SearchCache:
    """The cache file of one index."""

    def __init__(self, index: Path, index_id: str, n_bits: int) -> None:
        """Name the index; nothing is read yet."""
        self.path = index.with_name(f"{index.name}-search")
        self._index_id = index_id
        self._n_bits = n_bits

    def load(self) -> tuple[MainSegment, LabelSets | None] | None:
        """Return what `save` wrote, mapped from the file; None where it is missing, damaged, or of another index."""
        try:
            with _opened(self.path) as file:
                view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # no file, one that cannot be read, an empty one
            return None
        header = _checked_header(view)
        if header is None or not self._is_ours(header):
            return None
        try:
            return self._assembled(_arrays(view, header), header)
        except NearbitError:  # whole, but not arrays that this nearbit makes
            return None

    def save(self, main: MainSegment, labels: LabelSets | None) -> None:
        """Write a main segment and its label sets, whole or not at all.

        Raises:
            OSError: the file cannot be written.
        """
        arrays: Arrays = {"ids": main.ids, "words": main.words}
        if main.sets is not None and labels is not None:
            texts = json.dumps(labels.texts(), ensure_ascii=False).encode()
            arrays |= {"sets": main.sets, "labels": np.frombuffer(texts, np.uint8)}
        arrays |= {f"structure.{name}": array for name, array in main.structure.arrays().items()}
        header = {
            "index_id": self._index_id,
            "n_bits": self._n_bits,
            "revision": main.state.revision,
            "token": main.state.token,
        }
        write_whole(self.path, lambda aside: _write(aside, header, arrays))

    def state(self) -> State | None:
        """Return the state that the file was made of, by its header alone; None where it is of no use to this index."""
        try:
            with _opened(self.path) as file:
                header = read_header(file.read(HEAD), file.read)
        except OSError:
            return None
        return None if header is None or not self._is_ours(header) else _state_of(header)

    def _is_ours(self, header: Header) -> bool:
        return bool(header["index_id"] == self._index_id and header["n_bits"] == self._n_bits)

    def _assembled(self, arrays: Arrays, header: Header) -> tuple[MainSegment, LabelSets | None]:
        """Return the main segment of arrays that fit each other; raise `NearbitError` where they do not."""
        own = {name.removeprefix("structure."): array for name, array in arrays.items() if "." in name}
        structure = Structure.from_arrays(own, self._n_bits)
        ids, words, sets, texts = (arrays.get(name) for name in ("ids", "words", "sets", "labels"))
        if ids is None or words is None or (sets is None) != (texts is None):
            raise IndexFileError(f"a cache needs ids, words, and sets with labels, not {sorted(arrays)}")
        n = len(structure)
        _check("ids", ids, (n,), np.int64)
        _check("words", words, (n, -(-self._n_bits // 64)), np.uint64)
        check_tails("words", words[:, -1], self._n_bits)
        if n and (ids[0] < 0 or not (ids[1:] > ids[:-1]).all()):
            raise IndexFileError("a cache needs ids that ascend from 0 on")
        labels = None if sets is None or texts is None else _labels(sets, texts, n)
        return MainSegment(ids, words, sets, structure, _state_of(header)), labels


def _opened(path: Path) -> BinaryIO:
    """Open a plain file to read; anything else that bears the name, such as a pipe, is an `OSError` at once."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no plain file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _labels(sets: npt.NDArray[Any], texts: npt.NDArray[Any], n: int) -> LabelSets:
    """Return the label sets of a cache file, after looking that every item has one of them."""
    _check("sets", sets, (n,), np.int32)
    _check("labels", texts, (texts.size,), np.uint8)
    found = parse_json(texts.tobytes(), "the labels of a cache", IndexFileError)
    if not _are_texts(found) or not all(_are_texts(parse_json(one, "labels", IndexFileError)) for one in found):
        raise IndexFileError("a cache needs labels as a list of lists of texts, each of them as JSON")
    numbers = max(1, len(set(found)))  # rows that are gone have the number 0
    if n and not 0 <= int(sets.min()) <= int(sets.max()) < numbers:
        raise IndexFileError(f"a cache needs sets from 0 to {numbers - 1}")
    return LabelSets(found)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _check(name: str, array: npt.NDArray[Any], shape: tuple[int, ...], kind: npt.DTypeLike) -> None:
    if array.shape != shape or array.dtype != kind:
        raise IndexFileError(f"a cache needs {name} as {kind} {shape}, not {array.dtype} {array.shape}")


def _write(path: Path, about: dict[str, Any], arrays: Arrays) -> None:
    """Write the file; arrays that are the same memory are written once."""
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    places: dict[tuple[int, str, tuple[int, ...]], dict[str, Any]] = {}
    entries, offset = {}, 0
    for name, array in plain.items():
        key = (array.__array_interface__["data"][0] if array.size else 0, array.dtype.name, array.shape)
        if key not in places:
            places[key] = {"dtype": array.dtype.name, "shape": array.shape, "offset": offset, "crc": _crc(array)}
            offset += whole_pages(array.nbytes)
        entries[name] = places[key]
    text = json.dumps({**about, "arrays": entries, "bytes": offset}).encode()
    fixed = FIXED.pack(MAGIC, FORMAT_VERSION, len(text))
    with open(path, "wb") as file:
        file.write(_filled(fixed + digest_of(fixed + text) + text))
        begin = file.tell()
        for name, array in plain.items():
            if file.tell() == begin + entries[name]["offset"]:
                file.write(array.data.cast("B") if array.size else b"")
                file.write(bytes(-array.nbytes % PAGE))


def _checked_header(view: mmap.mmap) -> Header | None:
    """Return the header of a file all of whose bytes are as they were written, else None."""
    header = read_header(view[:HEAD], lambda length: view[HEAD : HEAD + length])
    if header is None:
        return None
    begin = whole_pages(HEAD + header["header_bytes"])
    if any(view[HEAD + header["header_bytes"] : begin]) or len(view) != begin + header["bytes"]:
        return None
    return header | {"begin": begin} if _are_whole(view, header, begin) else None


def _state_of(header: Header) -> State:
    return State(int(header["revision"]), int(header["token"]))


def _are_whole(view: mmap.mmap, header: Header, begin: int) -> bool:
    """Return whether every array has its CRC-32, gaps included."""

    def is_whole(place: tuple[int, int, int]) -> bool:
        offset, size, crc = place
        with memoryview(view) as whole, whole[begin + offset : begin + offset + size] as part:
            return zlib.crc32(part) == crc

    entries = header["arrays"].values()
    places = {(one["offset"], whole_pages(n_bytes_of(one)), one["crc"]) for one in entries}
    if header["bytes"] < SMALL_FILE:
        return all(map(is_whole, places))
    with ThreadPoolExecutor(4) as pool:
        return all(pool.map(is_whole, places))


def _arrays(view: mmap.mmap, header: Header) -> Arrays:
    arrays = {}
    for name, one in header["arrays"].items():
        count = math.prod(one["shape"])
        begin = header["begin"] + one["offset"]
        arrays[name] = np.frombuffer(view, one["dtype"], count, begin if count else 0).reshape(one["shape"])
    return arrays


def _crc(array: npt.NDArray[Any]) -> int:
    """Return the CRC-32 of an array and of the zeros up to the next page."""
    crc = zlib.crc32(array.data.cast("B")) if array.size else 0
    return zlib.crc32(bytes(-array.nbytes % PAGE), crc)


def _filled(content: bytes) -> bytes:
    return content + bytes(-len(content) % PAGE)
