"""The home of files, the first one: an index is one file beside its folder's images, searched in memory."""

import os
import shutil
import tempfile
import weakref
from functools import partial
from pathlib import Path

from nearbit.errors import IndexFileError, InputError
from nearbit.files.writing import sync_folder
from nearbit.index.homes.contract import Home
from nearbit.index.homes.recorded import check_model
from nearbit.index.index import Index
from nearbit.index.storage.schema import Meta, create_tables, is_blank, read_meta
from nearbit.index.storage.store import Store

MEMORY = Path("/dev/shm")
"""A folder that lies in memory, on Linux."""


def create(
    file: Path, n_bits: int, *, model_id: str | None, outputs: str | None, exist_ok: bool, cache: bool = True
) -> Index:
    """Make an index file and open it; see `nearbit.index.create_index`."""
    _make_folder(file)
    if not exist_ok and exists(file):
        raise IndexFileError(f"{file} exists already; open_index opens an index, or name another file")
    store = Store(file, create=True)
    try:
        is_new = _fill(store, n_bits, model_id, outputs)
        with store.read() as connection:
            meta = read_meta(connection, file)
        if not is_new:
            _check_same(file, meta, n_bits, model_id, exist_ok)
            _check_outputs(file, meta, outputs)
        sync_folder(file.parent)
    except BaseException:
        store.close()
        raise
    return Index(store, meta, cache=cache)


def open_(file: Path, *, model_id: str | None, read_only: bool, cache: bool = True, outlives: bool = False) -> Index:
    """Open an index file; see `nearbit.index.open_index`."""
    if not file.is_file():
        what = "is a folder, not an index file" if file.is_dir() else "does not exist"
        raise IndexFileError(f"{file} {what}; name an index, or make one (nearbit index add, in Python create_index)")
    store = Store(file, read_only=read_only, outlives=outlives)
    try:
        with store.read() as connection:
            meta = read_meta(connection, file)
        check_model(file, meta, model_id)
    except BaseException:
        store.close()
        raise
    return Index(store, meta, cache=cache)


def exists(file: Path) -> bool:
    """Return whether something is at a path; a file that holds nothing, as a creation cut short leaves it, is not."""
    if not file.is_file():
        return file.exists()
    store = Store(file, read_only=True)
    try:
        with store.read() as connection:
            return not is_blank(connection)
    finally:
        store.close()


def of_a_file(index: Home, what: str) -> Index:
    """Return an index that is a file as it is; `what` names what is to be made of it, which no server makes.

    Raises:
        InputError: the index lies in a server.
    """
    if not isinstance(index, Index):
        raise InputError(
            f"{what} are made of an index that is a file, and {index.address} lies in a server: copy it to one first "
            f"(nearbit index copy {index.address} copy.index)"
        )
    return index


def in_memory(n_bits: int, model_id: str | None, outputs: str | None) -> Index:
    """Return an index in a folder that is removed with it; see `nearbit.index.create_index`."""
    parent = str(MEMORY) if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="nearbit-", dir=parent))
    remove = partial(shutil.rmtree, folder, ignore_errors=True)
    try:
        store = Store(folder / "memory.index", create=True)
        _fill(store, n_bits, model_id, outputs)
        with store.read() as connection:
            meta = read_meta(connection, store.path)
    except BaseException:
        remove()
        raise
    temporary = weakref.finalize(store, remove)
    return Index(store, meta, cache=False, temporary=temporary)


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IndexFileError(f"the folder of {file} cannot be made: {error.strerror}; name another place") from error


def _fill(store: Store, n_bits: int, model_id: str | None, outputs: str | None) -> bool:
    """Make the tables of a blank file; return whether it was blank."""
    with store.read() as connection:
        if not is_blank(connection):
            return False
    store.enter_wal()
    with store.write() as connection:
        if not is_blank(connection):
            return False
        create_tables(connection, n_bits, model_id, outputs)
    return True


def _check_same(file: Path, meta: Meta, n_bits: int, model_id: str | None, exist_ok: bool) -> None:
    if not exist_ok:
        raise IndexFileError(f"{file} was made by another process at the same time; open_index opens it")
    if int(meta["n_bits"]) != n_bits:
        raise IndexFileError(f"{file} holds codes of {meta['n_bits']} bits, not {n_bits}; name another file")
    check_model(file, meta, model_id)


def _check_outputs(file: Path, meta: Meta, outputs: str | None) -> None:
    if outputs is not None and meta.get("outputs") != outputs:
        raise IndexFileError(
            f"{file} keeps {meta.get('outputs', 'no')} outputs, not {outputs}; leave outputs out or name another file"
        )
