"""Images decoded once and kept for all epochs of a run, in one file that every process of the run maps.

What is kept is the image as its reader gives it, before it is cut and resized, so that every epoch sees the pixels that
it would have decoded. An image that is read for several sides, to be augmented and to be encoded plainly, is decoded
for each of them, and lies in the file once where its pixels are the same. The file lies in the cache folder for as long
as the run goes on; that of a run that was killed is removed by the next one.
"""

import errno
import json
import shutil
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self, final

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
Rows = npt.NDArray[np.int64]
_NAME = "decoded.rgb"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)


class _TooMuch(Exception):
    """More is to be kept than may be; the text says how much that is."""


@final
class _Map:
    """A file of pixels, mapped when it is first read; each process maps it itself."""

    def __init__(self, path: Path, n_bytes: int) -> None:
        self.path, self.n_bytes = path, n_bytes

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "n_bytes": self.n_bytes}

    @cached_property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """All of it; raises `ValueError` where the file is shorter than it was written."""
        return np.memmap(self.path, np.uint8, "r", shape=(self.n_bytes,))

    def remove(self) -> None:
        """Remove the file; what is mapped is let go of before, as some systems want it."""
        vars(self).pop("pixels", None)
        remove(self.path)


class Kept(NamedTuple):
    """What is kept for one side: ascending rows, and start, height and width of each: int64 `(n,)` and `(n, 3)`."""

    rows: Rows
    places: Rows


@final
class DecodedImages:
    """A source of images of which some rows lie decoded in a file; the others are read as ever.

    Attributes:
        source: where the images come from.
        path: the file: RGB pixels of one image after the other, uint8.
        n_bytes: its size.
    """

    def __init__(self, source: ImageSource, path: Path, n_bytes: int, sides: Mapping[int, Kept]) -> None:
        """Take what is kept for each side for which images were decoded; a read for another one goes to the source."""
        self.source, self.path, self.n_bytes = source, path, n_bytes
        self._sides, self._map = dict(sides), _Map(path, n_bytes)

    def __len__(self) -> int:
        return len(self.source)

    def to_json(self) -> str:
        """Return what another process of this machine needs to map the same file; `from_json` is the inverse."""
        sides = [[side, kept.rows.tolist(), kept.places.tolist()] for side, kept in self._sides.items()]
        return json.dumps({"path": str(self.path), "n_bytes": self.n_bytes, "sides": sides})

    @classmethod
    def from_json(cls, source: ImageSource, text: str) -> "DecodedImages":
        """Return the images that another process keeps, and will remove."""
        told = parse_json(text, "what the main process keeps decoded", InputError)
        sides = {side: _as_kept(rows, places) for side, rows, places in told["sides"]}
        return cls(source, Path(told["path"]), told["n_bytes"], sides)

    def removed_at_last(self) -> Self:
        """Let the file be removed when this object is no longer used."""
        weakref.finalize(self, self._map.remove)
        return self

    def read(self, row: int, at_least: int | None = None) -> Image.Image:
        """Return one image in mode "RGB", upright: the kept one where it is there, else that of the source."""
        kept = self._sides.get(at_least or 0)
        if kept is None:
            return self.source.read(row, at_least)
        place = int(np.searchsorted(kept.rows, row))
        if place == len(kept.rows) or kept.rows[place] != row:
            return self.source.read(row, at_least)
        start, height, width = kept.places[place].tolist()
        try:
            pixels = self._map.pixels[start : start + 3 * height * width]
        except (OSError, ValueError):  # the cache was cleared, the file cut short, or it lies on another machine
            return self.source.read(row, at_least)
        return Image.fromarray(np.asarray(pixels).reshape(height, width, 3))


def _as_kept(rows: list[int], places: list[Any]) -> Kept:
    return Kept(np.array(rows, np.int64), np.array(places, np.int64).reshape(-1, 3))


@final
class DecodedParts:
    """The images of a run, those of each part decoded once as far as they may be kept.

    Args:
        source: where the images come from; pixels that lie in memory already stay where they are.
        cache: the folder in which files of them are made, or None to keep nothing. A file is removed with the source
            that has it.
        megabytes: how much may be kept in all (a million bytes each). None keeps up to 2,000, and half of what is free
            on the disk, and does without, with a warning, where that is too little or a file cannot be written.
        processes: those that train; on one machine they share the file of the main process.
    """

    def __init__(
        self, source: ImageSource, cache: Path | None, megabytes: int | None, processes: Processes = ALONE
    ) -> None:
        self._source, self._megabytes, self._processes = source, megabytes, processes
        self._folder = None if cache is None else _folder_in(cache)
        self._kept: dict[tuple[tuple[int, bytes], ...], ImageSource] = {}

    def source_of(self, wanted: Mapping[int, Rows], progress: Progress = silent) -> ImageSource:
        """Return a source that has the decoded images of some rows.

        Args:
            wanted: for each side for which images are decoded, as in `ImageSource.read`, the rows that are read for it
                again and again.
            progress: called with ("Decoding, about N MB are kept", images done, images in all).

        Raises:
            InputError: megabytes were asked for, and the images take more, or the file cannot be written.
        """
        wanted = {side: np.unique(rows) for side, rows in wanted.items() if len(rows)}
        if self._folder is None or isinstance(self._source, ArrayImages) or self._megabytes == 0 or not wanted:
            return self._source
        key = tuple((side, rows.tobytes()) for side, rows in wanted.items())
        if key not in self._kept:
            made = self._made(wanted, progress) if self._processes.is_main else None
            told = self._processes.broadcast_bytes(None if made is None else made.to_json().encode())
            if told is not None and made is None:
                made = DecodedImages.from_json(self._source, told.decode())
            self._kept[key] = self._source if made is None else made
        return self._kept[key]

    def _made(self, wanted: Mapping[int, Rows], progress: Progress) -> DecodedImages | None:
        """Return the decoded rows; None where there is no room and none was asked for."""
        assert self._folder is not None  # noqa: S101 - `source_of` has looked
        asked, images = self._megabytes is not None, _Images(self._source, wanted)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_orphans(self._folder)
            most = self._room()
            stage = f"Decoding, about {_checked_size(images, most) / MEGABYTE:,.0f} MB are kept"
            return _kept(images, beside(self._folder / _NAME), most, partial(progress, stage))
        except _TooMuch as error:
            if not asked:
                _warn(
                    f"they take {error}, and {most / MEGABYTE:,.0f} may be kept unasked; --keep-decoded MB allows more"
                )
                return None
            raise InputError(
                f"the decoded images take {error}, and keep_decoded (--keep-decoded) allows {self._megabytes:,}: allow "
                "more, or 0 to decode them in each epoch"
            ) from error
        except OSError as error:
            if not asked and error.errno in _NO_ROOM:
                _warn(
                    f"they cannot be kept in {self._folder}: {error.strerror}; make room, or name another cache folder "
                    "(--cache, NEARBIT_CACHE)"
                )
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


def _warn(why: str) -> None:
    """Say that images are not kept."""
    warnings.warn(f"images are decoded in each epoch, not once: {why} (--keep-decoded 0 says no more)", stacklevel=2)


class _Decoded(NamedTuple):
    """The pixels of an image: its bytes, and its height and width."""

    content: bytes
    size: tuple[int, int]


@final
class _Images:
    """The images that are to be kept: `rows`, ascending, each for some sides."""

    def __init__(self, source: ImageSource, wanted: Mapping[int, Rows]) -> None:
        self.source, self.wanted = source, wanted
        self.rows: Rows = np.unique(np.concatenate(list(wanted.values())))

    def read(self, row: int) -> dict[int, _Decoded]:
        """Return an image for each side; none where it cannot be read, which is said when it is trained on."""
        sides = [side for side, rows in self.wanted.items() if rows[np.searchsorted(rows, row) % len(rows)] == row]
        try:
            read = {side: self.source.read(row, side) for side in sides}
        except ImageError:
            return {}
        return {side: _Decoded(image.tobytes(), (image.height, image.width)) for side, image in read.items()}

    def decoded(self, told: Callable[[int, int], None]) -> Iterator[tuple[int, dict[int, _Decoded]]]:
        """Yield each row and its image for each side, ahead of which threads decode."""
        n_threads_here = min(MOST_READERS, n_threads())
        ahead = 2 * n_threads_here
        with ThreadPoolExecutor(n_threads_here) as pool:
            for start in range(0, len(self.rows), ahead):
                part = self.rows[start : start + ahead].tolist()
                yield from zip(part, pool.map(self.read, part), strict=True)
                told(min(start + ahead, len(self.rows)), len(self.rows))


def _checked_size(images: _Images, most: int) -> int:
    """Return the bytes that all images take, guessed by a sample; raise `_TooMuch` where that is more than `most`."""
    shown = [images.read(row) for row in images.rows[:: max(1, len(images.rows) // SAMPLE)].tolist()]
    sizes = [sum(len(image.content) for image in set(read.values())) for read in shown if read]
    guessed = int(np.mean(sizes) * len(images.rows)) if sizes else 0
    if guessed > most:
        raise _TooMuch(f"about {guessed / MEGABYTE:,.0f} MB")
    return guessed


@final
class _Writer:
    """Writes images one after the other, what is the same for several sides once."""

    def __init__(self, handle: BinaryIO, most: int) -> None:
        self.handle, self.most, self.n_bytes = handle, most, 0
        self.places: dict[int, list[tuple[int, int, int, int]]] = {}

    def add(self, row: int, read: Mapping[int, _Decoded]) -> None:
        """Write an image, as it is read for each side."""
        written: list[tuple[_Decoded, int]] = []
        for side, image in read.items():
            start = next((at for other, at in written if other == image), None)
            if start is None:
                start = self._write(image.content)
                written.append((image, start))
            self.places.setdefault(side, []).append((row, start, *image.size))

    def _write(self, content: bytes) -> int:
        """Return where the content begins."""
        start = self.n_bytes
        self.n_bytes += len(content)
        if self.n_bytes > self.most:
            raise _TooMuch(f"more than {self.most / MEGABYTE:,.0f} MB")
        self.handle.write(content)
        return start

    def kept(self) -> dict[int, Kept]:
        """Return where each image lies."""
        return {side: _as_kept([one[0] for one in at], [one[1:] for one in at]) for side, at in self.places.items()}


def _kept(images: _Images, path: Path, most: int, told: Callable[[int, int], None]) -> DecodedImages:
    """Write the file."""
    try:
        with open(path, "xb") as handle:
            writer = _Writer(handle, most)
            for row, read in images.decoded(told):
                writer.add(row, read)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return DecodedImages(images.source, path, writer.n_bytes, writer.kept()).removed_at_last()


def remove_left(cache: Path) -> None:
    """Remove what commands that were killed left in a cache of decoded images."""
    if _folder_in(cache).is_dir():
        remove_orphans(_folder_in(cache))


def _folder_in(cache: Path) -> Path:
    return cache / "decoded"
