"""Files that were looked at before: reading one gives the picture that its digest is of, or says that it is another."""

import hashlib
import io
import os
import time
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.datasets.check_cache import Stamp
from nearbit.datasets.decoding.decode import one_reason, open_image, open_regular
from nearbit.errors import ImageError

CHANGED = "changed since it was first read: run this again to take it as it is now"

Digests = npt.NDArray[np.uint8]

_UNKNOWN = Stamp(-1, -1, -1)


@final
class KnownFiles:
    """What files held when they were looked at: the digest of each, and a stamp. Thread-safe.

    A file that still has its stamp is the same. Of one that has another, or was changed too short a time before for a
    stamp to tell, the bytes that are decoded are hashed; a stamp that proves good is kept for the next time.
    """

    def __init__(self, digests: Sequence[str], stamps: Sequence[Stamp | None]) -> None:
        """Take the SHA-256 of each file's bytes, and its stamp; None where it is not known."""
        known = [astuple(stamp or _UNKNOWN) for stamp in stamps]
        self._digests = digest_rows(digests)
        self._stamps: npt.NDArray[np.int64] = np.array(known, np.int64).reshape(-1, 3)

    def of_rows(self, rows: Sequence[int]) -> "KnownFiles":
        """Return these files alone."""
        known, chosen = KnownFiles([], []), np.asarray(rows, np.int64)
        known._digests, known._stamps = self._digests[chosen], self._stamps[chosen]
        return known

    def read(self, row: int, path: Path, at_least: int | None = None, max_pixels: int | None = None) -> Image.Image:
        """Decode a file as `open_image` does.

        Raises:
            ImageError: as for `open_image`; or the file holds something else than when it was looked at.
        """
        with open_regular(path) as handle:
            if self._is_same(row, handle):
                image = open_image(handle, at_least, max_pixels=max_pixels)
                if self._is_same(row, handle):
                    return image
            now, before = time.time_ns(), _stamp_of(handle)
            if self._stamps[row, 0] not in (_UNKNOWN.size, before.size):
                raise ImageError(CHANGED)  # of another size, which may be any
            with one_reason():
                handle.seek(0)
                content = _NamedBytes(handle.read(), path)
            if not has_digest(content.getbuffer(), self._digests[row]):
                raise ImageError(CHANGED)
            if before == _stamp_of(handle) and before.is_settled(now):
                self._stamps[row] = astuple(before)
            return open_image(content, at_least, max_pixels=max_pixels)

    def _is_same(self, row: int, handle: io.BufferedReader) -> bool:
        return astuple(_stamp_of(handle)) == tuple(self._stamps[row].tolist())


def digest_rows(digests: Sequence[str]) -> Digests:
    """Return digests in hexadecimal as uint8 `(n, 32)`."""
    return np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, 32)


def has_digest(content: bytes | memoryview, digest: Digests) -> bool:
    """Return whether the SHA-256 of some bytes is this one, uint8 `(32,)`."""
    return hashlib.sha256(content).digest() == digest.tobytes()


class _NamedBytes(io.BytesIO):
    """The bytes of a file, with its name for messages."""

    def __init__(self, content: bytes, name: Path) -> None:
        super().__init__(content)
        self.name = str(name)


def _stamp_of(handle: io.BufferedReader) -> Stamp:
    return Stamp.of(os.fstat(handle.fileno()))
