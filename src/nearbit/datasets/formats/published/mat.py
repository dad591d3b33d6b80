"""Small MATLAB files of version 5, as some official annotations are: numbers, texts, cells and structs.

They come from copies of pages that are gone, so nothing in them is trusted: SciPy's reader can crash the process on a
damaged one. This one takes no byte that is not there, and no more than a bound.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearbit.errors import DataError

_FILE_MOST = 4_000_000
_CONTENT_MOST = 64_000_000
_DEPTH_MOST = 8
_ELEMENTS_MOST = 1_000_000
_FIELDS_MOST = 1_000
_DIMENSIONS = range(2, 9)
_TAG = 8
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _NUMBERS = 1, 2, 4, range(6, 16)
_COMPLEX = 1 << 11
_FORMS = {b"IM": "<", b"MI": ">"}
_DTYPES = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}

Numbers = npt.NDArray[np.generic]
Value = str | Numbers | list["Value"] | list[dict[str, "Value"]]
"""A text, numbers in a row (columns one after the other), the cells in a row, or the structs in a row."""


def read_mat(file: Path, name: str) -> Value:
    """Return one variable of a MATLAB file of version 5.

    Raises:
        DataError: the file is missing, of another kind, damaged, larger than annotations are, or lacks the variable.
    """
    content = _content(file)
    try:
        form = _FORMS.get(content[126:128])
        if form is None:
            raise ValueError("its header is another")
        found = dict(_variables(_Reader(content[_HEADER:], form, _Bound(_ELEMENTS_MOST))))
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{file}: expected a MATLAB file of version 5, as it was published: {error}") from error
    if name not in found:
        raise DataError(f"{file}: expected the variable {name!r} in it; fetch the file again")
    return found[name]


def whole_numbers(value: Value) -> npt.NDArray[np.int64] | None:
    """Return numbers as int64 `(n,)`; None for what is no numbers, or not all whole."""
    if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.number):
        return None
    with np.errstate(invalid="ignore"):
        whole = value.astype(np.int64)
    return whole if np.array_equal(whole, value) else None


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > _FILE_MOST:
            raise DataError(f"{file}: has more than {_FILE_MOST:,} bytes, far more than the published annotations")
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error


@dataclass
class _Bound:
    """How many elements of a file may still be taken."""

    left: int


class _Reader:
    """Takes elements from the front of some bytes."""

    def __init__(self, content: bytes, form: str, bound: _Bound) -> None:
        self.left, self.form, self.bound = memoryview(content), form, bound

    def element(self) -> tuple[int, memoryview]:
        """Take one element: its kind and its content."""
        self.bound.left -= 1
        if self.bound.left < 0:
            raise ValueError(f"it has more than {_ELEMENTS_MOST:,} elements")
        (kind,) = struct.unpack_from(f"{self.form}I", self.left)
        if kind >> 16:  # up to four bytes lie beside their tag
            length, start, end = kind >> 16, 4, 8
            kind &= 0xFFFF
        else:
            (length,) = struct.unpack_from(f"{self.form}I", self.left, 4)
            start, end = 8, 8 + length + (0 if kind == _COMPRESSED else -length % 8)
        if length > len(self.left) - start or (start == 4 and length > 4):
            raise ValueError("it ends within an element")
        content = self.left[start : start + length]
        self.left = self.left[end:]
        return kind, content

    def numbers(self) -> Numbers:
        """Take an element of numbers."""
        kind, content = self.element()
        dtype = _DTYPES.get(kind)
        if dtype is None or len(content) % np.dtype(dtype).itemsize:
            raise ValueError(f"an element of kind {kind} stands where numbers belong")
        return np.frombuffer(content, np.dtype(f"{self.form}{dtype}"))

    def integers(self) -> list[int]:
        """Take an element of whole numbers; of many, the first few."""
        numbers = self.numbers()
        if numbers.dtype.kind not in "iu":
            raise ValueError("broken numbers stand where whole ones belong")
        return [int(number) for number in numbers[: _DIMENSIONS.stop]]

    def holds(self, count: int) -> None:
        """Refuse a number of elements for which there are not enough bytes left."""
        if count > len(self.left) // _TAG:
            raise ValueError(f"it names {count:,} elements, and {len(self.left):,} bytes are left")

    def text(self) -> str:
        """Take an element of letters."""
        kind, content = self.element()
        if kind not in _TEXTS:
            raise ValueError(f"an element of kind {kind} stands where a text belongs")
        end = "" if not _TEXTS[kind].startswith("utf-") or kind == 16 else "-le" if self.form == "<" else "-be"
        return bytes(content).decode(_TEXTS[kind] + end)

    def inner(self, content: memoryview) -> "_Reader":
        """Return a reader of the content of an element."""
        return _Reader(bytes(content), self.form, self.bound)


def _variables(reader: _Reader) -> Iterator[tuple[str, Value]]:
    left = _CONTENT_MOST
    while reader.left:
        kind, content = reader.element()
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(content, left + 1)
            left -= len(unpacked)
            if left < 0:
                raise ValueError(f"it unpacks to more than {_CONTENT_MOST:,} bytes")
            kind, content = _Reader(unpacked, reader.form, reader.bound).element()
        if kind == _MATRIX:
            yield _matrix(reader.inner(content), 0)


def _matrix(reader: _Reader, depth: int) -> tuple[str, Value]:
    """Take the parts of an array; return its name and its value."""
    if depth > _DEPTH_MOST:
        raise ValueError(f"arrays lie more than {_DEPTH_MOST} deep in each other")
    if not reader.left:
        return "", np.empty(0)
    flags, shape, name = _head(reader)
    kind, count = flags & 0xFF, math.prod(shape)
    if kind == _CELL:
        reader.holds(count)
        return name, [_within(reader, depth) for _ in range(count)]
    if kind == _STRUCT:
        return name, _structs(reader, count, depth)
    if kind == _CHAR and shape[0] <= 1:
        return name, reader.text() if reader.left else ""
    if kind in _NUMBERS and not flags & _COMPLEX:
        numbers = reader.numbers()
        if len(numbers) != count:
            raise ValueError(f"an array of the shape {shape} has {len(numbers)} numbers")
        return name, numbers
    raise ValueError(f"an array of kind {kind} is not among annotations")


def _head(reader: _Reader) -> tuple[int, list[int], str]:
    """Take flags, shape and name of an array."""
    flags = reader.integers()
    if not flags:
        raise ValueError("an array has no flags")
    shape = reader.integers()
    if len(shape) not in _DIMENSIONS or min(shape) < 0 or math.prod(shape) > _CONTENT_MOST:
        raise ValueError(f"an array has the shape {shape}")
    return flags[0], shape, reader.text()


def _within(reader: _Reader, depth: int) -> Value:
    kind, content = reader.element()
    if kind != _MATRIX:
        raise ValueError(f"an element of kind {kind} stands where an array belongs")
    return _matrix(reader.inner(content), depth + 1)[1]


def _structs(reader: _Reader, count: int, depth: int) -> list[dict[str, Value]]:
    width = next(iter(reader.integers()), 0)
    letters = reader.text()
    if width < 1 or len(letters) % width or len(letters) // width > _FIELDS_MOST:
        raise ValueError("its structs have no names of fields")
    names = [letters[place : place + width].split("\0")[0] for place in range(0, len(letters), width)]
    reader.holds(count * len(names))
    return [{name: _within(reader, depth) for name in names} for _ in range(count if names else 0)]
