"""Put the images of a data set into an index: new ones are added, changed ones replaced, known ones passed over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.bundle import Model
from nearbit.codes import pack, signs_of
from nearbit.datasets import Dataset, Problem
from nearbit.encode import CHUNK
from nearbit.errors import InputError
from nearbit.files import path_seen_from
from nearbit.index import Index
from nearbit.progress import Progress, silent


@dataclass(frozen=True)
class Indexed:
    """What indexing did.

    Attributes:
        added, replaced, unchanged: numbers of images.
        absent: items of the index from the same place that are not among the images; they stay in the index.
        problems: the images that could not be read.
        moved: images found under another path, whose items took it (only with `sync`).
        removed: items whose images are gone (only with `sync`).
    """

    added: int
    replaced: int
    unchanged: int
    absent: int
    problems: tuple[Problem, ...]
    moved: int = 0
    removed: int = 0


def index_dataset(
    index: Index,
    model: Model,
    dataset: Dataset,
    rows: Sequence[int] | npt.NDArray[np.int64] | None = None,
    *,
    sync: bool = False,
    device: str = "auto",
    cache: Path | None = None,
    progress: Progress = silent,
) -> Indexed:
    """Encode images and add them, one durable transaction for each chunk of 512.

    An item is known by its path and by the hash of its content. An interrupted run that is repeated goes on where it
    stopped and leaves the same ids and codes as an undisturbed one. While it runs, no other process writes.

    Args:
        index: an open index of the model.
        model: what makes the codes.
        dataset: the images; their labels, where there are any, go into the index.
        rows: which of them, in order; by default all.
        sync: make the index the mirror of the whole data set: an item whose image lies under another path now keeps
            its id and takes that path, and items of its folder whose images are gone are removed. Images that are
            there but cannot be read keep their items.
        device: "auto", "cpu", "cuda", …
        cache: a folder that keeps features by content.
        progress: called after each chunk.

    Raises:
        InputError: `sync` with `rows`, or of images that lie in no folder.
        IndexFileError: another process is writing to the index, or it cannot be written.
    """
    if sync and (rows is not None or dataset.root is None):
        raise InputError("sync needs all images of a folder or labels file: leave rows (--part) or sync out")
    with index.writing():
        moved = _move(index, dataset) if sync else 0
        done = _add(index, model, dataset, rows, device, cache, progress)
        gone = _absent(index, dataset) if rows is None else []
        removed = index.remove([item_id for _, item_id, _ in gone]) if sync else 0
    return replace(done, moved=moved, removed=removed, absent=len(gone) - removed)


def _add(
    index: Index,
    model: Model,
    dataset: Dataset,
    rows: Sequence[int] | npt.NDArray[np.int64] | None,
    device: str,
    cache: Path | None,
    progress: Progress,
) -> Indexed:
    """Add what is new and replace what changed."""
    chosen = np.arange(len(dataset)) if rows is None else np.asarray(rows, np.int64)
    known = index.entries()
    paths = {int(row): item_path(index, dataset, int(row)) for row in chosen}
    waiting = [row for row in paths if known.get(paths[row], (0, None))[1] != dataset.digests[row]]
    kept = None if cache is None else model.row_cache(cache, device)
    added = replaced = 0
    problems: list[Problem] = []
    for start in range(0, len(waiting), CHUNK):
        chunk = waiting[start : start + CHUNK]
        encoded = model.encode_dataset(dataset, chunk, device=device, cache=kept)
        here = [paths[row] for row in encoded.rows.tolist()]
        metadata = [item_metadata(dataset, row, paths[row]) for row in encoded.rows.tolist()]
        old = np.array([path in known for path in here], np.bool_)
        _put(index, encoded.outputs[old], [one for one, is_old in zip(metadata, old, strict=True) if is_old], known)
        _put(index, encoded.outputs[~old], [one for one, is_old in zip(metadata, old, strict=True) if not is_old], None)
        added, replaced = added + int((~old).sum()), replaced + int(old.sum())
        problems += encoded.problems
        progress("Indexing", min(start + CHUNK, len(waiting)), len(waiting))
    return Indexed(added, replaced, len(paths) - len(waiting), 0, tuple(problems))


def _put(
    index: Index,
    outputs: npt.NDArray[np.float32],
    metadata: list[dict[str, Any]],
    known: Mapping[str, tuple[int, str | None]] | None,
) -> None:
    """Add items, or replace those that are known by their paths."""
    if not len(outputs):
        return
    ids = None if known is None else [known[one["path"]][0] for one in metadata]
    kept = None if index.outputs is None else outputs
    codes = pack(signs_of(outputs))
    index.add(codes, ids=ids, metadata=metadata, outputs=kept, replace=known is not None)


def _absent(index: Index, dataset: Dataset) -> list[tuple[str, int, str | None]]:
    """Return (path, id, digest) of each item that lies below the root of the data set and whose image is not there."""
    if dataset.root is None:
        return []
    below = path_seen_from(index.path.absolute().parent, dataset.root).rstrip("/") + "/"
    here = {item_path(index, dataset, row) for row in range(len(dataset))}
    here |= {_path_of(index, dataset.root, problem.path) for problem in dataset.problems}
    return [
        (path, item_id, digest)
        for path, item_id, digest in index.paths()
        if path.startswith(below) and path not in here
    ]


def _move(index: Index, dataset: Dataset) -> int:
    """Give items whose images lie under another path now that path; return how many.

    An item that is gone and an image that is new belong together if their contents are the same; several of one
    content are taken in the order of ids and of images.
    """
    known = index.entries()
    waiting: dict[str, list[int]] = {}
    for _, item_id, digest in _absent(index, dataset):
        if digest is not None:
            waiting.setdefault(digest, []).append(item_id)
    ids, metadata = [], []
    for row in range(len(dataset)):
        path, same = item_path(index, dataset, row), waiting.get(dataset.digests[row])
        if same and path not in known:
            ids.append(same.pop(0))
            metadata.append(item_metadata(dataset, row, path))
    if ids:
        index.update(ids, metadata=metadata)
    return len(ids)


def item_path(index: Index, dataset: Dataset, row: int) -> str:
    """Return the path of an item: of a file, relative to the folder of the index; else the key of the row."""
    if dataset.root is None:
        return dataset.keys[row]
    return _path_of(index, dataset.root, dataset.keys[row])


def _path_of(index: Index, root: Path, key: str) -> str:
    return path_seen_from(index.path.absolute().parent, root / key)


def item_metadata(dataset: Dataset, row: int, path: str) -> dict[str, Any]:
    """Return what an index keeps about a row beside its code."""
    return {"path": path, "labels": list(dataset.label_names(row)), "digest": dataset.digests[row]}
