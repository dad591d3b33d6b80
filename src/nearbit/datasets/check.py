"""Each file decoded once to find the damaged ones, and hashed; digests are kept, so that the second time is quick."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from nearbit.datasets.check_cache import CheckCache, Stamp
from nearbit.datasets.decoding.decode import open_image, open_regular
from nearbit.datasets.decoding.pixel_limit import pixel_limit
from nearbit.errors import ImageError
from nearbit.progress import Progress, silent
from nearbit.threads import n_threads

_BLOCK = 256


@dataclass(frozen=True)
class Checked:
    """A file that was decoded.

    Attributes:
        digest: the SHA-256 of its bytes; empty where it is no image.
        reason: why it is no image; empty where it is one.
        stamp: what it keeps as long as it is the same; None where it was changed too short a time before to tell.
    """

    digest: str = ""
    reason: str = ""
    stamp: Stamp | None = None


def check_files(
    paths: Sequence[Path], cache: Path, progress: Progress = silent, max_pixels: int | None = None
) -> list[Checked]:
    """Decode and hash every file, in several threads, in the order given.

    Good files are remembered in `cache` by absolute path and stamp, and not read again; damaged ones are tried anew
    each time.

    Args:
        paths: the files.
        cache: the folder for data that can be made again; nothing is remembered where it cannot be written.
        progress: called as ("reading images", done, total).
        max_pixels: as for `nearbit.datasets.open_image`.
    """
    limit = pixel_limit(max_pixels)
    found: list[Checked] = []
    with CheckCache(cache, limit) as known, ThreadPoolExecutor(n_threads()) as pool:
        try:
            for block in _blocks(paths):
                found.extend(_check_block(block, known, pool, limit))
                progress("reading images", len(found), len(paths))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def check_file(path: Path, max_pixels: int | None = None) -> Checked:
    """Decode one file completely and hash its bytes."""
    try:
        with open_regular(path) as handle:
            open_image(handle, max_pixels=max_pixels)
            handle.seek(0)
            return Checked(digest=hashlib.file_digest(handle, "sha256").hexdigest())
    except ImageError as error:
        return Checked(reason=str(error))
    except OSError as error:
        return Checked(reason=f"cannot be read: {error.strerror}")


def _check_block(paths: Sequence[Path], known: CheckCache, pool: ThreadPoolExecutor, limit: int) -> list[Checked]:
    absolute = [path.absolute() for path in paths]
    stamps = [_stamp(path) for path in absolute]
    digests = [known.get(path, stamp) if stamp else None for path, stamp in zip(absolute, stamps, strict=True)]
    fresh = [row for row, digest in enumerate(digests) if digest is None]
    checked = [Checked(digest or "", stamp=stamp) for digest, stamp in zip(digests, stamps, strict=True)]
    now = time.time_ns()
    results = pool.map(check_file, [absolute[row] for row in fresh], [limit] * len(fresh))
    for row, result in zip(fresh, results, strict=True):
        checked[row] = result
        stamp = stamps[row]
        if result.digest and stamp is not None and stamp.is_settled(now) and stamp == _stamp(absolute[row]):
            checked[row] = replace(result, stamp=stamp)
            known.put(absolute[row], stamp, result.digest)
    known.commit()
    return checked


def _stamp(path: Path) -> Stamp | None:
    try:
        return Stamp.of(path.stat())
    except (OSError, ValueError):
        return None


def _blocks(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(paths), _BLOCK):
        yield paths[start : start + _BLOCK]
