"""Official archives fetched: checked against their published MD5, and only the expected files taken out."""

import hashlib
import re
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from nearbit.errors import DataError
from nearbit.files.writing import whole_folder, write_whole
from nearbit.progress import Progress, silent

_CHUNK = 1 << 20
_MOST = 400_000_000
_NAMES_MOST = 65_536
_TIMEOUT = 60.0
_PICTURE_MOST = 8_000_000
_PLAIN = re.compile(r"[\w][\w.\-]{0,120}")
"""A name of a picture, or of its folder: it begins with a letter or a digit and leads nowhere else."""


@dataclass(frozen=True)
class Archive:
    """A `.tar.gz` to fetch.

    Attributes:
        url: where it is.
        md5: of the archive, as published.
        folder: the one inside that holds all.
        files: each expected file and the most bytes it has.
        pictures: a folder in `folder` of which every JPEG is taken too, one folder deep; "" for none.
        most: the most bytes of the archive.
    """

    url: str
    md5: str
    folder: str
    files: Mapping[str, int]
    pictures: str = ""
    most: int = _MOST


_CIFAR10_BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")

ARCHIVES = {
    "cifar10": Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
        "cifar-10-batches-bin",
        {**dict.fromkeys(_CIFAR10_BATCHES, 30_730_000), "batches.meta.txt": _NAMES_MOST},
    ),
    "cifar100": Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "03b5dce01913d631647c71ecec9e9cb8",
        "cifar-100-binary",
        {
            "train.bin": 153_700_000,
            "test.bin": 30_740_000,
            "coarse_label_names.txt": _NAMES_MOST,
            "fine_label_names.txt": _NAMES_MOST,
        },
    ),
    "cub200": Archive(
        "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
        "97eceeb196236b17998738112f37df78",
        "CUB_200_2011",
        dict.fromkeys(("images.txt", "image_class_labels.txt", "classes.txt", "train_test_split.txt"), 4_000_000),
        pictures="images",
        most=1_500_000_000,
    ),
}
"""The official archives; URL and MD5 are those that their page gives."""


def fetch(archive: Archive, target: Path, progress: Progress = silent) -> Path:
    """Download an archive and put its files into `target / archive.folder`, whole or not at all.

    Args:
        archive: what to fetch.
        target: the folder that keeps it; a folder that stands there already is left as it is.
        progress: called as ("downloading …", bytes done, bytes in all).

    Returns:
        The folder of the files.

    Raises:
        DataError: no connection, another MD5, or a file missing, too long or not a plain file.
    """
    place = target / archive.folder
    if place.is_dir():
        return place
    packed = target / archive.url.rsplit("/", 1)[-1]
    try:
        write_whole(packed, lambda aside: _download(archive, aside, progress))
        try:
            with whole_folder(place) as folder:
                _unpack(archive, packed, folder)
        finally:
            packed.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{error.filename or target}: cannot be written: {error.strerror or error}") from error
    return place


def _download(archive: Archive, file: Path, progress: Progress) -> None:
    import http.client
    import urllib.request

    try:
        with urllib.request.urlopen(archive.url, timeout=_TIMEOUT) as answer, open(file, "wb") as handle:
            length = answer.headers.get("Content-Length") or ""
            total = int(length) if length.isdecimal() else 0
            came = _copy(answer, handle, total, progress, archive)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"{archive.url}: cannot be fetched: {error}; fetch it by hand, unpack it, and name the folder"
        ) from error
    if came != archive.md5:
        raise DataError(f"{archive.url}: expected the MD5 {archive.md5}, came {came}; nothing was kept, try again")


def _copy(answer: BinaryIO, handle: BinaryIO, total: int, progress: Progress, archive: Archive) -> str:
    """Copy a download to a file and return its MD5."""
    digest, done = hashlib.md5(usedforsecurity=False), 0
    while chunk := answer.read(_CHUNK):
        done += len(chunk)
        if done > archive.most:
            raise DataError(f"{archive.url}: more than {archive.most:,} bytes; that is not the archive")
        digest.update(chunk)
        handle.write(chunk)
        progress(f"downloading {archive.url.rsplit('/', 1)[-1]}", done, max(total, done))
    return digest.hexdigest()


def _unpack(archive: Archive, packed: Path, folder: Path) -> None:
    """Copy each expected file out of the archive by its name; whatever else is in there is never looked at."""
    try:
        with tarfile.open(packed, "r:gz") as tar:
            members = {member.name.removeprefix("./"): member for member in tar.getmembers()}
            for name, most in archive.files.items():
                member = members.get(f"{archive.folder}/{name}")
                content = tar.extractfile(member) if member is not None and member.isreg() else None
                if member is None or content is None or member.size > most:
                    expected = f"{archive.folder}/{name} of at most {most:,} bytes"
                    raise DataError(f"{archive.url}: expected the file {expected} in it")
                _put(content, folder / name)
            if archive.pictures:
                _unpack_pictures(archive, tar, members, folder)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{archive.url}: the archive cannot be unpacked: {error}") from error


def _put(content: IO[bytes], file: Path) -> None:
    with content, open(file, "wb") as handle:
        shutil.copyfileobj(content, handle)


def _unpack_pictures(
    archive: Archive, tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], folder: Path
) -> None:
    """Copy the JPEGs one folder below `archive.pictures`; plain files with plain names only."""
    start = f"{archive.folder}/{archive.pictures}/"
    taken = 0
    for name, member in members.items():
        steps = name.removeprefix(start).split("/") if name.startswith(start) else []
        plain = len(steps) == 2 and all(_PLAIN.fullmatch(step) for step in steps)
        content = tar.extractfile(member) if plain and member.isreg() and member.size <= _PICTURE_MOST else None
        if content is None:
            continue
        (folder / archive.pictures / steps[0]).mkdir(parents=True, exist_ok=True)
        _put(content, folder / archive.pictures / steps[0] / steps[1])
        taken += 1
    if not taken:
        raise DataError(f"{archive.url}: expected JPEGs in {start} in it, there are none")
