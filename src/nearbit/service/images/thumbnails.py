"""Small pictures of items: made when they are first seen, and kept in a file of bounded size beside the index."""

import hashlib
import io
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from PIL import Image

from nearbit.index import Item
from nearbit.service.images.originals import Originals
from nearbit.service.images.thumbnail_file import TimeLimit, connect, open_thumbnails
from nearbit.service.images.thumbnail_kinds import image_type
from nearbit.service.monitoring import log

SIDE = 256
"""Longest side of a thumbnail, in pixels."""

MOST_BYTES = 15_000
"""A thumbnail is made smaller, by quality, until it has no more bytes; the last quality is taken as it is."""
QUALITIES = (82, 70, 55, 40, 25)

TINY = 64
"""Pictures up to this side are enlarged by a whole factor, pixel by pixel, so that each stays sharp."""

IN_MEMORY_BYTES = 32_000_000
"""Bound where no file can be written."""

TOUCHED_SECONDS = 3600.0
"""How exactly it is known when a thumbnail was last used."""

KEPT_SHARE = 0.9
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Thumbnail:
    """Bytes of a picture, their content type, and the name of their content."""

    data: bytes
    content_type: str
    key: str


@final
class Thumbnails:
    """Thumbnails of one index. Thread-safe; several processes may share the file."""

    def __init__(self, index: Path, pictures: Originals, limit: int) -> None:
        """Open or make the file; where it cannot be written, a small one in memory takes its place.

        A file that we did not make is made anew, and what it holds is shown only where it is a picture such as we make.
        """
        self._pictures = pictures
        self._lock, self._clock = threading.Lock(), TimeLimit()
        path = index.with_name(f"{index.name}-thumbs")
        try:
            self._connection, self._limit = open_thumbnails(path, limit, self._clock), limit
        except (sqlite3.Error, OSError) as error:
            log("thumbnails_in_memory", error=str(error))
            self._connection, self._limit = connect(":memory:", self._clock), min(limit, IN_MEMORY_BYTES)

    def get(self, item: Item) -> Thumbnail:
        """Return the thumbnail of an item.

        Raises:
            ImageError: there is no picture of it, or none that can be read.
        """
        key = self.key_of(item)
        found = self._find(key)
        if found is None:
            found = small_picture(self._pictures.image_of(item, SIDE))
            self._keep(key, *found)
        return Thumbnail(*found, key)

    def key_of(self, item: Item) -> str:
        """Return the name of the content of an item's picture: of its digest, else of its file as it is now."""
        if item.digest:
            return hashlib.sha256(f"{FORMAT_VERSION}:{item.digest}".encode()).hexdigest()[:32]
        file = self._pictures.file_of(item)
        try:
            facts = None if file is None else file.stat()
        except OSError:  # it has just gone
            facts = None
        about = f"{item.id}"
        if facts is not None:
            about = f"{item.path}:{facts.st_mtime_ns}:{facts.st_ctime_ns}:{facts.st_size}"
        return hashlib.sha256(f"{FORMAT_VERSION}:file:{about}".encode()).hexdigest()[:32]

    def forget(self, item: Item) -> None:
        """Remove the thumbnail of an item."""
        with self._trying():
            self._connection.execute("DELETE FROM thumbs WHERE key = ?", (self.key_of(item),))

    def count(self) -> tuple[int, int]:
        """Return how many thumbnails are kept, and their bytes; 0 where the file cannot be read."""
        row = (0, 0)
        with self._trying():
            row = self._connection.execute("SELECT count(*), coalesce(sum(length(data)), 0) FROM thumbs").fetchone()
        return int(row[0]), int(row[1])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _trying(self) -> Iterator[None]:
        """Take a turn at the file; where it fails (a full disk, damage), the log says so and pictures go on without."""
        with self._lock:
            self._clock.begin()
            try:
                yield
            except sqlite3.Error as error:
                log("thumbnails_not_kept", error=str(error))

    def _find(self, key: str) -> tuple[bytes, str] | None:
        """Return a kept thumbnail with the type that its bytes are; one that is no such picture is forgotten."""
        row, kind = None, None
        with self._trying():
            row = self._connection.execute("SELECT data, used FROM thumbs WHERE key = ?", (key,)).fetchone()
            kind = None if row is None else image_type(row[0])
            if row is not None and kind is None:
                self._connection.execute("DELETE FROM thumbs WHERE key = ?", (key,))
            elif row is not None and not _is_recent(row[1]):
                self._connection.execute("UPDATE thumbs SET used = ? WHERE key = ?", (time.time(), key))
        return None if row is None or kind is None else (row[0], kind)

    def _keep(self, key: str, data: bytes, content_type: str) -> None:
        """Keep a thumbnail, and let go of those that were not used for longest where there are too many bytes."""
        with self._trying():
            row = (key, data, content_type, time.time())
            self._connection.execute("INSERT OR REPLACE INTO thumbs VALUES (?, ?, ?, ?)", row)
            total = self._connection.execute("SELECT bytes FROM total").fetchone()[0]
            if total > self._limit:
                self._connection.execute(
                    "DELETE FROM thumbs WHERE key IN (SELECT key FROM (SELECT key, sum(length(data)) OVER "
                    "(ORDER BY used, key) AS upto FROM thumbs) WHERE upto <= ?)",
                    (total - int(KEPT_SHARE * self._limit),),
                )


def _is_recent(used: object) -> bool:
    """Return whether a time is known that lies within the last `TOUCHED_SECONDS`."""
    return isinstance(used, float) and 0 <= time.time() - used <= TOUCHED_SECONDS


def small_picture(image: Image.Image) -> tuple[bytes, str]:
    """Return a picture as bytes of a thumbnail with their content type: pixels alone, no EXIF, no place, no comment.

    Args:
        image: in RGB, upright.
    """
    longest = max(image.size)
    if longest <= TINY:
        factor = max(1, 2 * TINY // longest)
        size = (image.width * factor, image.height * factor)
        return _saved(image.resize(size, Image.Resampling.NEAREST), "PNG"), "image/png"
    small = image.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    data = b""
    for quality in QUALITIES:
        data = _saved(small, "JPEG", quality=quality, optimize=True)
        if len(data) <= MOST_BYTES:
            break
    return data, "image/jpeg"


def _saved(image: Image.Image, form: str, **options: int) -> bytes:
    bare = Image.frombytes(image.mode, image.size, image.tobytes())
    out = io.BytesIO()
    bare.save(out, form, **options)
    return out.getvalue()
