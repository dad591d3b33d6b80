"""One file from its address to the disk: whole and checked, or kept as a part that the next try goes on with."""

import contextlib
import errno
import hashlib
import os
from pathlib import Path
from typing import Any

from nearbit.datasets.download.archives import Archive
from nearbit.errors import DataError
from nearbit.files.aside import beside, left_behind
from nearbit.progress import Progress

_CHUNK = 1 << 20
_TIMEOUT = 60.0
_NOT_SATISFIABLE = 416
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def read_ahead(file: Path) -> int:
    """Return how many bytes of a download are here already, of the part that would be taken."""
    return next((n_bytes for n_bytes, _ in _leftovers(file)), 0)


def _leftovers(file: Path) -> list[tuple[int, Path]]:
    """Return what there is of a file already, the longest first: itself, what a failed try or a killed one left."""
    found = []
    for one in (file, _part(file), *left_behind(file)):
        with contextlib.suppress(FileNotFoundError):  # its writer was faster
            found.append((one.stat().st_size, one))
    return sorted(found, key=lambda leftover: -leftover[0])


def download(archive: Archive, file: Path, progress: Progress) -> None:
    """Fetch an archive to `file`, whole and with the right checksum.

    What came before an interruption is kept beside it, and the next call goes on from there. The caller holds the lock
    of the file.

    Raises:
        DataError: no connection, an end before all bytes came, or other bytes than were published.
        OSError: the file cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = beside(file)
    for _, part in _leftovers(file)[:1]:
        part.rename(aside)
    try:
        came = _completed(archive, aside, progress)
        if came != archive.checksum:
            aside.unlink()
            raise DataError(
                f"{archive.url}: expected {_shown(archive.checksum)}, came {came.partition(':')[2]}; nothing was kept, "
                "try again"
            )
        aside.replace(file)
        for part in (_part(file), *left_behind(file)):
            part.unlink(missing_ok=True)
    finally:
        if aside.exists():
            aside.replace(_part(file))


def _part(file: Path) -> Path:
    return file.with_name(f"{file.name}.part")


def _shown(checksum: str) -> str:
    kind, _, digest = checksum.partition(":")
    return f"the {'MD5' if kind == 'md5' else 'SHA-256'} {digest}"


def _completed(archive: Archive, file: Path, progress: Progress) -> str:
    """Fetch what a file lacks and return its checksum."""
    import http.client
    import urllib.error

    kind = archive.checksum.partition(":")[0]
    digest = hashlib.new(kind, usedforsecurity=False)
    have = _hashed(file, digest)
    try:
        if have < archive.n_bytes:
            have, digest = _append(archive, file, have, digest, progress)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise
        if isinstance(error, urllib.error.HTTPError) and error.code == _NOT_SATISFIABLE:
            file.unlink()  # the server has less than is here: it is another file
        raise DataError(
            f"{archive.url}: cannot be fetched: {error}; {_again(file)}fetch it by hand, unpack it, and name the folder"
        ) from error
    if have < archive.n_bytes:
        raise DataError(
            f"{archive.url}: the connection ended after {have:,} of {archive.n_bytes:,} bytes; they are kept: run it "
            "again to go on from there"
        )
    return f"{kind}:{digest.hexdigest()}"


def _again(file: Path) -> str:
    have = file.stat().st_size if file.exists() else 0
    return f"run it again to go on after the {have:,} bytes that came, or " if have else ""


def _hashed(file: Path, digest: Any) -> int:
    """Take what is here of a file into a digest and return how many bytes that are."""
    if not file.exists():
        return 0
    with open(file, "rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
        return handle.tell()


def _append(archive: Archive, file: Path, have: int, digest: Any, progress: Progress) -> tuple[int, Any]:
    """Fetch from byte `have` on; return how many bytes there are then, and their digest."""
    import urllib.request

    request = urllib.request.Request(archive.url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        goes_on = (answer.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
        if have and not goes_on:  # an answer with all of it
            have, digest = 0, hashlib.new(digest.name, usedforsecurity=False)
        with open(file, "ab" if have else "wb") as handle:
            while chunk := answer.read(_CHUNK):
                have += len(chunk)
                if have > archive.n_bytes:
                    file.unlink()
                    raise DataError(f"{archive.url}: more than {archive.n_bytes:,} bytes; that is not the archive")
                digest.update(chunk)
                handle.write(chunk)
                progress(f"downloading {archive.name}", have, archive.n_bytes)
            handle.flush()
            os.fsync(handle.fileno())
    return have, digest
