"""Expected files taken out of a tar or zip archive by their names; whatever else is in there is never looked at."""

import errno
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from nearbit.datasets.download.archives import Archive
from nearbit.errors import DataError
from nearbit.progress import Progress

_PICTURE_MOST = 8_000_000
_PLAIN = re.compile(r"[\w][\w.\-]{0,120}")
"""A name of a picture, or of its folder: it begins with a letter or a digit and leads nowhere else."""
_ENCRYPTED = 1
_GZIP = b"\x1f\x8b"
_DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError, RuntimeError, NotImplementedError, ValueError,
)  # fmt: skip
"""What the libraries raise on an archive that is none, is cut short or packed in a way that they do not know."""


@dataclass(frozen=True)
class _Member:
    """A plain file in an archive: its length, and what opens it."""

    size: int
    opened: Callable[[], IO[bytes] | None]


def unpack(archive: Archive, packed: Path, folder: Path, progress: Progress) -> None:
    """Copy the expected files and pictures of an archive into a folder.

    Raises:
        DataError: the archive is damaged, or a file is missing, too long or not a plain file.
    """
    try:
        with _members(packed) as members:
            chosen = {**_files(archive, members), **_pictures(archive, members)}
            for done, (name, member) in enumerate(chosen.items(), start=1):
                _put(member, folder / name)
                progress(f"unpacking {archive.name}", done, len(chosen))
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # the disk's, not the archive's
            raise
        raise DataError(f"{archive.url}: the archive cannot be unpacked: {error}") from error


@contextmanager
def _members(packed: Path) -> Iterator[dict[str, _Member]]:
    """Give the plain files of an archive by their names, in its order."""
    if packed.suffix == ".zip":
        with zipfile.ZipFile(packed) as opened:
            yield {
                info.filename.removeprefix("./"): _Member(info.file_size, partial(opened.open, info))
                for info in opened.infolist()
                if _is_plain(info)
            }
        return
    with open(packed, "rb") as handle:
        is_gzip = handle.read(2) == _GZIP
    with tarfile.open(packed, "r:gz" if is_gzip else "r:") as tar:
        yield {
            member.name.removeprefix("./"): _Member(member.size, partial(tar.extractfile, member))
            for member in tar.getmembers()
            if member.isreg()
        }


def _is_plain(info: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return not info.is_dir() and not info.flag_bits & _ENCRYPTED and kind in (0, stat.S_IFREG)


def _files(archive: Archive, members: Mapping[str, _Member]) -> dict[str, _Member]:
    chosen = {}
    for name, most in archive.files.items():
        inside = f"{archive.inside}/{name}".lstrip("/")
        member = members.get(inside)
        if member is None or member.size > most:
            raise DataError(f"{archive.url}: expected the file {inside} of at most {most:,} bytes in it")
        chosen[name] = member
    return chosen


def _pictures(archive: Archive, members: Mapping[str, _Member]) -> dict[str, _Member]:
    """Return the JPEGs that `archive.pictures` asks for, by their names below `archive.inside`; plain names only."""
    if not archive.pictures:
        return {}
    start = f"{archive.inside}/".lstrip("/")
    wanted = archive.pictures.split("/")
    chosen = {
        name.removeprefix(start): member
        for name, member in members.items()
        if name.startswith(start) and _fits(name.removeprefix(start), wanted) and member.size <= _PICTURE_MOST
    }
    if not chosen:
        raise DataError(f"{archive.url}: expected JPEGs {start}{archive.pictures} in it, there are none")
    return chosen


def _fits(name: str, wanted: list[str]) -> bool:
    steps = name.split("/")
    return (
        len(steps) == len(wanted)
        and name.lower().endswith((".jpg", ".jpeg"))
        and all(
            bool(_PLAIN.fullmatch(step)) if want == "*" else step == want
            for step, want in zip(steps, wanted, strict=True)
        )
    )


def _put(member: _Member, file: Path) -> None:
    content = member.opened()
    if content is None:
        raise DataError(f"{file.name}: expected a plain file in the archive")
    file.parent.mkdir(parents=True, exist_ok=True)
    with content, open(file, "wb") as handle:
        shutil.copyfileobj(content, handle)
