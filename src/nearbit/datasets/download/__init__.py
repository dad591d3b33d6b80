"""Official archives fetched: checked against published checksums, and only the expected files taken out."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from nearbit.datasets.download.archives import NOT_FETCHED, SETS, Archive, ArchiveSet
from nearbit.datasets.download.transfer import download, read_ahead
from nearbit.errors import DataError
from nearbit.files.locking import locked
from nearbit.files.writing import whole_folder
from nearbit.progress import Progress, silent
from nearbit.reading import ReadingOptions

__all__ = ["NOT_FETCHED", "SETS", "Archive", "ArchiveSet", "fetch", "from_cache", "place_of", "size_in_words"]


def from_cache(name: str, options: ReadingOptions) -> Path:
    """Return the folder of a data set in the cache, fetched first where `options.download` allows it.

    Raises:
        DataError: it is not there whole, or cannot be fetched.
    """
    known, kept = SETS[name], options.kept / "datasets"
    missing = [archive for archive in known.archives if not _stands(archive, kept)]
    if missing and not options.download:
        n_bytes = sum(archive.n_bytes for archive in missing)
        terms = f"; {known.terms}" if known.terms else ""
        lacks = "" if len(missing) == len(known.archives) else f" (missing: {', '.join(one.name for one in missing)})"
        raise DataError(
            f"{name} is not in the cache{lacks}: allow the download (--download, download=True; "
            f"{size_in_words(n_bytes)}{terms}), or give the path of the unpacked archive (a folder {known.folder})"
        )
    _check_room(name, missing, kept)
    for archive in missing:
        fetch(archive, kept, options.progress)
    return kept / known.folder


def fetch(archive: Archive, target: Path, progress: Progress = silent) -> Path:
    """Download an archive and put its files into `target / archive.folder`, whole or not at all.

    A download that was cut short, or killed, goes on where it ended. Of several processes one fetches, and the others
    wait for it.

    Args:
        archive: what to fetch.
        target: the folder that keeps it; what stands there already is left as it is.
        progress: called as ("downloading …", bytes done, bytes in all), ("unpacking …", files done, files) and
            ("writing … to the disk", files done, files); ("waiting for …", 0, 1) where another process fetches it.

    Returns:
        The folder of the files, or the plain file.

    Raises:
        DataError: no connection, another checksum, or a file missing, too long or not a plain file.
    """
    place = place_of(archive, target)
    if _stands(archive, target):
        return place
    packed = _packed(archive, target)
    try:
        packed.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for the process that fetches {archive.name}"
        lock = packed.with_name(f".{packed.name}.lock")
        with locked(lock, lambda begins: progress(waiting, 0 if begins else 1, 1)):
            if not place.exists():  # else another process has fetched it meanwhile
                _fetch(archive, packed, place, progress)
    except OSError as error:
        raise DataError(f"{error.filename or target}: cannot be written: {error.strerror or error}") from error
    return place


def _stands(archive: Archive, target: Path) -> bool:
    """Say whether the files of an archive are there; the archive, which a kill may have left beside them, then goes."""
    there = place_of(archive, target).exists()
    if there and not archive.is_plain:
        with suppress(OSError):
            _packed(archive, target).unlink(missing_ok=True)
    return there


def _fetch(archive: Archive, packed: Path, place: Path, progress: Progress) -> None:
    from nearbit.datasets.download.unpack import unpack

    download(archive, packed, progress)
    if archive.is_plain:
        return
    try:
        synced = partial(progress, f"writing {archive.name} to the disk")
        with whole_folder(place, synced) as folder:
            unpack(archive, packed, folder, progress)
    except DataError:  # what is in it is wrong; after any other end it is whole, and the next try takes it
        packed.unlink(missing_ok=True)
        raise
    packed.unlink(missing_ok=True)


def _packed(archive: Archive, target: Path) -> Path:
    return place_of(archive, target) if archive.is_plain else target / archive.name


def place_of(archive: Archive, target: Path) -> Path:
    """Return where the files of an archive go: a folder, or the plain file."""
    folder = target / archive.folder
    return folder / archive.name if archive.is_plain else folder


def size_in_words(n_bytes: int) -> str:
    """Return a number of bytes as people say it: "20.4 GB"."""
    for unit, name in ((10**9, "GB"), (10**6, "MB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.1f} {name}"
    return f"{n_bytes:,} bytes"


def _check_room(name: str, missing: Sequence[Archive], kept: Path) -> None:
    """Refuse a download for which the disk has no room; each archive is removed once it is unpacked."""
    needed = done = 0
    for archive in missing:
        here = read_ahead(_packed(archive, kept))
        unpacked = 0 if archive.is_plain else archive.n_unpacked
        needed = max(needed, done + archive.n_bytes - here + unpacked)
        done += unpacked or archive.n_bytes
    there = next(folder for folder in (kept, *kept.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise DataError(
            f"{name} needs {size_in_words(needed)} on the disk while it is fetched and unpacked, but {kept} has "
            f"{size_in_words(free)} free: make room, or name a cache folder elsewhere (--cache, NEARBIT_CACHE)"
        )
