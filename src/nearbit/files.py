"""Files that are either whole or absent: content hashes, and writing aside followed by one rename."""

import hashlib
import json
import os
import platform
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def json_digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def cache_folder() -> Path:
    """Return the folder for data that can be made again: `NEARBIT_CACHE`, else `nearbit` in the user's cache folder."""
    named = os.environ.get("NEARBIT_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nearbit"


def path_seen_from(folder: Path, target: Path) -> str:
    """Return the path of `target` relative to `folder`, with "/"; absolute where none leads there (another drive)."""
    try:
        return Path(os.path.relpath(target.absolute(), folder.absolute())).as_posix()
    except ValueError:
        return target.absolute().as_posix()


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable, where the system can sync a folder."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, then put it in place with one rename: readers see the old or the new file.

    What a killed writer of the same file left behind is removed.

    Args:
        path: the file to make or replace; its folder is made where it is missing.
        write: called with the path of the temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _beside(path)
    try:
        write(aside)
        with open(aside, "rb+") as handle:
            os.fsync(handle.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)
    remove_orphans(path.parent, path.name)


def write_checked(path: Path, content: bytes) -> None:
    """Write bytes behind their SHA-256, whole or not at all; `read_checked` reads them."""
    write_whole(path, lambda aside: _write_bytes(aside, hashlib.sha256(content).digest(), content))


def read_checked(path: Path) -> bytes | None:
    """Return the bytes that `write_checked` wrote; None where there is no such file or it is damaged."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    content = whole[32:]
    return content if hashlib.sha256(content).digest() == whole[:32] else None


def _write_bytes(path: Path, *parts: bytes) -> None:
    with open(path, "wb") as handle:
        handle.writelines(parts)


def _beside(path: Path) -> Path:
    """Return a name beside `path` for what is not complete, which says who writes it: the machine and the process."""
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def remove_orphans(folder: Path, name: str | None = None) -> None:
    """Remove what writers on this machine that run no more left unfinished: of one target, or of all in a folder."""
    target = ".+" if name is None else re.escape(name)
    pattern = re.compile(rf"\.{target}\.{_machine()}-(\d+)-[0-9a-f]{{8}}\.(tmp|old)", re.DOTALL)
    for other in folder.iterdir():
        found = pattern.fullmatch(other.name)
        if found is None or _runs(int(found[1])):
            continue
        if other.is_dir():
            shutil.rmtree(other, ignore_errors=True)
        else:
            other.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    if os.name == "nt":  # there os.kill would end the process, so nothing counts as left behind
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Write a value as JSON, whole or not at all."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, lambda aside: _write_text(aside, text))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill beside `path`; on success it takes the place of `path`, on failure it is removed.

    A folder that stood at `path` is removed only after the new one is complete.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _beside(path)
    aside.mkdir()
    try:
        yield aside
        for file in aside.iterdir():
            with open(file, "rb+") as handle:
                os.fsync(handle.fileno())
        _exchange(aside, path)
        sync_folder(path.parent)
        remove_orphans(path.parent, path.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(aside: Path, path: Path) -> None:
    """Rename a folder to `path` and remove the one that stood there; where that fails, the old one stands again."""
    replaced = aside.with_suffix(".old")
    if path.exists():
        path.rename(replaced)
    try:
        aside.rename(path)
    except BaseException:
        if replaced.exists():
            replaced.rename(path)
        raise
    shutil.rmtree(replaced, ignore_errors=True)
