"""A folder of codes, as `nearbit encode` makes it of shards, into an index: one transaction a shard, safe to repeat."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nearbit.codes import check_n_bits
from nearbit.errors import DataError, IndexFileError, InputError
from nearbit.files.addresses import FilePlace
from nearbit.index.exchange.files import check_outputs_are_there, import_items, read_file
from nearbit.index.exchange.items import Exchanged
from nearbit.index.homes.contract import Home
from nearbit.json_text import parse_json
from nearbit.progress import Progress, silent

SUCCESS = "_SUCCESS.json"
FORMAT, VERSION = "nearbit-codes-folder", 1
LARGEST = 2**28


@dataclass(frozen=True)
class FolderOfCodes:
    """What `_SUCCESS.json` says: code length, model, and how many items each file has."""

    place: FilePlace
    n_bits: int
    model_id: str
    items: dict[str, int]


def is_folder(place: FilePlace) -> bool:
    """Say whether a place is a folder, or an address that names no file by its ending."""
    return place.local.is_dir() if place.local is not None else "." not in place.name


def read_folder(place: FilePlace) -> FolderOfCodes:
    """Return what a complete folder of codes holds.

    Raises:
        DataError: there is none, or it is not complete, or says what cannot be.
    """
    file = place.child(SUCCESS)
    if file.found() is None:
        raise DataError(f"{place} is no complete folder of codes: expected {SUCCESS}, which nearbit encode writes last")
    said = parse_json(file.read(LARGEST), str(file), DataError)
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise DataError(f"{file} describes no folder of codes")
    if said.get("version") != VERSION:
        raise DataError(f"{file} has the version {said.get('version')!r}; this nearbit reads {VERSION}: update it")
    shards, model_id = said.get("shards"), said.get("model_id")
    if not isinstance(shards, dict) or not isinstance(model_id, str):
        raise DataError(f"{file} names no shards, or no model")
    try:
        n_bits = check_n_bits(said.get("n_bits", 0))
    except InputError as error:
        raise DataError(f"{file}: {error}") from error
    return FolderOfCodes(place, n_bits, model_id, {name: _count(file, name, one) for name, one in shards.items()})


def check_outputs_of_folder(folder: FolderOfCodes, kind: str | None) -> None:
    """Raise `InputError` where a new index that keeps outputs as `kind` would not take the items of a folder."""
    if kind is not None and folder.items:
        name, count = next(iter(folder.items.items()))
        check_outputs_are_there(_items(folder, name, count), kind)


def _count(file: FilePlace, name: str, said: Any) -> int:
    count = said.get("items") if isinstance(said, dict) else None
    if "/" in name or not name.endswith(".parquet") or not isinstance(count, int):
        raise DataError(f"{file} says of {name!r} what cannot be")
    return count


def import_folder(index: Home, folder: FolderOfCodes, progress: Progress = silent) -> int:
    """Add what an index does not hold yet of a folder of codes, shard by shard; return how many items.

    After whatever ended it, the same call goes on: items that are there, of the same images, are passed over.

    Raises:
        IndexFileError: the index is of another model.
        InputError: an id is there already with another image or code, in two shards of the folder too; or the index
            keeps outputs and the folder has none.
        DataError: a file of the folder is missing, or is not the one that `_SUCCESS.json` speaks of.
    """
    known = index.codes()[0]
    added = 0
    for number, (name, count) in enumerate(folder.items.items()):
        items = _items(folder, name, count)
        ids = np.asarray(items.ids)
        there = np.isin(ids, known)
        if there.any():
            _check_equal(index, items, there, name)
        if not there.all():
            added += import_items(index, _without(items, there))
            known = np.union1d(known, ids)
        progress("Importing shards", number + 1, len(folder.items))
    return added


def _items(folder: FolderOfCodes, name: str, count: int) -> Exchanged:
    place = folder.place.child(name)
    if place.found() is None:
        raise DataError(f"{place} is missing, of which {SUCCESS} speaks: run nearbit encode again")
    items = read_file(place.text)
    if len(items.codes) != count or items.n_bits != folder.n_bits or items.ids is None:
        raise DataError(f"{place} is not the file that {SUCCESS} speaks of: run nearbit encode again")
    if items.model_id != folder.model_id:
        raise IndexFileError(f"{place} holds codes of the model {items.model_id!r}, the folder of {folder.model_id!r}")
    return items


def _check_equal(index: Home, items: Exchanged, there: Any, name: str) -> None:
    """Raise `InputError` unless items that are there are those of the file: an equal code may be another image's."""
    rows, ids = np.flatnonzero(there).tolist(), np.asarray(items.ids)
    for row, item in zip(rows, index.items(ids[rows]), strict=True):
        said = {} if items.metadata is None else items.metadata[row]
        facts = {"digest": item.digest, "path": item.path}
        key = "digest" if said.get("digest") is not None else "path"
        if not np.array_equal(item.code, items.codes[row]) or facts[key] != said.get(key):
            raise InputError(
                f"{index.address} already holds item {item.id} with another image or code than {name}: use another "
                "index, and shards whose ids differ"
            )


def _without(items: Exchanged, there: Any) -> Exchanged:
    """Return the items that are not there."""
    left = np.flatnonzero(~there)
    metadata = None if items.metadata is None else [items.metadata[row] for row in left]
    outputs = None if items.outputs is None else items.outputs[left]
    ids = None if items.ids is None else items.ids[left]
    return Exchanged(ids, items.codes[left], items.n_bits, metadata, items.model_id, outputs)
