"""Which program a file belongs to, by how its name ends; export and import."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from nearbit.errors import InputError
from nearbit.files import write_whole
from nearbit.index.exchange.items import Exchanged
from nearbit.index.index import Index

EXPORTS = {".npz": "npz", ".faiss": "faiss", ".usearch": "usearch", ".sql": "postgres"}
IMPORTS = {".npz": "npz", ".faiss": "faiss", ".usearch": "usearch"}


def export_index(index: Index, path: str | Path) -> int:
    """Write all items of an index to a file of another program, whole or not at all; return how many.

    Args:
        index: an open index.
        path: ends in .npz, .faiss, .usearch or .sql; a file that stands there is replaced.

    Raises:
        InputError: another ending.
        MissingExtraError: the library of that program is not installed.
    """
    file = Path(path)
    program = _program(file, EXPORTS)
    write_whole(file, lambda aside: program.save(index, aside))
    return len(index)


def read_file(path: str | Path, n_bits: int | None = None) -> Exchanged:
    """Read the items of a file of another program.

    Args:
        path: ends in .npz, .faiss or .usearch.
        n_bits: code length in bits; None for what the file says, which for faiss and usearch is whole bytes.

    Raises:
        InputError: another ending, a file that cannot be read, or codes of another length.
        MissingExtraError: the library of that program is not installed.
    """
    file = Path(path)
    program = _program(file, IMPORTS)
    if not file.is_file():
        raise InputError(f"there is no file {os.fspath(file)}")
    items: Exchanged = program.load(file, n_bits)
    return items


def import_items(index: Index, items: Exchanged) -> int:
    """Add the items of a file to an index under their ids, in one transaction; return how many.

    Raises:
        InputError: codes of another length, or an id that is there already: nothing is added.
    """
    if items.n_bits != index.n_bits:
        raise InputError(f"the file holds codes of {items.n_bits} bits, {index.path} of {index.n_bits}")
    index.add(items.codes, ids=items.ids, metadata=items.metadata)
    return len(items.ids)


def _program(file: Path, known: dict[str, str]) -> Any:
    name = known.get(file.suffix.lower())
    if name is None:
        raise InputError(f"{file} must end in {', '.join(known)}, which says what it is")
    return import_module(f"nearbit.index.exchange.{name}")
