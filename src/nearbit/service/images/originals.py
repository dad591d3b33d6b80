"""Where the pictures of items are: files below the folders that may be shown, or images of a built-in data set."""

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from PIL import Image

from nearbit.datasets import BUILT_IN, Dataset, load_dataset, open_image
from nearbit.errors import DataError, ImageError
from nearbit.index import Item
from nearbit.indexing_places import is_missing, names_a_file

KEPT_FOLDERS = 10_000
"""Folders whose real paths are kept."""


@final
class Originals:
    """Finds and reads the pictures of items. Thread-safe."""

    def __init__(self, index: Path, folders: Sequence[Path]) -> None:
        """Take the index file and the folders, beside its own, that pictures may be read from."""
        self._folder = index.absolute().parent
        self.roots = tuple(os.path.realpath(folder) for folder in (self._folder, *folders))
        self._real_folders: dict[str, str] = {}
        self._lock = threading.Lock()
        self._rows: dict[str, dict[str, int]] = {}
        self._datasets: dict[str, Dataset] = {}

    def file_of(self, item: Item) -> Path | None:
        """Return the real path of an item's picture: of a regular file below one of the folders; else None.

        Links are followed first, so that none leads out of the folders.
        """
        if not item.path or "\0" in item.path:
            return None
        try:
            real = os.path.realpath(self._folder / item.path)
            is_file = stat.S_ISREG(os.lstat(real).st_mode)
        except (OSError, ValueError):
            return None
        return Path(real) if is_file and self._is_below_a_root(real) else None

    def has_file(self, item: Item) -> bool:
        """Return whether `file_of` finds a file, at less cost; see `look`."""
        return self.look(item)[0]

    def is_missing(self, item: Item) -> bool:
        """Return whether an item has a file that is gone; of one that may not be shown nothing is told."""
        return self.look(item)[1]

    def look(self, item: Item) -> tuple[bool, bool]:
        """Return whether an item has a picture that may be shown, and whether it has a file that is gone.

        The file is looked at once, and links among the folders are followed once and kept. It says what is offered, and
        nothing is read by it: `file_of` decides again when the file is asked for.
        """
        path = item.path
        if not path or "\0" in path:
            return False, False
        folder, _, name = path.rpartition("/")
        place = f"{self._real_folder(folder)}/{name}"
        try:
            mode = os.lstat(place).st_mode
        except (FileNotFoundError, NotADirectoryError):
            if name in ("", ".", ".."):
                return False, self._is_gone(path)
            return False, self._is_below_a_root(place) and names_a_file(path, self._folder)
        except (OSError, ValueError):
            return False, self._is_gone(path)
        if stat.S_ISREG(mode):
            return self._is_below_a_root(place), False
        return self.file_of(item) is not None, self._is_gone(path)

    def _real_folder(self, folder: str) -> str:
        """Return where a folder of items really is; it is looked up once."""
        real = self._real_folders.get(folder)
        if real is None:
            if len(self._real_folders) >= KEPT_FOLDERS:
                self._real_folders.clear()
            real = self._real_folders[folder] = os.path.realpath(self._folder / folder)
        return real

    def _is_gone(self, path: str) -> bool:
        """Return whether a path is one below the folders, and leads to nothing; all links are followed."""
        return self._is_below_a_root(os.path.realpath(self._folder / path)) and is_missing(self._folder, path)

    def _is_below_a_root(self, real: str) -> bool:
        return any(_is_below(root, real) for root in self.roots)

    def may_show(self, item: Item) -> bool:
        """Return whether an item has a picture that may be shown now."""
        return self.file_of(item) is not None or self.is_built_in(item)

    def is_built_in(self, item: Item) -> bool:
        """Return whether an item's picture comes from a built-in data set."""
        return self._built_in(item) is not None

    def image_of(self, item: Item, at_least: int) -> Image.Image:
        """Return an item's picture in RGB, upright; of a JPEG a reduced one, both sides at least so long.

        Raises:
            ImageError: it has none, or none that can be read.
        """
        file = self.file_of(item)
        if file is not None:
            return open_image(file, at_least)
        found = self._built_in(item)
        if found is None:
            raise ImageError("no picture of it lies in the folders that may be shown")
        dataset, row = found
        return dataset.source.read(row)

    def _built_in(self, item: Item) -> tuple[Dataset, int] | None:
        """Return the data set and the row of an item, if name and content are those of a built-in data set."""
        name, slash, _ = (item.path or "").partition("/")
        if not slash or name not in BUILT_IN:
            return None
        dataset = self._load(name)
        row = self._rows[name].get(item.path or "") if dataset is not None else None
        if dataset is None or row is None or dataset.digests[row] != item.digest:
            return None
        return dataset, row

    def _load(self, name: str) -> Dataset | None:
        """Return a built-in data set, read once; None where it is not on this machine."""
        with self._lock:
            if name not in self._rows:
                dataset: Any = None
                try:
                    dataset = load_dataset(name)
                except DataError:  # one that is downloaded, and was not
                    self._rows[name] = {}
                else:
                    self._datasets[name] = dataset
                    self._rows[name] = {key: row for row, key in enumerate(dataset.keys)}
            return self._datasets.get(name)


def _is_below(root: str, real: str) -> bool:
    return real.startswith(root.rstrip(os.sep) + os.sep)
