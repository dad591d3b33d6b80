"""Items in an `.npz` file of NumPy, which holds everything but the outputs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import check_codes, check_n_bits, n_bytes
from nearbit.errors import InputError
from nearbit.files.arrays import arrays_read
from nearbit.index.exchange.items import Exchanged, length_of
from nearbit.index.homes.contract import Home
from nearbit.index.results import Item
from nearbit.json_text import parse_json

_NAMES = ("codes", "ids", "n_bits", "items", "model_id", "keys", "digests", "labels", "classes")


def save(index: Home, path: Path) -> None:
    """Write `ids`, `codes`, `n_bits`, `model_id` where there is one, and `items`: the JSON of one mapping an item."""
    items = list(index)
    arrays: dict[str, Any] = {
        "ids": np.array([item.id for item in items], np.int64),
        "codes": np.array([item.code for item in items], np.uint8).reshape(-1, n_bytes(index.n_bits)),
        "n_bits": np.int64(index.n_bits),
        "items": _json_array([_metadata(item) for item in items]),
    }
    if index.model_id is not None:
        arrays["model_id"] = np.array(index.model_id)
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _json_array(value: Any) -> npt.NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), np.uint8)


def _metadata(item: Item) -> dict[str, Any]:
    """Return what `Index.add` takes as the metadata of an item."""
    given = {"path": item.path, "labels": list(item.labels) or None, "digest": item.digest}
    return {key: value for key, value in given.items() if value is not None} | item.metadata


def load(path: Path, n_bits: int | None) -> Exchanged:
    """Read an `.npz` file that `save` or `nearbit encode` wrote, or any with `codes`.

    Metadata are `items`, else what there is of `keys` (paths), `digests`, and `labels` with `classes`.
    """
    arrays = _arrays(path)
    if "codes" not in arrays:
        raise InputError(f"{path} holds no array 'codes': expected codes, and where there are {', '.join(_NAMES[1:])}")
    said = check_n_bits(_one(arrays["n_bits"], "iu", f"{path}: n_bits")) if "n_bits" in arrays else None
    length = length_of(said, n_bits, str(path))
    codes = check_codes(arrays["codes"], length, name=f"the codes of {path}")
    model_id = _one(arrays["model_id"], "U", f"{path}: model_id") if "model_id" in arrays else None
    metadata = _listed(arrays["items"], path) if "items" in arrays else _columns(arrays, len(codes), path)
    return Exchanged(arrays.get("ids"), codes, length, metadata, model_id)


def _arrays(path: Path) -> dict[str, Any]:
    """Return the arrays of a file that are known, without running what it may hold as code."""
    with arrays_read(path, InputError, "an .npz file of plain arrays"), open(path, "rb") as opened:
        file = np.load(opened, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise InputError(f"{path} cannot be read as an .npz file: it holds one array without a name (.npy)")
        with file:
            return {name: file[name] for name in _NAMES if name in file.files}


def _one(array: npt.NDArray[Any], kinds: str, name: str) -> Any:
    """Return the one value of an array whose type is of one of `kinds`."""
    if array.ndim or array.dtype.kind not in kinds:
        what = "text" if kinds == "U" else "whole number"
        raise InputError(f"{name} must be one {what}, not {array.dtype} {array.shape}")
    return array.item()


def _listed(array: npt.NDArray[Any], path: Path) -> list[dict[str, Any]]:
    """Return the metadata in an array `items`."""
    metadata = parse_json(array.tobytes(), f"{path}: its array 'items'", InputError)
    if not isinstance(metadata, list):
        raise InputError(f"{path}: its array 'items' must be a JSON list, not {type(metadata).__name__}")
    return metadata


def _columns(arrays: dict[str, Any], n: int, path: Path) -> list[dict[str, Any]] | None:
    """Return the metadata in arrays of one row an item; None where there are no such arrays."""
    columns: dict[str, list[Any]] = {}
    for name, key in (("keys", "path"), ("digests", "digest")):
        if name in arrays:
            if arrays[name].dtype.kind != "U" or arrays[name].shape != (n,):
                raise InputError(f"{path}: {name} must be one text a code, not {_kind(arrays[name])}")
            columns[key] = arrays[name].tolist()
    if "labels" in arrays:
        labels, classes = arrays["labels"], arrays.get("classes", np.empty(0, np.str_))
        if labels.dtype != np.bool_ or classes.dtype.kind != "U" or labels.shape != (n, classes.size):
            came = f"{_kind(labels)} and {_kind(classes)}"
            raise InputError(f"{path}: labels must be bool (n, n_classes), with classes (n_classes,) texts, not {came}")
        names = classes.tolist()
        columns["labels"] = [[names[column] for column in np.flatnonzero(row)] for row in labels]
    if not columns:
        return None
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _kind(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"
