"""Making and opening indexes, in files and in servers."""

from pathlib import Path

from nearbit.codes import check_n_bits
from nearbit.errors import InputError
from nearbit.index.homes import embedded
from nearbit.index.homes.address import Address, place_of
from nearbit.index.homes.contract import Home
from nearbit.index.homes.registry import opener_of
from nearbit.index.storage.outputs import check_kind
from nearbit.keywords import suggesting


@suggesting
def create_index(
    path: str | Path | Address | None,
    n_bits: int,
    *,
    model_id: str | None = None,
    outputs: str | None = None,
    exist_ok: bool = False,
    cache: bool = True,
) -> Home:
    """Make an index and open it, in a file or in a server.

    A creation that was cut short leaves an empty file, which the next one completes.

    Args:
        path: the file to make; its folder is made where it is missing. Or an address in a server, such as
            "postgresql://me@db.example/photos?index=birds". None for an index that is gone when it is closed
            or forgotten: in a temporary folder, in memory where the system has one there (Linux).
        n_bits: code length in bits, at least 1, of every item that it will hold.
        model_id: the model that makes the codes; recorded, and compared by `open_index`.
        outputs: keep the real-valued outputs of every item, too: "int8" (n_bits + 4 bytes an item) or "float16"; None
            for codes alone.
        exist_ok: open an index that is there already, if it has this `n_bits` and, where given, this `model_id` and
            this way of keeping outputs.
        cache: use and write the cache file of a large index; of files alone.

    Raises:
        InputError: `n_bits` is not a whole number of at least 1, `outputs` is none of the above, or `path` is
            ":memory:" or an address of which no home is known.
        MissingExtraError: what that home needs is not installed.
        IndexFileError: something is there already (without `exist_ok`), or an index of another length or model, or
            it cannot be written.
    """
    n_bits = check_n_bits(n_bits)
    check_kind(outputs)
    if path is None:
        return embedded.in_memory(n_bits, model_id, outputs)
    place = place_of(path)
    if isinstance(place, Address):
        opener = opener_of(place)
        return opener.create(place, n_bits, model_id=model_id, outputs=outputs, exist_ok=exist_ok)
    return embedded.create(place, n_bits, model_id=model_id, outputs=outputs, exist_ok=exist_ok, cache=cache)


@suggesting
def open_index(
    path: str | Path | Address,
    *,
    model_id: str | None = None,
    read_only: bool = False,
    cache: bool = True,
    outlives: bool = False,
) -> Home:
    """Open an index, of a file or of a server; never makes one.

    Args:
        path: the file, or the address in a server.
        model_id: the model whose codes will be searched or added; None to take the index as it is.
        read_only: refuse to write. In a folder that can be written, SQLite still makes the files there that readers
            and the writer share; one that cannot be is read as it lies, as long as nobody changes it.
        cache: use the cache file of a large index, and (unless read-only) write it; of files alone.
        outlives: go on reading the file that was opened where another one took its place or it was deleted; for who
            asks `index.is_in_place()`. Without it, that is an error. Of files alone.

    Raises:
        InputError: `path` is ":memory:" or an address of which no home is known.
        MissingExtraError: what that home needs is not installed.
        IndexFileError: the file is missing, not an index, damaged, of a newer format, or of another model, or the
            server cannot be reached.
    """
    place = place_of(path)
    if isinstance(place, Address):
        return opener_of(place).open_(place, model_id=model_id, read_only=read_only)
    return embedded.open_(place, model_id=model_id, read_only=read_only, cache=cache, outlives=outlives)


def file_of(path: str | Path | Address) -> Path:
    """Return the path of an index; raise `InputError` for what lies in a server, or names no file."""
    place = place_of(path)
    if isinstance(place, Address):
        raise InputError(f"this works on index files: expected a path, not {place}")
    return place
