"""A cache of computed rows, one for each content hash: what is there is never computed again, whatever the order."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nearbit.files.writing import read_checked, remove_orphans, write_checked

FloatRows = npt.NDArray[np.float32]


class FeatureCache:
    """Float rows by the SHA-256 of what they were computed from, in whole files under one folder.

    Each `add` writes one file and renames it into place, so a kill leaves complete files only; a damaged one is removed
    and its rows are computed again. The folder may be deleted at any time.

    Args:
        folder: where the files lie.
        key: names the function that computes the rows (weights, preprocessing, view): other keys, other rows.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        self._rows: dict[str, npt.NDArray[np.float32]] = {}
        self._load()

    def _load(self) -> None:
        if not self.folder.is_dir():
            return
        remove_orphans(self.folder)
        for path in sorted(self.folder.glob("*.rows")):
            content = read_checked(path)
            rows = None if content is None else _rows_in(content)
            if rows is None:
                path.unlink(missing_ok=True)
                continue
            self._rows.update(rows)

    def missing(self, digests: Sequence[str]) -> list[int]:
        """Return the positions of the digests that are not there, each digest once, in order."""
        seen: set[str] = set()
        positions = []
        for position, digest in enumerate(digests):
            if digest not in self._rows and digest not in seen:
                seen.add(digest)
                positions.append(position)
        return positions

    def add(self, digests: Sequence[str], rows: FloatRows) -> None:
        """Keep rows float32 `(n, width)` under their digests, in memory and on disk."""
        packed = np.array([list(bytes.fromhex(digest)) for digest in digests], np.uint8)
        name = hashlib.sha256("".join(digests).encode()).hexdigest()[:32]
        content = save({"digests": packed, "rows": np.ascontiguousarray(rows, np.float32)})
        write_checked(self.folder / f"{name}.rows", content)
        self._rows.update(zip(digests, rows, strict=True))

    def gather(self, digests: Sequence[str]) -> FloatRows:
        """Return the rows of the digests, all of which are there: float32 `(n, width)`."""
        return np.stack([self._rows[digest] for digest in digests])


def _rows_in(content: bytes) -> dict[str, npt.NDArray[np.float32]] | None:
    """Return the rows of a file by digest; None where it holds something else, for which they are computed again."""
    try:
        arrays = load(content)
    except (SafetensorError, MemoryError, ValueError):
        return None
    digests, rows = arrays.get("digests"), arrays.get("rows")
    if digests is None or rows is None or digests.dtype != np.uint8 or rows.dtype != np.float32 or rows.ndim != 2:
        return None
    if digests.shape != (len(rows), 32) or not np.isfinite(rows).all():
        return None
    return {bytes(digest).hex(): row for digest, row in zip(digests, rows, strict=True)}


class FeatureStore:
    """A folder of row caches, each read from disk once and then kept in memory, for many runs in one process.

    Args:
        folder: where the caches lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[tuple[str, str], FeatureCache] = {}

    def rows(self, kind: str, key: str) -> FeatureCache:
        """Return the cache of that kind ("features", "outputs") and key."""
        if (kind, key) not in self._open:
            self._open[kind, key] = FeatureCache(self.folder / kind, key)
        return self._open[kind, key]


def feature_store_of(cache: "Path | FeatureStore | None") -> FeatureStore | None:
    """Return a feature store for a cache folder; None for none."""
    return FeatureStore(cache) if isinstance(cache, Path) else cache
