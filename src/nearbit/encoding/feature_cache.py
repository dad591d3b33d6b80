"""A cache of computed rows, one for each content hash: what is there is never computed again, whatever the order.

In memory lies where each row is (40 bytes a row); the rows stay on disk and are read as they are asked for.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nearbit.errors import InputError
from nearbit.files.writing import read_checked, remove_orphans, write_checked
from nearbit.given import path_of
from nearbit.json_text import parse_json

FloatRows = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
DIGEST = np.dtype("S32")
CHECKSUM_BYTES, LENGTH_BYTES = 32, 8
"""What stands before the safetensors content of a file, and what tells in it how long its header is."""
MOST_FRESH = 8192
"""Rows that are looked up one by one before they are sorted in among the others."""
_ROOM = (
    "Features are read from the cache as they are needed: make room, or name another cache folder (--cache, cache=, "
    "NEARBIT_CACHE)."
)


class FeatureCache:
    """Float rows by the SHA-256 of what they were computed from, in whole files under one folder.

    Each `add` writes one file and renames it into place, so a kill leaves complete files only; a damaged one is removed
    and its rows are computed again. The folder may be deleted while no cache of it is open.

    Args:
        folder: where the files lie.
        key: names the function that computes the rows (weights, preprocessing, view, and what computes them): other
            keys, other rows.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        self.width = 0
        self._files: list[tuple[Path, int]] = []  # with the byte at which its rows begin
        self._digests = np.zeros(0, DIGEST)  # sorted, with the file and the row of each
        self._places = np.zeros((0, 2), np.int64)
        self._fresh: dict[bytes, tuple[int, int]] = {}
        self._load()

    def __len__(self) -> int:
        return len(self._digests) + len(self._fresh)

    def _load(self) -> None:
        if not self.folder.is_dir():
            return
        remove_orphans(self.folder)
        found, places = [self._digests], [self._places]
        for path in sorted(self.folder.glob("*.rows")):
            content = read_checked(path)
            digests = None if content is None else self._digests_in(content)
            if content is None or digests is None:
                path.unlink(missing_ok=True)
                continue
            found.append(digests)
            places.append(_places(len(self._files), len(digests)))
            self._files.append((path, _start(content)))
        self._sort(np.concatenate(found), np.concatenate(places))

    def _digests_in(self, content: bytes) -> npt.NDArray[np.bytes_] | None:
        """Return the digests of a file; None where it holds something else, for which they are computed again."""
        arrays = _rows_in(content)
        if arrays is None or (self.width and arrays["rows"].shape[1] != self.width):
            return None
        self.width = arrays["rows"].shape[1]
        return np.frombuffer(arrays["digests"].tobytes(), DIGEST)

    def _sort(self, digests: npt.NDArray[np.bytes_], places: Places) -> None:
        """Take digests with their places, of the same digest the last."""
        order = np.argsort(digests, kind="stable")
        digests, places = digests[order], places[order]
        last = np.append(digests[1:] != digests[:-1], np.ones(min(1, len(digests)), np.bool_))
        self._digests, self._places, self._fresh = digests[last], places[last], {}

    def _found(self, digests: Sequence[str]) -> Places:
        """Return the file and the row of each digest: int64 `(n, 2)`, -1 where it is not there."""
        wanted = np.frombuffer(bytes.fromhex("".join(digests)), DIGEST)
        at = np.searchsorted(self._digests, wanted)
        found = np.full((len(wanted), 2), -1, np.int64)
        inside = np.flatnonzero(at < len(self._digests))
        same = inside[self._digests[at[inside]] == wanted[inside]]
        found[same] = self._places[at[same]]
        if self._fresh:
            for place in np.flatnonzero(found[:, 0] < 0).tolist():
                found[place] = self._fresh.get(bytes.fromhex(digests[place]), (-1, -1))
        return found

    def missing(self, digests: Sequence[str]) -> list[int]:
        """Return the positions of the digests that are not there, each digest once, in order."""
        seen: set[str] = set()
        positions = []
        for position in np.flatnonzero(self._found(digests)[:, 0] < 0).tolist():
            if digests[position] not in seen:
                seen.add(digests[position])
                positions.append(position)
        return positions

    def add(self, digests: Sequence[str], rows: FloatRows) -> None:
        """Keep rows float32 `(n, width)` under their digests, on disk."""
        if self.width and rows.shape[1] != self.width:
            raise InputError(f"this cache has rows of the width {self.width}, not {rows.shape[1]}")
        packed = np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, DIGEST.itemsize)
        name = hashlib.sha256("".join(digests).encode()).hexdigest()[:32]
        content = save({"digests": packed, "rows": np.ascontiguousarray(rows, np.float32)})
        path = self.folder / f"{name}.rows"
        try:
            write_checked(path, content)
        except OSError as error:
            error.add_note(f"({_ROOM})")
            raise
        self.width, number = rows.shape[1], len(self._files)
        self._files.append((path, _start(content)))
        self._fresh.update({bytes.fromhex(digest): (number, row) for row, digest in enumerate(digests)})
        if len(self._fresh) > MOST_FRESH:
            fresh = np.frombuffer(b"".join(self._fresh), DIGEST)
            places = np.array(list(self._fresh.values()), np.int64)
            self._sort(np.concatenate([self._digests, fresh]), np.concatenate([self._places, places]))

    def gather(self, digests: Sequence[str]) -> FloatRows:
        """Return the rows of the digests, all of which are there: float32 `(n, width)`.

        Raises:
            KeyError: one is not there.
            InputError: the folder was deleted or altered since it was opened.
        """
        places = self._found(digests)
        if len(places) and places.min() < 0:
            raise KeyError(digests[int(places[:, 0].argmin())])
        rows = np.empty((len(places), self.width), np.float32)
        for here, number in _by_file(places):
            path, start = self._files[number]
            with _named(path):
                rows[here] = _read(path, start, places[here, 1], self.width)
        return rows


def _places(number: int, count: int) -> Places:
    return np.stack([np.full(count, number, np.int64), np.arange(count)], axis=1)


def _by_file(places: Places) -> Iterator[tuple[Places, int]]:
    """Yield which positions lie in one file, in the order of its rows, with its number."""
    order = np.lexsort((places[:, 1], places[:, 0]))
    cuts = np.flatnonzero(np.diff(places[order, 0])) + 1
    for here in np.split(order, cuts) if len(order) else []:
        yield here, int(places[here[0], 0])


def _read(path: Path, start: int, rows: Places, width: int) -> FloatRows:
    """Return ascending rows of a file from the first to the last of them, read at once where they lie close."""
    first, count = int(rows[0]), int(rows[-1] - rows[0]) + 1
    size = 4 * width
    with open(path, "rb") as handle:
        if count <= 4 * len(rows):
            handle.seek(start + first * size)
            block = np.fromfile(handle, np.float32, count * width)
            return block.reshape(count, width)[rows - first]
        found = np.empty((len(rows), width), np.float32)
        for place, row in enumerate(rows.tolist()):
            handle.seek(start + row * size)
            found[place] = np.fromfile(handle, np.float32, width)
        return found


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error of reading within the block say that the cache changed under an open program."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} was deleted or altered while it was in use: repeat the command, which computes anew"
        ) from error


def _start(content: bytes) -> int:
    """Return the byte of a file at which the rows of its content begin."""
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    header = parse_json(content[LENGTH_BYTES : LENGTH_BYTES + length], "the header of a feature cache", InputError)
    return CHECKSUM_BYTES + LENGTH_BYTES + length + int(header["rows"]["data_offsets"][0])


def _rows_in(content: bytes) -> dict[str, npt.NDArray[Any]] | None:
    """Return the arrays of a file; None where it holds something else."""
    try:
        arrays = load(content)
    except (SafetensorError, MemoryError, ValueError):
        return None
    digests, rows = arrays.get("digests"), arrays.get("rows")
    if digests is None or rows is None or digests.dtype != np.uint8 or rows.dtype != np.float32 or rows.ndim != 2:
        return None
    if digests.shape != (len(rows), DIGEST.itemsize) or not np.isfinite(rows).all():
        return None
    return arrays


class FeatureStore:
    """A folder of row caches, each opened once, for many runs in one process.

    Args:
        folder: where the caches lie.

    Raises:
        InputError: the folder is no path.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = path_of("cache", folder)
        self._open: dict[tuple[str, str], FeatureCache] = {}

    def rows(self, kind: str, key: str) -> FeatureCache:
        """Return the cache of that kind ("features", "outputs") and key."""
        if (kind, key) not in self._open:
            self._open[kind, key] = FeatureCache(self.folder / kind, key)
        return self._open[kind, key]


def feature_store_of(cache: "str | Path | FeatureStore | None") -> FeatureStore | None:
    """Return a feature store for a cache folder; None for none."""
    return cache if cache is None or isinstance(cache, FeatureStore) else FeatureStore(cache)
