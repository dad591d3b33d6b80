"""Files that are either whole or absent: content hashes, and writing aside followed by one rename."""

import errno
import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearbit.errors import InputError
from nearbit.files.aside import beside, put_in_place, remove, remove_orphans, restore_folder

__all__ = [
    "behind_links",
    "cache_folder",
    "check_replaceable",
    "json_digest",
    "keep_checked",
    "path_seen_from",
    "read_checked",
    "remove_orphans",
    "restore_folder",
    "sha256_of",
    "sync_folder",
    "whole_file",
    "whole_folder",
    "without_ups",
    "write_checked",
    "write_json",
    "write_whole",
]


DATABASE = b"SQLite format 3\0"
"""How the file of a database begins."""
SHORT = re.compile(r"\d+ requested and \d+ written")


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
    target, folder = without_ups(target.absolute()), without_ups(folder.absolute())
    try:
        return Path(os.path.relpath(target, folder)).as_posix()
    except ValueError:
        return target.as_posix()


def without_ups(path: Path) -> Path:
    """Return an absolute path without "..": above a link lies the folder that holds what the link leads to."""
    last = max((place for place, part in enumerate(path.parts) if part == ".."), default=-1)
    return path if last < 0 else Path(os.path.realpath(Path(*path.parts[: last + 1])), *path.parts[last + 1 :])


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable, where the system can sync a folder."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_replaceable(path: Path, *, over_database: bool = False) -> None:
    """Raise `InputError` where something stands at `path` that no output takes the place of.

    Args:
        path: of the output, or of a link to it.
        over_database: whether that may be a database, as an index is.
    """
    target = behind_links(path)
    if not target.exists():
        return
    if not target.is_file():
        kind = "a folder" if target.is_dir() else "a device or a pipe"
        raise InputError(f"{path} is {kind}, not a file that could be replaced: choose another name")
    try:
        with open(target, "rb") as file:
            begins = file.read(len(DATABASE))
    except OSError:  # whether it may be replaced is then for the system to say
        return
    if begins == DATABASE and not over_database:
        raise InputError(f"{path} is an index or another database, which no output replaces: choose another name")


@contextmanager
def whole_file(path: Path, *, before: Path | None = None, over_database: bool = False) -> Iterator[Path]:
    """Give a file to fill beside `path`; on success it is put in place with one rename, on failure it is removed.

    Readers see the old or the new file. What a killed writer of the same file left behind is removed.

    Args:
        path: the file to make or replace, or a link to it; its folder is made where it is missing.
        before: a name in the same folder that the replaced file is kept under, once the new one is complete.
        over_database: whether a database, as an index is, may be replaced.

    Raises:
        InputError: something else than a file stands there, or a database.
        OSError: the file cannot be written; it names `path`.
    """
    target = behind_links(path)
    check_replaceable(path, over_database=over_database)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = beside(target)
    with naming(path, aside):
        try:
            yield aside
            with open(aside, "rb+") as handle:
                os.fsync(handle.fileno())
            if before is not None and target.exists():
                target.replace(before)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        sync_folder(target.parent)
        remove_orphans(target.parent, target.name)


def write_whole(
    path: Path, write: Callable[[Path], None], *, before: Path | None = None, over_database: bool = False
) -> None:
    """Let `write` fill the temporary file that it is called with, and put it in place; see `whole_file`."""
    with whole_file(path, before=before, over_database=over_database) as aside:
        write(aside)


def write_checked(path: Path, content: bytes, *, before: Path | None = None) -> None:
    """Write bytes behind their SHA-256, whole or not at all (see `write_whole`); `read_checked` reads them."""
    write_whole(path, lambda aside: _write_bytes(aside, hashlib.sha256(content).digest(), content), before=before)


def read_checked(path: Path) -> bytes | None:
    """Return the bytes that `write_checked` wrote; None where there is no such file or it is damaged."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    content = whole[32:]
    return content if hashlib.sha256(content).digest() == whole[:32] else None


def keep_checked(path: Path, content: bytes) -> None:
    """Write what can be made again as `write_checked` does; where that cannot be, a warning says so."""
    try:
        write_checked(path, content)
    except OSError as error:
        warnings.warn(
            f"{error.filename or path}: {error.strerror or error}, so this is not kept in the cache and is made anew "
            "next time; make room, or name another cache folder (--cache, cache=, NEARBIT_CACHE)",
            stacklevel=2,
        )


def _write_bytes(path: Path, *parts: bytes) -> None:
    with open(path, "wb") as handle:
        handle.writelines(parts)


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Write a value as JSON, whole or not at all.

    Raises:
        InputError: a text in it cannot be written as UTF-8, such as a file name that is not.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = text[max(0, error.start - 20) : error.end + 20].strip()
        raise InputError(
            f"{path} cannot hold the text {shown!r}: it has a byte or a half of a character that is not UTF-8: "
            "give the file, folder or label another name"
        ) from error
    write_whole(path, lambda aside: _write_bytes(aside, content))


@contextmanager
def whole_folder(path: Path, synced: Callable[[int, int], None] = lambda *_: None) -> Iterator[Path]:
    """Give a folder to fill beside `path`; on success it takes the place of `path`, on failure it is removed.

    At each instant `path` is the folder that stood there or the new one, whole: the two change places in one step.
    Where the system has no such step (Windows, some network drives), a kill in between leaves the old folder beside
    `path`, and who opens `path` next puts it back; see `restore_folder`. Of a link, what it leads to is replaced.

    Args:
        path: where the folder is to stand.
        synced: called with (files done, files in all) as what was filled in is made durable.
    """
    target = behind_links(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    restore_folder(target)
    aside = beside(target)
    with naming(path, aside):
        aside.mkdir()
        try:
            yield aside
            _sync_all(aside, synced)
            put_in_place(aside, target)
            sync_folder(target.parent)
            remove_orphans(target.parent, target.name)
        finally:
            remove(aside)


def _sync_all(folder: Path, synced: Callable[[int, int], None]) -> None:
    """Make a folder with all that is in it durable."""
    found = [(Path(place), names) for place, _, names in os.walk(folder)]
    done, total = 0, sum(len(names) for _, names in found)
    for place, names in found:
        for name in names:
            with open(place / name, "rb+") as handle:
                os.fsync(handle.fileno())
            done += 1
            synced(done, total)
        sync_folder(place)


def behind_links(path: Path) -> Path:
    """Return where `path` leads: itself, or what a link of that name points to, there or not."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@contextmanager
def naming(path: Path, aside: Path) -> Iterator[None]:
    """Let an error of the system within the block name `path`, where it names nothing or only what lies aside."""
    try:
        yield
    except OSError as error:
        if error.errno is None and SHORT.search(str(error)):  # what NumPy says of a write that did not end
            raise OSError(errno.ENOSPC, "only a part of it could be written", str(path)) from error
        named = None if error.filename is None else str(error.filename)
        if error.errno is not None and (named is None or Path(named) == aside or aside in Path(named).parents):
            error.filename, error.filename2 = str(path), None
        raise
