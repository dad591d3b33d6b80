"""A whole index at an address and back: what arrived is read again and compared, and its manifest comes last.

A snapshot is a folder with `index-DIGEST.sqlite`, the file of the index at one moment, and `snapshot.json`, which names
it with its length and SHA-256. While a new one is uploaded, the old one stays whole. Whatever else lies there stays.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nearbit.codes import check_n_bits
from nearbit.errors import DataError, IndexFileError, InputError
from nearbit.files.addresses import FilePlace, reaching
from nearbit.files.aside import beside, remove
from nearbit.files.locking import locked
from nearbit.files.writing import behind_links, remove_orphans, sha256_of, sync_folder
from nearbit.index.homes.contract import Home
from nearbit.index.homes.embedded import of_a_file
from nearbit.index.opening import file_of, open_index
from nearbit.index.replacing import copy_of
from nearbit.json_text import parse_json

MANIFEST, LOCK = "snapshot.json", "snapshot.lock"
FORMAT, VERSION = "nearbit-snapshot", 1
LARGEST_MANIFEST = 2**16
_OWN_FILE = re.compile(r"index-[0-9a-f]{16}\.sqlite")
FIELDS = {"file": str, "bytes": int, "sha256": str, "items": int, "n_bits": int, "model_id": str | None}


def save_snapshot(index: Home, address: str | Path) -> dict[str, Any]:
    """Put a copy of an index, as it is now, into a folder at an address; return its manifest.

    The copy is verified before it is sent, and read back after. Others may search and write meanwhile.

    Args:
        index: an open index that is a file.
        address: of the folder, such as `s3://bucket/birds`, or a path; a snapshot that is there is replaced.

    Raises:
        InputError: the index lies in a server.
        IndexFileError: the index is damaged.
        DataError: the place cannot be reached or written, or what arrived is not what was sent.
    """
    index, place = of_a_file(index, "snapshots"), FilePlace.of(address).checked()
    with _locked(place), tempfile.TemporaryDirectory(prefix="nearbit-") as folder:
        copy = Path(folder) / "copy.index"
        copy_of(index, copy)
        with open_index(copy, read_only=True, cache=False) as taken:
            _refuse_damage(taken, str(index.path), "no snapshot was made")
            n_items = len(taken)
        digest = sha256_of(copy)
        about = {"bytes": copy.stat().st_size, "sha256": digest, "items": n_items, "n_bits": index.n_bits}
        about |= {
            "format": FORMAT,
            "version": VERSION,
            "model_id": index.model_id,
            "file": f"index-{digest[:16]}.sqlite",
        }
        _put(place, copy, about, index.path)
    return about


@contextmanager
def _locked(place: FilePlace) -> Iterator[None]:
    """Let one snapshot at a time be put into a folder of this machine; at addresses there are no locks."""
    with ExitStack() as stack:
        if place.local is not None:
            with reaching(place.text):
                behind_links(place.local).mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(place.local / LOCK))
        yield


def _put(place: FilePlace, copy: Path, about: dict[str, Any], own: Path | None) -> None:
    """Send a copy, name it in the manifest, and remove the file that was named before, unless it is the index itself.

    Where nothing is locked another snapshot may be made meanwhile: what the manifest names then is not removed, and
    what that one removed before it was named again is sent again.
    """
    former, target = _former(place), place.child(about["file"])
    _send(copy, target, about["sha256"])
    place.child(MANIFEST).write((json.dumps(about, indent=2, sort_keys=True) + "\n").encode())
    if target.found() is None:
        _send(copy, target, about["sha256"])
    if former is None or former in (target, _former(place)):
        return
    if former.found() is not None and not _is(former, own):
        former.remove()


def _send(copy: Path, target: FilePlace, digest: str) -> None:
    if _digest_of(target) != digest:
        target.fill(lambda aside: _copied(copy, aside), over_database=True)
    if _digest_of(target) != digest:
        raise DataError(f"{target}: what arrived is not what was sent; there is no new snapshot: try again")


def _former(place: FilePlace) -> FilePlace | None:
    """Return the file of the snapshot that is there, where it has the name of such a file."""
    try:
        name = _manifest(place)["file"]
    except DataError:
        return None
    return place.child(name) if _OWN_FILE.fullmatch(name) else None


def _is(place: FilePlace, path: Path | None) -> bool:
    return path is not None and path.exists() and place.local is not None and place.local.samefile(path)


def restore_snapshot(path: str | Path, address: str | Path) -> dict[str, Any]:
    """Make an index of a snapshot; return its manifest. Nothing stands at `path` before all of it is verified.

    Args:
        path: the index to make, where nothing may stand.
        address: of the folder of the snapshot.

    Raises:
        IndexFileError: something stands at `path`, or what came is no index, or not the one of the manifest.
        DataError: there is no whole snapshot, or it cannot be reached, or is damaged.
    """
    file, place = file_of(path), FilePlace.of(address)
    if file.exists() or file.is_symlink():
        raise IndexFileError(
            f"{file} exists already: restore to another name, and then nearbit index replace {file} NAME"
        )
    about = _manifest(place)
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = beside(file)
    try:
        aside.mkdir()
        copy = aside / "copy.index"
        place.child(about["file"]).fetch(copy)
        if copy.stat().st_size != about["bytes"] or sha256_of(copy) != about["sha256"]:
            raise DataError(
                f"{place.child(about['file'])} is damaged: it is not what {MANIFEST} says; nothing was restored"
            )
        _check(copy, about, place)
        if file.exists():
            raise IndexFileError(f"{file} was made by another process at the same time; nothing was restored")
        copy.rename(file)
        sync_folder(file.parent)
    finally:
        remove(aside)
        remove_orphans(file.parent, file.name)
    return about


def _check(copy: Path, about: dict[str, Any], place: FilePlace) -> None:
    with open_index(copy, read_only=True, cache=False) as index:
        _refuse_damage(index, str(place), "nothing was restored")
        found = {"items": len(index), "n_bits": index.n_bits, "model_id": index.model_id}
    if any(about[name] != value for name, value in found.items()):
        raise IndexFileError(
            f"{place}: {MANIFEST} speaks of another index than the file that it names; nothing restored"
        )


def _refuse_damage(index: Home, name: str, left: str) -> None:
    wrong = index.verify()
    if wrong:
        raise IndexFileError(f"{name} is damaged, and {left}: {'; '.join(wrong[:3])}")


def _manifest(place: FilePlace) -> dict[str, Any]:
    file = place.child(MANIFEST)
    if file.found() is None:
        raise DataError(
            f"there is no whole snapshot at {place}: expected a folder with a {MANIFEST}, which nearbit index snapshot "
            "writes last"
        )
    about = parse_json(file.read(LARGEST_MANIFEST), str(file), DataError)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise DataError(f"{file} describes no snapshot of an index")
    if about.get("version") != VERSION:
        raise DataError(f"{file} has the version {about.get('version')!r}; this nearbit reads {VERSION}: update it")
    for name, kind in FIELDS.items():
        if name not in about or not isinstance(about[name], kind) or isinstance(about[name], bool):
            raise DataError(f"{file} names no {name}, or one that cannot be")
    try:
        check_n_bits(about["n_bits"])
    except InputError as error:
        raise DataError(f"{file}: {error}") from error
    if "/" in about["file"] or not about["file"].startswith("index-"):
        raise DataError(f"{file} names {about['file']!r}, which is no file of a snapshot")
    return about


def _digest_of(place: FilePlace) -> str | None:
    if place.found() is None:
        return None
    with place.opened() as handle:
        digest = hashlib.sha256()
        while block := handle.read(2**22):
            digest.update(block)
    return digest.hexdigest()


def _copied(file: Path, aside: Path) -> None:
    with open(file, "rb") as source, open(aside, "wb") as target:
        while block := source.read(2**22):
            target.write(block)
