"""Give all items of an index the codes of another model: ids, labels, metadata and notes stay."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from nearbit.codes import binarize
from nearbit.datasets import Dataset
from nearbit.datasets.check import Checked, check_files
from nearbit.datasets.known_files import KnownFiles
from nearbit.encoding.inputs import GivenImages
from nearbit.encoding.pipeline import CHUNK
from nearbit.encoding.preprocessing import of_pixels
from nearbit.errors import DataError, IndexBusyError
from nearbit.files.locking import alone
from nearbit.files.writing import cache_folder
from nearbit.given import path_of
from nearbit.index import Index, Item, open_index
from nearbit.index.homes.embedded import of_a_file
from nearbit.index.opening import file_of
from nearbit.index.replacing import begin_successor, remove_successor, succeed
from nearbit.indexing_places import is_gone, names_a_file
from nearbit.model.load import staying
from nearbit.progress import Progress, silent

if TYPE_CHECKING:
    from nearbit.model.bundle import Model
    from nearbit.model.onnx import OnnxModel

ENDING = "-reencoding"
"""What the name of the unfinished index has behind that of the one whose place it takes."""
STAGE = "Encoding anew"


def reencode(
    path: str | Path,
    model: "Model | OnnxModel",
    *,
    notes: Mapping[str, str] | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    progress: Progress = silent,
) -> int:
    """Let an index hold codes of another model, whole or not at all, while others read it and write to it.

    A second index is filled beside the first, from the image files where they are now, and takes its place in one step.
    Interrupted, the same call goes on where it stopped. What is written to the index meanwhile is taken along. A file
    whose content has changed is encoded as it is, and its item gets its digest.

    Args:
        path: of the index.
        model: what makes the new codes; of any length.
        notes: notes of the index that change with the model, such as where it lies.
        device: "auto", "cpu", "cuda", …
        cache: a folder that keeps features by content; None for that of the user.
        progress: called as ("Encoding anew", items done, items in all).

    Returns:
        How many items were given new codes; 0 where the index holds codes of this model already.

    Raises:
        InputError: the model takes features and no images, or the index lies in a server.
        DataError: an item has no image file, or one that is gone or cannot be read: the index is as it was.
        IndexBusyError: another process writes to the index for long, or encodes it anew at the same time.
        IndexFileError: a file cannot be read or written: the index is as it was.
    """
    of_pixels(model.preprocessing, "an index of images")
    folder, kept = file_of(path), cache_folder() if cache is None else path_of("cache", cache)
    busy = IndexBusyError(
        f"the index {folder} is being encoded anew by another process: wait until it is done, then try again"
    )
    with alone(folder.with_name(f"{folder.name}{ENDING}-lock"), busy):  # what one has filled is another's to remove
        while True:
            n_items = _reencoded(folder, model, notes or {}, device, kept, progress)
            if n_items is not None:
                return n_items


def _reencoded(
    path: Path, model: "Model | OnnxModel", notes: Mapping[str, str], device: str, cache: Path, progress: Progress
) -> int | None:
    """Encode an index anew as it is now; return how many items have new codes, None where it was changed meanwhile."""
    aside = path.with_name(path.name + ENDING)
    with open_index(path) as opened:
        index = of_a_file(opened, "codes of another model")
        if index.model_id == model.model_id:
            remove_successor(aside)
            return 0
        index.set_notes({})  # a file of an old format becomes one whose changes can be told
        state = index.state()
        _check_files_are_there(index)
        work = _Work(index, model, device, cache, progress)
        with (
            staying(model, device),
            begin_successor(index, aside, model.n_bits, model.model_id) as new,
            new.writing(),
        ):
            n_items = work.fill(new)
    if not succeed(path, aside, state, notes):
        return None
    remove_successor(aside)
    return n_items


@final
@dataclass
class _Work:
    """What encodes the items of one index for another."""

    index: Index
    model: "Model | OnnxModel"
    device: str
    cache: Path
    progress: Progress
    problems: list[str] = field(default_factory=list)

    def fill(self, new: Index) -> int:
        """Let the new index hold the items of the old one as they are now; return how many these are."""
        total, done, last = len(self.index), 0, -1
        rows: Any = self.model.row_cache(self.cache, self.device)
        while page := self.index.items_after(last, CHUNK):
            end = page[-1].id
            there = {item.id: item for item in _between(new, last, end)}
            _remove(new, there.keys() - {item.id for item in page})
            self._put(new, [item for item in page if not _is_same(item, there.get(item.id))], rows)
            last, done = end, done + len(page)
            self.progress(STAGE, done, max(total, done))
        _remove(new, [item.id for item in _between(new, last, None)])
        if self.problems:
            raise _refusal(self.index, self.problems)
        return done

    def _put(self, new: Index, items: Sequence[Item], rows: Any) -> None:
        """Encode items and put them into the new index; note those that cannot be read."""
        folder = self.index.path.absolute().parent
        files = [folder / str(item.path) for item in items]
        checked = check_files(files, self.cache)
        good = [number for number, one in enumerate(checked) if one.digest]
        self._note(items, checked)
        if not good:
            return
        digests = tuple(checked[number].digest for number in good)
        known = KnownFiles(digests, [checked[number].stamp for number in good])
        images = Dataset(
            name=self.index.path.name,
            source=GivenImages(tuple(files[number] for number in good), known),
            keys=tuple(f"item {items[number].id}: {items[number].path}" for number in good),
            labels=np.zeros((len(good), 0), np.bool_),
            classes=(),
            digests=digests,
        )
        encoded = self.model.encode_dataset(images, device=self.device, cache=rows)
        self.problems += [f"{one.path}: {one.reason}" for one in encoded.problems]
        chosen = [good[row] for row in encoded.rows.tolist()]
        metadata = [_facts(items[number]) | {"digest": checked[number].digest} for number in chosen]
        new.add(
            binarize(encoded.outputs),
            ids=[items[number].id for number in chosen],
            metadata=metadata,
            outputs=None if new.outputs is None else encoded.outputs,
            replace=True,
        )

    def _note(self, items: Sequence[Item], checked: Sequence[Checked]) -> None:
        self.problems += [f"{item.path}: {one.reason}" for item, one in zip(items, checked, strict=True) if one.reason]


def _facts(item: Item) -> dict[str, Any]:
    """Return the metadata of an item, as `Index.add` takes it."""
    own: dict[str, Any] = {"path": item.path, "labels": list(item.labels), "digest": item.digest}
    return item.metadata | {name: value for name, value in own.items() if value is not None}


def _is_same(old: Item, new: Item | None) -> bool:
    """Return whether an item was taken over already, as it is now."""
    return new is not None and _facts(old) == _facts(new)


def _between(index: Index, after: int, end: int | None) -> Iterator[Item]:
    """Yield the items of an index with ids above `after`, up to `end`."""
    while page := index.items_after(after, CHUNK):
        for item in page:
            if end is not None and item.id > end:
                return
            yield item
        after = page[-1].id


def _remove(index: Index, ids: Any) -> None:
    if ids:
        index.remove(sorted(ids))


def _check_files_are_there(index: Index) -> None:
    """Raise `DataError` at once where an item has no file: encoding may take hours."""
    folder, missing = index.path.absolute().parent, []
    for item in index:
        if not item.path or not names_a_file(item.path, folder):
            missing.append(f"item {item.id} has no image file")
        elif is_gone(folder, item.path):
            missing.append(f"{item.path} is gone")
    if missing:
        raise _refusal(index, missing)


def _refusal(index: Index, problems: Sequence[str]) -> DataError:
    more = ", …" if len(problems) > 3 else ""
    return DataError(
        f"{len(problems)} of {len(index)} items of {index.path} cannot be encoded anew, and it is as it was: "
        f"{'; '.join(problems[:3])}{more}: bring the images back (nearbit index sync with the folder where they are "
        "now gives moved ones their new paths), or remove these items (nearbit index remove, --missing or by their ids)"
    )
