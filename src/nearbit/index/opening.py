"""Making and opening index files."""

import os
import re
import shutil
import tempfile
import weakref
from functools import partial
from pathlib import Path

from nearbit.codes import check_n_bits
from nearbit.errors import IndexFileError, InputError
from nearbit.files.writing import sync_folder
from nearbit.index.index import Index
from nearbit.index.storage.outputs import check_kind
from nearbit.index.storage.schema import Meta, create_tables, is_blank, read_meta
from nearbit.index.storage.store import Store
from nearbit.keywords import suggesting

MEMORY = Path("/dev/shm")
"""A folder that lies in memory, on Linux."""

_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]+:/|file:")
""""postgresql://…", "s3://…"; `Path` makes ":/" of "://". One letter alone is a drive."""


@suggesting
def create_index(
    path: str | Path | None,
    n_bits: int,
    *,
    model_id: str | None = None,
    outputs: str | None = None,
    exist_ok: bool = False,
    cache: bool = True,
) -> Index:
    """Make an index file and open it.

    A creation that was cut short leaves an empty file, which the next one completes.

    Args:
        path: the file to make; its folder is made where it is missing. None for an index that is gone when it is closed
            or forgotten: in a temporary folder, in memory where the system has one there (Linux).
        n_bits: code length in bits, at least 1, of every item that it will hold.
        model_id: the model that makes the codes; recorded, and compared by `open_index`.
        outputs: keep the real-valued outputs of every item, too: "int8" (n_bits + 4 bytes an item) or "float16"; None
            for codes alone.
        exist_ok: open an index that is there already, if it has this `n_bits` and, where given, this `model_id` and
            this way of keeping outputs.
        cache: use and write the cache file of a large index.

    Raises:
        InputError: `n_bits` is not a whole number of at least 1, `outputs` is none of the above, or `path` is an
            address or ":memory:", not a file.
        IndexFileError: something is there already (without `exist_ok`), or an index of another length or model, or
            the file cannot be written.
    """
    check_n_bits(n_bits)
    check_kind(outputs)
    if path is None:
        return _in_memory(n_bits, model_id, outputs)
    file = file_of(path)
    _make_folder(file)
    if file.exists() and not exist_ok and not _is_unfinished(file):
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


@suggesting
def open_index(
    path: str | Path,
    *,
    model_id: str | None = None,
    read_only: bool = False,
    cache: bool = True,
    outlives: bool = False,
) -> Index:
    """Open an index file; never makes one.

    Args:
        path: the file.
        model_id: the model whose codes will be searched or added; None to take the index as it is.
        read_only: refuse to write. In a folder that can be written, SQLite still makes the files there that readers
            and the writer share; one that cannot be is read as it lies, as long as nobody changes it.
        cache: use the cache file of a large index, and (unless read-only) write it.
        outlives: go on reading the file that was opened where another one took its place or it was deleted; for who
            asks `index.is_in_place()`. Without it, that is an error.

    Raises:
        InputError: `path` is an address or ":memory:", not a file.
        IndexFileError: the file is missing, not an index, damaged, of a newer format, or of another model.
    """
    file = file_of(path)
    if not file.is_file():
        what = "is a folder, not an index file" if file.is_dir() else "does not exist"
        raise IndexFileError(f"{file} {what}; name an index, or make one (nearbit index add, in Python create_index)")
    store = Store(file, read_only=read_only, outlives=outlives)
    try:
        with store.read() as connection:
            meta = read_meta(connection, file)
        _check_model(file, meta, model_id)
    except BaseException:
        store.close()
        raise
    return Index(store, meta, cache=cache)


def _in_memory(n_bits: int, model_id: str | None, outputs: str | None) -> Index:
    """Return an index in a folder that is removed with it."""
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


def file_of(path: str | Path) -> Path:
    """Return the path of an index; raise `InputError` for what other programs take as the name of a database."""
    text = os.fspath(path)
    if isinstance(text, str) and (_ADDRESS.match(text) or text.startswith(":memory:") or not text):
        raise InputError(
            f"an index is a file: expected its path, not {text!r}; without a file, for as long as it is open: "
            "create_index(None, n_bits=…)"
        )
    return Path(path)


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IndexFileError(f"the folder of {file} cannot be made: {error.strerror}; name another place") from error


def _is_unfinished(file: Path) -> bool:
    """Return whether a file holds nothing, as a creation that was cut short leaves it."""
    if not file.is_file():
        return False
    store = Store(file)
    try:
        with store.read() as connection:
            return is_blank(connection)
    finally:
        store.close()


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
    _check_model(file, meta, model_id)


def _check_outputs(file: Path, meta: Meta, outputs: str | None) -> None:
    if outputs is not None and meta.get("outputs") != outputs:
        raise IndexFileError(
            f"{file} keeps {meta.get('outputs', 'no')} outputs, not {outputs}; leave outputs out or name another file"
        )


def _check_model(file: Path, meta: Meta, model_id: str | None) -> None:
    if model_id is None or meta.get("model_id") == model_id:
        return
    recorded = f"records the model {meta['model_id']!r}" if "model_id" in meta else "records no model"
    raise IndexFileError(
        f"{file} {recorded}, not {model_id!r}: codes of different models cannot be compared; "
        "use the model of the index, or build an index with this one"
    )
