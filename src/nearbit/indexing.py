"""Put the images of a data set into an index: new ones are added, changed ones replaced, known ones passed over."""

import os
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import binarize
from nearbit.datasets import Dataset, Problem
from nearbit.datasets.formats.shards import PackedImages
from nearbit.encoding.pipeline import CHUNK, Encoded
from nearbit.errors import InputError
from nearbit.files.writing import path_seen_from, without_ups
from nearbit.index import Home, Item
from nearbit.indexing_places import is_missing
from nearbit.json_text import unstorable
from nearbit.keywords import suggesting
from nearbit.model.load import staying
from nearbit.names import escaped
from nearbit.progress import Progress, silent

if TYPE_CHECKING:
    from nearbit.model.bundle import Model
    from nearbit.model.onnx import OnnxModel


ADDED = "added"
"""Under which key of an item's metadata a service notes when it took a picture in."""
UPLOADS = "-images"
"""What follows the name of an index in that of the folder of such pictures, beside it."""


@dataclass(frozen=True)
class Indexed:
    """What indexing did.

    Attributes:
        added, replaced, unchanged: numbers of images.
        absent: items of the index from the same place that are not among the images; they stay in the index.
        problems: the images that could not be read.
        relabelled: those of the unchanged whose labels are others now; their items took them.
        moved: images found under another path, whose items took it (only with `sync`).
        removed: items whose images are gone (only with `sync`).
    """

    added: int
    replaced: int
    unchanged: int
    absent: int
    problems: tuple[Problem, ...]
    relabelled: int = 0
    moved: int = 0
    removed: int = 0


@suggesting
def index_dataset(
    index: Home,
    model: "Model | OnnxModel",
    dataset: Dataset,
    rows: Sequence[int] | npt.NDArray[np.int64] | None = None,
    *,
    sync: bool = False,
    device: str = "auto",
    cache: str | Path | None = None,
    progress: Progress = silent,
) -> Indexed:
    """Encode images and add them, one durable transaction for each chunk of 512.

    An item is known by its path and by the hash of its content. An interrupted run that is repeated goes on where it
    stopped and leaves the same ids and codes as an undisturbed one. While it runs, no other process writes.

    An item keeps its own metadata whatever happens to its image, and its labels where the data set has no classes, or
    where a service took it in and its folder alone would be its class.

    Args:
        index: an open index of the model.
        model: what makes the codes: a trained model, or an exported network.
        dataset: the images; their labels, where there are any, go into the index.
        rows: which of them, in order; by default all.
        sync: make the index the mirror of the whole data set: an item whose image lies under another path now keeps
            its id and takes that path and its labels, wherever it lay before, and items of the data set's folder whose
            images are gone are removed. What cannot be read, an image or a folder with all below it, keeps its items.
        device: "auto", "cpu", "cuda", …
        cache: a folder that keeps features by content.
        progress: called after each chunk.

    Raises:
        InputError: a folder on the way to the images has a name that is not UTF-8; `sync` with `rows`, or of images
            that are not all that a folder or labels file holds.
        IndexFileError: another process is writing to the index, or it cannot be written.
    """
    if sync and (rows is not None or dataset.root is None or not dataset.is_whole):
        raise InputError("sync needs all images of a folder or labels file: leave rows (--part) or sync out")
    _check_place(index, dataset)
    with index.writing():
        moved, displaced = _move(index, dataset) if sync else (0, 0)
        done = _add(index, model, dataset, rows, device, cache, progress)
        gone = _absent(index, dataset) if rows is None else []
        removed = displaced + index.remove([item_id for _, item_id, _ in gone]) if sync else 0
    return replace(done, moved=moved, removed=removed, absent=0 if sync else len(gone))


def _check_place(index: Home, dataset: Dataset) -> None:
    """Refuse at once images whose paths the index could not keep, because of a folder on the way to them."""
    path = item_path(index, dataset, 0) if len(dataset) else ""
    if reason := unstorable(path):
        raise InputError(
            f"an index keeps the paths of its images, and {escaped(path)!r} cannot be kept: {reason}; "
            "rename that folder"
        )


def _add(
    index: Home,
    model: "Model | OnnxModel",
    dataset: Dataset,
    rows: Sequence[int] | npt.NDArray[np.int64] | None,
    device: str,
    cache: str | Path | None,
    progress: Progress,
) -> Indexed:
    """Add what is new, replace what changed, and take in the labels of the rest."""
    chosen = np.arange(len(dataset)) if rows is None else np.asarray(rows, np.int64)
    known = index.entries()
    paths = {int(row): item_path(index, dataset, int(row)) for row in chosen}
    waiting = [row for row in paths if known.get(paths[row], (0, None))[1] != dataset.digests[row]]
    kept: Any = None if cache is None else model.row_cache(cache, device)
    added = replaced = 0
    problems: list[Problem] = []
    for encoded in _encoded(model, dataset, waiting, device, kept):
        here = [paths[row] for row in encoded.rows.tolist()]
        metadata = [item_metadata(dataset, row, paths[row]) for row in encoded.rows.tolist()]
        old = np.array([path in known for path in here], np.bool_)
        _put(index, encoded.outputs[old], [one for one, is_old in zip(metadata, old, strict=True) if is_old], known)
        _put(index, encoded.outputs[~old], [one for one, is_old in zip(metadata, old, strict=True) if not is_old], None)
        added, replaced = added + int((~old).sum()), replaced + int(old.sum())
        problems += encoded.problems
        progress("Indexing", added + replaced + len(problems), len(waiting))
    same = [row for row in paths if known.get(paths[row], (0, None))[1] == dataset.digests[row]]
    relabelled = _relabel(index, dataset, {known[paths[row]][0]: row for row in same})
    return Indexed(added, replaced, len(same), 0, tuple(problems), relabelled)


def _encoded(
    model: "Model | OnnxModel", dataset: Dataset, rows: Sequence[int], device: str, cache: Any
) -> Iterator[Encoded]:
    """Yield the outputs of rows, a chunk at a time."""
    with staying(model, device) if rows else nullcontext():
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            yield model.encode_dataset(dataset, chunk, device=device, cache=cache, total=len(rows))


def _put(
    index: Home,
    outputs: npt.NDArray[np.float32],
    metadata: list[dict[str, Any]],
    known: Mapping[str, tuple[int, str | None]] | None,
) -> None:
    """Add items, or replace those that are known by their paths."""
    if not len(outputs):
        return
    ids = None if known is None else [known[one["path"]][0] for one in metadata]
    if ids is not None:
        metadata = _merged(index.items(ids), metadata)
    kept = None if index.outputs is None else outputs
    codes = binarize(outputs)
    index.add(codes, ids=ids, metadata=metadata, outputs=kept, replace=known is not None)


def _relabel(index: Home, dataset: Dataset, rows: Mapping[int, int]) -> int:
    """Give the items of rows, by id, the labels that those have now; return how many had others.

    What was uploaded to a service keeps the labels that it came with where the only other one is the name of the folder
    of uploads, which is no class.
    """
    if not dataset.n_classes:
        return 0
    relabelled, ids = 0, list(rows)
    for start in range(0, len(ids), CHUNK):
        items = [
            item
            for item in index.items(ids[start : start + CHUNK])
            if set(item.labels) != set(dataset.label_names(rows[item.id]))
            and not _is_of_uploads(item, dataset.label_names(rows[item.id]))
        ]
        if items:
            metadata = [item_metadata(dataset, rows[item.id], str(item.path)) for item in items]
            index.update([item.id for item in items], metadata=_merged(items, metadata))
        relabelled += len(items)
    return relabelled


def _is_of_uploads(item: Item, labels: Sequence[str]) -> bool:
    """Return whether labels are but the folder where a service put a picture that it took in.

    It notes when it did so, and names the file after the content, in a folder NAME-images.
    """
    place = PurePosixPath(item.path or "")
    is_upload = ADDED in item.metadata and place.stem == item.digest and place.parent.name.endswith(UPLOADS)
    return is_upload and set(labels) <= {place.parent.name}


def _merged(items: Sequence[Item], metadata: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the new metadata of each item over what it has already."""
    return [{"labels": list(item.labels), **item.metadata, **new} for item, new in zip(items, metadata, strict=True)]


def _absent(index: Home, dataset: Dataset) -> list[tuple[str, int, str | None]]:
    """Return (path, id, digest) of each item that lies below the root of the data set and whose image is not there.

    What lies at or below a path that could not be read may be there. Paths are compared from the root of the file
    system: seen from the folder of the index, "../a" may lie below a root as well as beside it.
    """
    if dataset.root is None or not dataset.is_whole:
        return []
    folder, root = index.folder, _place(without_ups(dataset.root.absolute()))
    here = {item_path(index, dataset, row) for row in range(len(dataset))}
    problems = [_place(without_ups(dataset.root.absolute()), one.path) for one in dataset.problems if not one.is_class]
    unknown = {place for place in problems if place == root or _is_below(root, place)}
    return [
        (path, item_id, digest)
        for path, item_id, digest in index.paths()
        if path not in here and _is_below(root, _place(folder, path)) and not _is_among(unknown, _place(folder, path))
    ]


def _place(folder: Path, path: str | Path = ".") -> str:
    """Return a path in a folder from the root of the file system, in the one form in which places are compared."""
    return os.path.normcase(os.path.normpath(folder / path))


def _is_below(root: str, place: str) -> bool:
    return place != root and place.startswith(root.rstrip(os.sep) + os.sep)


def _is_among(places: set[str], place: str) -> bool:
    """Return whether a place, or a folder above it, is one of the places."""
    return place in places or any(str(above) in places for above in Path(place).parents)


def _move(index: Home, dataset: Dataset) -> tuple[int, int]:
    """Give items whose images lie under another path now that path; return how many, and how many made room.

    An item whose image is gone from where it was, wherever that is, or has another one's place, and an image that is
    new there belong together if their contents are the same; of several of one content first those of one name, then in
    the order of ids and of images. An item whose image is still there is not moved: the new image is a copy. Where an
    image was moved onto another one, the item of that one, whose image is nowhere now, is removed.
    """
    known = index.entries()
    places = {row: item_path(index, dataset, row) for row in range(len(dataset))}
    contents = {path: dataset.digests[row] for row, path in places.items()}
    fresh = [row for row, path in places.items() if known.get(path, (0, ""))[1] not in (contents[path], None)]
    waiting = _gone_with(index, dataset, {dataset.digests[row] for row in fresh}, contents)
    found: dict[int, int] = {}
    taken: set[int] = set()
    for by_name in (True, False):
        queues: dict[tuple[str, str], deque[int]] = defaultdict(deque)
        for digest, path, item_id in waiting:
            queues[digest, PurePath(path).name if by_name else ""].append(item_id)
        for row in fresh:
            same = queues[dataset.digests[row], PurePosixPath(places[row]).name if by_name else ""]
            while same and same[0] in taken:
                same.popleft()
            if row not in found and same:
                found[row] = same.popleft()
                taken.add(found[row])
    rows = sorted(found)
    taken_places = {places[row] for row in rows}
    displaced = [
        item_id
        for path, item_id, digest in index.paths()
        if path in taken_places and item_id not in taken and digest not in (contents[path], None)
    ]
    if rows:
        index.remove(displaced)  # before: cut short between the two, the next run goes on
        ids = [found[row] for row in rows]
        metadata = [item_metadata(dataset, row, places[row]) for row in rows]
        index.update(ids, metadata=_merged(index.items(ids), metadata))
    return len(rows), len(displaced)


def _gone_with(index: Home, dataset: Dataset, digests: set[str], here: Mapping[str, str]) -> list[tuple[str, str, int]]:
    """Return (digest, path, id) of the items with one of these contents whose images are no longer where they were."""
    folder = index.folder
    absent = {item_id for _, item_id, _ in _absent(index, dataset)}
    return [
        (digest, path, item_id)
        for path, item_id, digest in index.paths()
        if digest in digests
        and (here[path] != digest if path in here else item_id in absent or is_missing(folder, path))
    ]


def item_path(index: Home, dataset: Dataset, row: int) -> str:
    """Return the path of an item: of a file or in a shard, relative to the folder of the index; else the row's key.

    In a shard far away it is an address.
    """
    key = dataset.keys[row]
    if dataset.root is not None:
        return path_seen_from(index.folder, dataset.root / key)
    if isinstance(dataset.source, PackedImages):
        place = dataset.source.place_of(row, key)
        return place.text if place.local is None else path_seen_from(index.folder, place.local)
    return key


def item_metadata(dataset: Dataset, row: int, path: str) -> dict[str, Any]:
    """Return what an index keeps about a row beside its code; no labels, not even none, where there are no classes."""
    labels = {"labels": list(dataset.label_names(row))} if dataset.n_classes else {}
    return {"path": path, **labels, "digest": dataset.digests[row]}
