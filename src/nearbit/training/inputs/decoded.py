"""Images decoded once and kept for all epochs of a run, in one file that every process of the run maps.

What is kept is the image as its reader gives it, before it is cut and resized, so that every epoch sees the pixels that
it would have decoded. The file lies in the cache folder for as long as the run goes on; that of a run that was killed
is removed by the next one.
"""

import errno
import json
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
from PIL import Image

from nearbit.datasets import ArrayImages, ImageSource
from nearbit.encoding.pipeline import MOST_READERS
from nearbit.errors import ImageError, InputError
from nearbit.files.aside import beside, remove, remove_orphans
from nearbit.json_text import parse_json
from nearbit.progress import Progress, silent
from nearbit.threads import n_threads
from nearbit.training.distributed.processes import ALONE, Processes

MEGABYTE = 1_000_000
DEFAULT_MEGABYTES = 2000
"""What is kept at most where nothing was asked for."""
SAMPLE = 32
"""Images from whose size that of all is guessed."""
_NAME = "decoded.rgb"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)


class _TooMuch(Exception):
    """More is to be kept than may be; the text says how much that is."""


@final
class _Map:
    """A file of pixels, mapped when it is first read; each process maps it itself."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    @cached_property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """All of it."""
        return np.memmap(self.path, np.uint8, "r")

    def remove(self) -> None:
        """Remove the file; what is mapped is let go of before, as some systems want it."""
        vars(self).pop("pixels", None)
        remove(self.path)


@final
class DecodedImages:
    """A source of images of which some rows lie decoded in a file; the others are read as ever.

    Attributes:
        source: where the images come from.
        at_least: the side for which they were decoded; a read for another one goes to the source.
        path: the file: RGB pixels of one image after the other, uint8.
    """

    def __init__(
        self,
        source: ImageSource,
        at_least: int,
        path: Path,
        rows: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int64],
    ) -> None:
        """Take the kept rows, ascending, and the height and width of each: int64 `(n, 2)`."""
        self.source, self.at_least, self.path = source, at_least, path
        self._rows, self._sizes, self._map = rows, sizes, _Map(path)
        self._ends = np.cumsum(3 * sizes.prod(axis=1))

    def __len__(self) -> int:
        return len(self.source)

    @property
    def n_bytes(self) -> int:
        """How much is kept."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def to_json(self) -> str:
        """Return what another process of this machine needs to map the same file; `from_json` is the inverse."""
        rows, sizes = self._rows.tolist(), self._sizes.tolist()
        return json.dumps({"at_least": self.at_least, "path": str(self.path), "rows": rows, "sizes": sizes})

    @classmethod
    def from_json(cls, source: ImageSource, text: str) -> "DecodedImages":
        """Return the images that another process keeps, and will remove."""
        told = parse_json(text, "what the main process keeps decoded", InputError)
        rows, sizes = np.array(told["rows"], np.int64), np.array(told["sizes"], np.int64).reshape(-1, 2)
        return cls(source, told["at_least"], Path(told["path"]), rows, sizes)

    def removed_at_last(self) -> Self:
        """Let the file be removed when this object is no longer used."""
        weakref.finalize(self, self._map.remove)
        return self

    def read(self, row: int, at_least: int | None = None) -> Image.Image:
        """Return one image in mode "RGB", upright: the kept one where it is there, else that of the source."""
        place = int(np.searchsorted(self._rows, row))
        if at_least != self.at_least or place == len(self._rows) or self._rows[place] != row:
            return self.source.read(row, at_least)
        height, width = self._sizes[place].tolist()
        end = int(self._ends[place])
        try:
            pixels = self._map.pixels[end - 3 * height * width : end]
        except (OSError, ValueError):  # the cache was cleared, or lies on another machine
            return self.source.read(row, at_least)
        return Image.fromarray(np.asarray(pixels).reshape(height, width, 3))


@final
class DecodedParts:
    """The images of a run, those of each part decoded once as far as they may be kept.

    Args:
        source: where the images come from; pixels that lie in memory already stay where they are.
        cache: the folder in which files of them are made, or None to keep nothing. A file is removed with the source
            that has it.
        megabytes: how much may be kept in all (a million bytes each). None keeps up to 2,000, and half of what is free
            on the disk, and does without where that is too little or a file cannot be written.
        processes: those that train; on one machine they share the file of the main process.
    """

    def __init__(
        self, source: ImageSource, cache: Path | None, megabytes: int | None, processes: Processes = ALONE
    ) -> None:
        self._source, self._megabytes, self._processes = source, megabytes, processes
        self._folder = None if cache is None else cache / "decoded"
        self._kept: dict[tuple[bytes, int], ImageSource] = {}

    def source_of(self, rows: npt.NDArray[np.int64], at_least: int, progress: Progress = silent) -> ImageSource:
        """Return a source that has the decoded images of some rows.

        Args:
            rows: those that are read again and again.
            at_least: the side for which they are decoded, as in `ImageSource.read`.
            progress: called with ("Decoding", images done, images in all).

        Raises:
            InputError: megabytes were asked for, and the images take more, or the file cannot be written.
        """
        if self._folder is None or isinstance(self._source, ArrayImages) or self._megabytes == 0 or not len(rows):
            return self._source
        key = (rows.tobytes(), at_least)
        if key not in self._kept:
            made = self._made(np.unique(rows), at_least, progress) if self._processes.is_main else None
            told = self._processes.broadcast_bytes(None if made is None else made.to_json().encode())
            if told is not None and made is None:
                made = DecodedImages.from_json(self._source, told.decode())
            self._kept[key] = self._source if made is None else made
        return self._kept[key]

    def _made(self, rows: npt.NDArray[np.int64], at_least: int, progress: Progress) -> DecodedImages | None:
        """Return the decoded rows; None where there is no room and none was asked for."""
        assert self._folder is not None  # noqa: S101 - `source_of` has looked
        asked = self._megabytes is not None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_orphans(self._folder)
            most = self._room()
            _check_size(self._source, rows, at_least, most)
            return _kept(self._source, rows, at_least, beside(self._folder / _NAME), most, progress)
        except _TooMuch as error:
            if not asked:
                return None
            raise InputError(
                f"the decoded images take {error}, and keep_decoded (--keep-decoded) allows {self._megabytes:,}: allow "
                "more, or 0 to decode them in each epoch"
            ) from error
        except OSError as error:
            if not asked and error.errno in _NO_ROOM:
                return None
            raise InputError(
                f"decoded images cannot be kept in {self._folder}: {error.strerror or error}; make room, name another "
                "cache folder (--cache, NEARBIT_CACHE), or decode them in each epoch (--keep-decoded 0)"
            ) from error

    def _room(self) -> int:
        """Return how many bytes may be kept besides those that are."""
        kept = sum(one.n_bytes for one in self._kept.values() if isinstance(one, DecodedImages))
        if self._megabytes is not None:
            return self._megabytes * MEGABYTE - kept
        return min(DEFAULT_MEGABYTES * MEGABYTE - kept, shutil.disk_usage(self._folder or ".").free // 2)

    def forget(self) -> None:
        """Keep nothing more: files go with the sources that are still used."""
        self._kept.clear()


def _check_size(source: ImageSource, rows: npt.NDArray[np.int64], at_least: int, most: int) -> None:
    """Raise `_TooMuch` where a sample says that the images are too large, before all of them are decoded."""
    shown = rows[:: max(1, len(rows) // SAMPLE)]
    sizes = [len(image) for image in (_decoded(source, row, at_least) for row in shown.tolist()) if image is not None]
    guessed = int(np.mean(sizes) * len(rows)) if sizes else 0
    if guessed > most:
        raise _TooMuch(f"about {guessed / MEGABYTE:,.0f} MB")


def _decoded(source: ImageSource, row: int, at_least: int) -> "_Decoded | None":
    """Return an image; None where it cannot be read, which is said when it is trained on."""
    try:
        return _Decoded(source.read(row, at_least))
    except ImageError:
        return None


class _Decoded:
    """The pixels of an image: its bytes, and its height and width."""

    def __init__(self, image: Image.Image) -> None:
        self.content, self.size = image.tobytes(), (image.height, image.width)

    def __len__(self) -> int:
        return len(self.content)


def _kept(
    source: ImageSource, rows: npt.NDArray[np.int64], at_least: int, path: Path, most: int, progress: Progress
) -> DecodedImages:
    """Write the file, ahead of which threads decode."""
    found, sizes, size = [], [], 0
    try:
        with open(path, "xb") as handle, ThreadPoolExecutor(min(MOST_READERS, n_threads())) as pool:
            ahead = 2 * min(MOST_READERS, n_threads())
            for start in range(0, len(rows), ahead):
                part = rows[start : start + ahead].tolist()
                for row, image in zip(part, pool.map(lambda row: _decoded(source, row, at_least), part), strict=True):
                    if image is None:
                        continue
                    size += len(image)
                    if size > most:
                        raise _TooMuch(f"more than {most / MEGABYTE:,.0f} MB")
                    handle.write(image.content)
                    found.append(row)
                    sizes.append(image.size)
                progress("Decoding", min(start + ahead, len(rows)), len(rows))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    places = np.array(sizes, np.int64).reshape(-1, 2)
    return DecodedImages(source, at_least, path, np.array(found, np.int64), places).removed_at_last()
