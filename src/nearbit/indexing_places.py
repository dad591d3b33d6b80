"""Whether the images of an index lie where it says: files that are gone, and the items that go with them."""

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePath

from nearbit.errors import DataError
from nearbit.index import Home

MOST_LOOKED_AT = 10_000
"""So many files are looked for where nobody asked for all of them: a second on a slow drive."""

PAGES, PAGE = 20, 50
"""The items that a service looks at as it begins: so many pages of so many items."""

MOST_ID = 2**63 - 1

NAMED = 3
"""Folders that are named in a message."""

SHARD = re.compile(r"\.(tar|parquet)/")
"""What stands between the name of a shard and that of an image within."""


ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
"""How the path of an image begins that lies far away; that of a file never has two slashes side by side."""


@dataclass(frozen=True)
class Gone:
    """What a look for the files of an index found.

    Attributes:
        looked_at: how many files were looked for.
        files: how many items have a file of their own; those of built-in data sets and of shards have none.
        ids: of the items whose file is gone, ascending.
        paths: their paths, as the index keeps them.
    """

    looked_at: int
    files: int
    ids: tuple[int, ...]
    paths: tuple[str, ...]

    @property
    def words(self) -> str:
        """How many are gone, of how many, and from where: "12 of 30 files are gone (photos/a: 10, photos/b: 2)"."""
        folders = Counter(str(PurePath(path).parent) for path in self.paths).most_common()
        named = ", ".join(f"{folder}: {count}" for folder, count in folders[:NAMED])
        more = f", and {len(folders) - NAMED} more folders" if len(folders) > NAMED else ""
        seen = f"{self.looked_at} files" if self.looked_at == self.files else f"{self.looked_at} files looked at"
        return f"{len(self.ids)} of {seen} {'is' if len(self.ids) == 1 else 'are'} gone ({named}{more})"


def is_gone(folder: Path, path: str) -> bool:
    """Return whether a path, seen from `folder`, leads to nothing; False where it may not be looked at."""
    try:
        (folder / path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def names_a_file(path: str, folder: Path) -> bool:
    """Return whether a path, seen from `folder`, is that of a file, be it there or not.

    One with an ending is, unless it lies within a shard; one without is where a file is there: others name a built-in
    image. A folder may be called as a shard is. An address is none of a file here.
    """
    if ADDRESS.match(path):
        return False
    shard = SHARD.search(path)
    if shard is not None:
        return os.path.isdir(folder / path[: shard.end() - 1])  # noqa: PTH112 - Path raises where it may not look
    name = path.rpartition("/")[2]
    if name in ("", ".", "..") or os.sep != "/":
        has_ending = PurePath(path).suffix != ""
    else:
        has_ending = 0 < name.rfind(".") < len(name) - 1
    return has_ending or os.path.isfile(folder / path)  # noqa: PTH113 - as above


def is_relative(path: str, folder: Path) -> bool:
    """Return whether a path leads somewhere from `folder`, and is to be another one where it is seen from elsewhere."""
    if Path(path).is_absolute() or ADDRESS.match(path):
        return False
    shard = SHARD.search(path)
    return names_a_file(path, folder) or (shard is not None and (folder / path[: shard.end() - 1]).is_file())


def is_missing(folder: Path, path: str | None) -> bool:
    """Return whether the file of an item is gone."""
    return bool(path) and names_a_file(str(path), folder) and is_gone(folder, str(path))


def look_for_files(index: Home, most: int | None = MOST_LOOKED_AT) -> Gone:
    """Look for the files of an index, for `most` of them evenly spread, or for all where `most` is None."""
    folder = index.folder
    named = [(item_id, path) for path, item_id, _ in index.paths() if names_a_file(path, folder)]
    chosen = named if most is None else named[:: max(1, -(-len(named) // most))]
    gone = [(item_id, path) for item_id, path in chosen if is_gone(folder, path)]
    return Gone(len(chosen), len(named), tuple(item_id for item_id, _ in gone), tuple(path for _, path in gone))


def sample_files(index: Home) -> Gone:
    """Look for the files of at most 1,000 items spread over an index, in a time that does not depend on its size."""
    n_items, folder, ids = len(index), index.folder, _span_of_ids(index)
    starts = {ids.start + (ids.stop - ids.start) * page // PAGES for page in range(PAGES)}
    items = {item.id: item for start in sorted(starts) for item in index.items_after(start - 1, PAGE)}
    named = {item_id: str(item.path) for item_id, item in items.items() if names_a_file(item.path or "", folder)}
    gone = {item_id: path for item_id, path in named.items() if is_gone(folder, path)}
    return Gone(len(named), len(named) if len(items) == n_items else n_items, tuple(gone), tuple(gone.values()))


def _span_of_ids(index: Home) -> range:
    """Return the ids from the least to the greatest; as many looks as an id has bits find the latter in every home."""
    first = index.items_after(-1, 1)
    if not first:
        return range(0)
    last, above = first[0].id, MOST_ID + 1
    while above - last > 1:
        middle = (last + above) // 2
        found = index.items_after(middle - 1, 1)
        last, above = (found[0].id, above) if found else (last, middle)
    return range(first[0].id, last + 1)


def remove_missing(index: Home, *, even_all: bool = False, only_count: bool = False) -> Gone:
    """Remove the items whose files are gone, and return what was found.

    Args:
        index: an open index.
        even_all: remove them where not one file is left, too.
        only_count: remove nothing.

    Raises:
        DataError: not one file is left, as where a disk is not mounted (without `even_all`); nothing is removed.
        IndexFileError: the file cannot be written.
    """
    if only_count:
        return look_for_files(index, None)
    with index.writing():
        gone = look_for_files(index, None)
        if gone.ids and len(gone.ids) == gone.files and not even_all:
            raise DataError(
                f"{index.address}: {gone.words}, that is all; is a disk not mounted, or was the folder moved (then "
                "nearbit index sync with the folder where the images are now keeps their ids)? To remove all of them, "
                "add --force"
            )
        index.remove(list(gone.ids), missing_ok=True)
    return gone
