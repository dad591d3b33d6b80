"""A cache of computed rows, one for each content hash: what is there is never computed again, whatever the order."""

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

Rows = npt.NDArray[np.float32]


class RowCache:
    """Float rows by the SHA-256 of what they were computed from, in whole files under one folder.

    Each `add` writes one file and renames it into place, so a kill leaves complete files only; a file that cannot be
    read is removed and its rows are computed again. The folder may be deleted at any time.

    Args:
        folder: where the files lie.
        key: names the function that computes the rows (weights, preprocessing, view): other keys, other rows.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        self._rows: dict[str, npt.NDArray[np.float32]] = {}
        self._load()

    def _load(self) -> None:
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                arrays = load_file(path)
                digests, rows = arrays["digests"], arrays["rows"]
            except (SafetensorError, OSError, KeyError, ValueError):
                path.unlink(missing_ok=True)
                continue
            self._rows.update((bytes(digest).hex(), row) for digest, row in zip(digests, rows, strict=True))

    def missing(self, digests: Sequence[str]) -> list[int]:
        """Return the positions of the digests that are not there, each digest once, in order."""
        seen: set[str] = set()
        positions = []
        for position, digest in enumerate(digests):
            if digest not in self._rows and digest not in seen:
                seen.add(digest)
                positions.append(position)
        return positions

    def add(self, digests: Sequence[str], rows: Rows) -> None:
        """Keep rows float32 `(n, width)` under their digests, in memory and on disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        packed = np.array([list(bytes.fromhex(digest)) for digest in digests], np.uint8)
        name = hashlib.sha256("".join(digests).encode()).hexdigest()[:32]
        aside = self.folder / f".{name}.{uuid.uuid4().hex[:8]}.tmp"
        save_file({"digests": packed, "rows": np.ascontiguousarray(rows, np.float32)}, aside)
        aside.replace(self.folder / f"{name}.safetensors")
        self._rows.update(zip(digests, rows, strict=True))

    def gather(self, digests: Sequence[str]) -> Rows:
        """Return the rows of the digests, all of which are there: float32 `(n, width)`."""
        return np.stack([self._rows[digest] for digest in digests])
