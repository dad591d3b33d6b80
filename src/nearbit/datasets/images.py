"""Where the images of a data set come from: files below a folder, or one array in memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.datasets.decoding.decode import open_image, open_regular
from nearbit.datasets.known_files import KnownFiles
from nearbit.errors import InputError

Pixels = npt.NDArray[np.uint8]


class ImageSource(Protocol):
    """Rows of images, each read when it is asked for; reading is deterministic and safe from several threads."""

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def read(self, row: int, at_least: int | None = None) -> Image.Image:
        """Return one image in mode "RGB", upright.

        Args:
            row: 0 to len - 1.
            at_least: pixels; the reader may decode at a reduced size as long as both sides stay at least this long.

        Raises:
            ImageError: the image cannot be read; the message is the reason.
        """
        ...


@dataclass(frozen=True)
class FileImages:
    """Images in files: `paths` are relative to `root`, parted by "/"; `max_pixels` as for `open_image`.

    With `known`, what the files held before, a file that holds something else now cannot be read.
    """

    root: Path
    paths: tuple[str, ...]
    max_pixels: int | None = None
    known: KnownFiles | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for path in self.paths:
            if not path or path.startswith("/") or ".." in path.split("/"):
                raise InputError(f"paths must lie below the root and be relative to it, not {path!r}")

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, row: int, at_least: int | None = None) -> Image.Image:
        """Return one image in mode "RGB", upright; raise `ImageError` with the reason where it cannot be read."""
        path = self.root / self.paths[row]
        if self.known is None:
            return open_image(path, at_least, max_pixels=self.max_pixels)
        return self.known.read(row, path, at_least, self.max_pixels)

    def of_rows(self, rows: Sequence[int]) -> "FileImages":
        """Return these files alone."""
        known = None if self.known is None else self.known.of_rows(rows)
        return replace(self, paths=tuple(self.paths[row] for row in rows), known=known)


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Images in one array: uint8 `(n, height, width, 3)`, or `(n, height, width)` for greyscale."""

    pixels: Pixels

    def __post_init__(self) -> None:
        shape, kind = self.pixels.shape, self.pixels.dtype
        if kind != np.uint8:
            raise InputError(f"pixels must be uint8, 0 to 255, not {kind}")
        if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] != 3) or 0 in shape[1:]:
            raise InputError(f"pixels must have the shape (n, height, width, 3) or (n, height, width), not {shape}")

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, row: int, at_least: int | None = None) -> Image.Image:
        """Return one image in mode "RGB" at its full size, whatever `at_least` allows."""
        return Image.fromarray(np.ascontiguousarray(self.pixels[row])).convert("RGB")


def content_digest(source: Path | str | bytes | Pixels) -> str:
    """Return the SHA-256, in hexadecimal, of what an image holds.

    Args:
        source: a path (the bytes of the file count), the bytes themselves, or uint8 pixels of one image (their shape
            and values count).

    Raises:
        ImageError: the file cannot be read.
        InputError: the pixels are not uint8.
    """
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    if isinstance(source, np.ndarray):
        return array_digests(source[None])[0]
    with open_regular(Path(source)) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def array_digests(pixels: Pixels) -> tuple[str, ...]:
    """Return the `content_digest` of each image of an array uint8 `(n, height, width[, 3])`."""
    if pixels.dtype != np.uint8:
        raise InputError(f"pixels must be uint8, 0 to 255, not {pixels.dtype}")
    shape = "x".join(str(side) for side in pixels.shape[1:])
    head = hashlib.sha256(f"uint8 {shape}\n".encode())
    return tuple(_digest_after(head, row) for row in pixels)


def _digest_after(head: "hashlib._Hash", row: Pixels) -> str:
    digest = head.copy()
    digest.update(np.ascontiguousarray(row).data)
    return digest.hexdigest()


def common_root(files: Sequence[Path]) -> Path:
    """Return the deepest folder that holds all `files` (absolute paths)."""
    shared = files[0].parent
    while not all(file.is_relative_to(shared) for file in files):
        shared = shared.parent
    return shared
