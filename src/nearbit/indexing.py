"""Put the images of a data set into an index: new ones are added, changed ones replaced, known ones passed over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.bundle import Model
from nearbit.codes import pack, signs_of
from nearbit.datasets import Dataset, Problem
from nearbit.encode import CHUNK
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
    """

    added: int
    replaced: int
    unchanged: int
    absent: int
    problems: tuple[Problem, ...]


def index_dataset(
    index: Index,
    model: Model,
    dataset: Dataset,
    rows: Sequence[int] | npt.NDArray[np.int64] | None = None,
    *,
    device: str = "auto",
    cache: Path | None = None,
    progress: Progress = silent,
) -> Indexed:
    """Encode images and add them, one durable transaction for each chunk of 512.

    An item is known by its path and by the hash of its content. An interrupted run that is repeated goes on where it
    stopped and leaves the same ids and codes as an undisturbed one.

    Args:
        index: an open index of the model.
        model: what makes the codes.
        dataset: the images; their labels, where there are any, go into the index.
        rows: which of them, in order; by default all.
        device: "auto", "cpu", "cuda", …
        cache: a folder that keeps features by content.
        progress: called after each chunk.
    """
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
        codes, read = pack(signs_of(encoded.outputs)), encoded.rows.tolist()
        old = [place for place, row in enumerate(read) if paths[row] in known]
        new = [place for place, row in enumerate(read) if paths[row] not in known]
        metadata = [item_metadata(dataset, row, paths[row]) for row in read]
        if old:
            ids = [known[paths[read[place]]][0] for place in old]
            index.add(codes[old], ids=ids, metadata=[metadata[place] for place in old], replace=True)
        if new:
            index.add(codes[new], metadata=[metadata[place] for place in new])
        added, replaced = added + len(new), replaced + len(old)
        problems += encoded.problems
        progress("Indexing", min(start + CHUNK, len(waiting)), len(waiting))
    absent = _absent(index, dataset, known) if rows is None else 0
    return Indexed(added, replaced, len(paths) - len(waiting), absent, tuple(problems))


def _absent(index: Index, dataset: Dataset, known: Mapping[str, object]) -> int:
    """Return how many known items lie below the root of the data set and are not in it."""
    if dataset.root is None:
        return 0
    below = path_seen_from(index.path.absolute().parent, dataset.root).rstrip("/") + "/"
    here = {item_path(index, dataset, row) for row in range(len(dataset))}
    return sum(path.startswith(below) and path not in here for path in known)


def item_path(index: Index, dataset: Dataset, row: int) -> str:
    """Return the path of an item: of a file, relative to the folder of the index; else the key of the row."""
    if dataset.root is None:
        return dataset.keys[row]
    return path_seen_from(index.path.absolute().parent, dataset.root / dataset.keys[row])


def item_metadata(dataset: Dataset, row: int, path: str) -> dict[str, Any]:
    """Return what an index keeps about a row beside its code."""
    return {"path": path, "labels": list(dataset.label_names(row)), "digest": dataset.digests[row]}
