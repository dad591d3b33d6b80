"""Which program a file belongs to, by how its name ends; export and import."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from nearbit.errors import IndexFileError, InputError
from nearbit.files.addresses import FilePlace
from nearbit.index.arguments import check_kept_outputs, check_metadata, check_new_ids
from nearbit.index.exchange.items import Exchanged
from nearbit.index.homes.contract import Home

EXPORTS = {
    ".npz": "npz", ".parquet": "parquet", ".arrow": "arrow", ".faiss": "faiss", ".usearch": "usearch",
    ".sql": "postgres",
}  # fmt: skip
MARGIN = 1 << 16
"""Bytes that a disk must have beyond codes and ids: some libraries do not say that the last ones failed."""

IMPORTS = {name: EXPORTS[name] for name in (".npz", ".parquet", ".arrow", ".faiss", ".usearch")}


def export_index(index: Home, path: str | Path) -> int:
    """Write all items of an index to a file of another program, whole or not at all; return how many.

    Args:
        index: an open index.
        path: ends in .npz, .parquet, .arrow, .faiss, .usearch or .sql, or an address such as
            s3://bucket/a.parquet; a file that stands there is replaced.

    Raises:
        InputError: another ending, or the file cannot be written: nothing is there then.
        MissingExtraError: the library of that program is not installed.
    """
    place = FilePlace.of(path)
    program = _program(place, EXPORTS)
    if place.local is not None:
        _check_room(place.local, index)
    try:
        place.fill(lambda aside: program.save(index, aside))
    except (OSError, RuntimeError) as error:  # faiss and usearch raise RuntimeError for whatever the system says
        said = getattr(error, "strerror", None) or f"its library could not write it whole ({str(error)[-100:]})"
        raise InputError(
            f"{place} cannot be written: {said}; nothing was written: see that its folder can be written and the disk "
            "has room"
        ) from error
    return len(index)


def _check_room(file: Path, index: Home) -> None:
    """Refuse a disk that is full or about to be, before a library writes to it."""
    folder = next((place for place in file.absolute().parents if place.is_dir()), Path.cwd())
    least, free = len(index) * (8 + -(-index.n_bits // 8)) + MARGIN, shutil.disk_usage(folder).free
    if free < least:
        raise InputError(
            f"{file} cannot be written: its disk has {free:,} bytes left, and {len(index):,} items with their ids take "
            f"{least:,} with some to spare; nothing was written: make room there, or choose another place"
        )


def read_file(path: str | Path, n_bits: int | None = None) -> Exchanged:
    """Read the items of a file of another program, and check that an index can take them.

    Args:
        path: ends in .npz, .parquet, .arrow, .faiss or .usearch, and may be an address such as s3://….
        n_bits: code length in bits; None for what the file says, which for faiss and usearch is whole bytes.

    Raises:
        InputError: another ending, a file that cannot be read, codes of another length, or ids or metadata that an
            index cannot hold.
        MissingExtraError: the library of that program is not installed.
    """
    place = FilePlace.of(path)
    program = _program(place, IMPORTS)
    if place.found() is None:
        raise InputError(f"there is no file {place}")
    with _on_this_machine(place) as file:
        items: Exchanged = program.load(file, n_bits)
    try:
        if items.ids is not None:
            check_new_ids(items.ids, len(items.codes))
        if items.metadata is not None:
            check_metadata(items.metadata, len(items.codes), "codes")
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return items


@contextmanager
def _on_this_machine(place: FilePlace) -> Iterator[Path]:
    """Give the path of a file; of one at an address that of a copy, for as long as it is read."""
    if place.local is not None:
        yield place.local
        return
    with tempfile.TemporaryDirectory(prefix="nearbit-") as folder:
        copy = Path(folder) / place.name
        place.fetch(copy)
        yield copy


def check_outputs_are_there(items: Exchanged, kind: str | None) -> None:
    """Raise `InputError` where a new index that keeps outputs as `kind` would not take the items of a file."""
    if kind is not None and items.outputs is None:
        raise InputError(
            f"the file holds no outputs, and an index that keeps them ({kind}) needs those of every item: export to "
            ".parquet or .arrow from an index that keeps outputs, or leave --keep-outputs out"
        )
    check_kept_outputs(None if kind is None else items.outputs, kind, len(items.codes), items.n_bits)


def import_items(index: Home, items: Exchanged) -> int:
    """Add the items of a file to an index under their ids, in one transaction; return how many.

    Items of a file without ids get those that follow the highest one of the index.

    Raises:
        InputError: codes of another length, an id that is there already, or no outputs for an index that keeps them.
        IndexFileError: the file names another model than the index: nothing is added.
    """
    if items.model_id not in (None, index.model_id):
        recorded = "no model" if index.model_id is None else f"the model {index.model_id!r}"
        raise IndexFileError(
            f"{index.address} records {recorded}, the file the model {items.model_id!r}: "
            "codes of different models cannot be compared; import into another index"
        )
    if items.n_bits != index.n_bits:
        raise InputError(f"the file holds codes of {items.n_bits} bits, {index.address} of {index.n_bits}")
    outputs = None if index.outputs is None else items.outputs
    index.add(items.codes, ids=items.ids, metadata=items.metadata, outputs=outputs)
    return len(items.codes)


def _program(place: FilePlace, known: dict[str, str]) -> Any:
    name = known.get(Path(place.name).suffix.lower())
    if name is None:
        raise InputError(f"{place} must end in {', '.join(known)}, which says what it is")
    return import_module(f"nearbit.index.exchange.{name}")
