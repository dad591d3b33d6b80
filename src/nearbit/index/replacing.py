"""Putting an index in the place of another one that may be open: the supported way of what `mv` does not do safely."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from nearbit.errors import IndexBusyError, IndexFileError, InputError
from nearbit.files.writing import write_whole
from nearbit.index.homes import Address, embedded
from nearbit.index.index import Index
from nearbit.index.opening import file_of
from nearbit.index.storage.change_log import State
from nearbit.index.storage.connecting import plain_errors
from nearbit.index.storage.log_owner import put_away
from nearbit.index.storage.open_file import OpenFile, hold, let_go, opening
from nearbit.index.storage.store import Store
from nearbit.index.storage.writer_lock import kept_from_writers


def replace_index(path: str | Path | Address, new: str | Path) -> int:
    """Put a copy of an index in the place of another one, whole or not at all, while others may have that one open.

    Nobody writes to either meanwhile. A running service opens what is there now; any other handle of the old file is
    told to open it again. `new` stays as it is, and may be removed.

    Args:
        path: the index to replace.
        new: the index whose items it is to hold; may have another length of codes or another model.

    Returns:
        How many items the index holds now.

    Raises:
        InputError: both are one file, or the paths of the new items, which are relative to the folder of their index,
            would lead elsewhere.
        IndexFileError: one of the two is no index, something is wrong with the new one, another process writes to one
            of them, or the disk is full: the old index is as it was.
    """
    with _opened(new) as source, _opened(path, cache=False) as target:
        if source.path.samefile(target.path):
            raise InputError(f"{new} and {path} are one file: name another index to put in its place")
        _check_paths(source, target)
        with source.writing(), target.writing():
            n_items = _checked_size(source, target)
            _swap(source, target)
    return n_items


def _opened(path: str | Path | Address, *, cache: bool = True) -> Index:
    return embedded.open_(file_of(path), model_id=None, read_only=False, cache=cache)


def begin_successor(index: Index, path: Path, n_bits: int, model_id: str) -> Index:
    """Return the index at `path` that is to take the place of another one, whose items get new codes.

    One of the same model that was begun before is gone on with; any other file there is removed.

    Raises:
        IndexBusyError: another process writes to it.
    """
    try:
        return embedded.create(path, n_bits, model_id=model_id, outputs=index.outputs, exist_ok=True, cache=False)
    except IndexBusyError:
        raise
    except IndexFileError:
        remove_successor(path)
        return embedded.create(path, n_bits, model_id=model_id, outputs=index.outputs, exist_ok=True, cache=False)


def remove_successor(path: Path) -> None:
    """Remove what `begin_successor` made, with the files beside it.

    Raises:
        IndexBusyError: another process writes to it: the work of hours may be in it.
    """
    files = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
    if any(file.exists() for file in files):
        with kept_from_writers(path):
            for file in files:
                file.unlink(missing_ok=True)


def succeed(path: Path, new: Path, state: State, notes: Mapping[str, str]) -> bool:
    """Put a successor in the place of an index, unless that was changed since `state`; return whether it was done.

    The successor takes what an index holds beside its items: notes (with those given over them), filters, and the
    highest id that was ever used.

    Raises:
        IndexFileError: another process writes to one of them, the successor is damaged, or the disk is full: the old
            index is as it was.
    """
    with (
        _opened(new, cache=False) as source,
        _opened(path, cache=False) as target,
        source.writing(),
        target.writing(),
    ):
        if target.state() != state:
            return False
        source.set_notes(target.notes() | dict(notes))
        for key in target.filters():
            source.create_filter(key)
        source.never_assign(target.last_id())
        _checked_size(source, target)
        _swap(source, target)
    return True


def _checked_size(source: Index, target: Index) -> int:
    """Return how many items the new index has; raise `IndexFileError` where it is damaged."""
    problems = source.verify()
    if problems:
        raise IndexFileError(
            f"{source.path} is damaged, and {target.path} was left as it is: {'; '.join(problems[:3])}"
        )
    return len(source)


def _swap(source: Index, target: Index) -> None:
    """Copy the source beside the target, and rename it there; the log of the old file goes with it."""
    try:
        write_whole(target.path, lambda aside: copy_of(source, aside), over_database=True)
    except OSError as error:
        raise IndexFileError(
            f"the index {target.path} cannot be replaced: {error.strerror}; it is as it was"
        ) from error
    with opening:
        file: OpenFile = hold(file_of(target.path))
        try:
            put_away(file, keep=False)
        finally:
            let_go(file)


def copy_of(source: Index, aside: Path) -> None:
    """Copy the file of an index, as it is at one moment, while others may write to it."""
    store = Store(source.path, read_only=True)
    try:
        with store.read() as connection, plain_errors(aside), closing(sqlite3.connect(aside)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = WAL").fetchone()
    finally:
        store.close()


def _check_paths(source: Index, target: Index) -> None:
    ours, theirs = source.path.absolute().parent, target.path.absolute().parent
    if ours == theirs:
        return
    relative = next((path for path, _, _ in source.paths() if not Path(path).is_absolute()), None)
    if relative is not None:
        raise InputError(
            f"the items of {source.path} lie relative to its folder ({relative}), which is not that of {target.path}: "
            "build the new index beside the old one"
        )
