"""Items in an `.npz` file of NumPy, which holds everything but the outputs."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.codes import check_codes, check_n_bits, n_bytes
from nearbit.errors import InputError
from nearbit.index.exchange.items import Exchanged
from nearbit.index.index import Index
from nearbit.index.results import Item


def save(index: Index, path: Path) -> None:
    """Write `ids`, `codes`, `n_bits`, and `items`: the JSON of a list of one mapping an item, by id."""
    items = list(index)
    codes = np.array([item.code for item in items], np.uint8).reshape(-1, n_bytes(index.n_bits))
    ids = np.array([item.id for item in items], np.int64)
    text = json.dumps([_metadata(item) for item in items], ensure_ascii=False)
    with open(path, "wb") as file:
        np.savez(file, ids=ids, codes=codes, n_bits=index.n_bits, items=np.frombuffer(text.encode(), np.uint8))


def _metadata(item: Item) -> dict[str, Any]:
    """Return what `Index.add` takes as the metadata of an item."""
    given = {"path": item.path, "labels": list(item.labels) or None, "digest": item.digest}
    return {key: value for key, value in given.items() if value is not None} | item.metadata


def load(path: Path, n_bits: int | None) -> Exchanged:
    """Read an `.npz` file with `codes`, and where there are `ids`, `n_bits` and `items`."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("codes", "ids", "n_bits", "items") if name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} cannot be read as an .npz file of plain arrays: {error}") from error
    if "codes" not in arrays:
        raise InputError(f"{path} holds no array 'codes': expected codes, and where there are ids, n_bits, items")
    if n_bits is None and "n_bits" not in arrays:
        raise InputError(f"{path} does not say how long its codes are: give --bits")
    length = check_n_bits(int(arrays["n_bits"]) if n_bits is None else n_bits)
    codes = check_codes(arrays["codes"], length, name=f"the codes of {path}")
    ids = arrays.get("ids", np.arange(1, len(codes) + 1))
    try:
        metadata = json.loads(arrays["items"].tobytes()) if "items" in arrays else None
    except ValueError as error:
        raise InputError(f"{path}: its array 'items' is not JSON: {error}") from error
    return Exchanged(ids, codes, length, metadata)
