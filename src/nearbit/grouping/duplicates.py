"""Groups of near-duplicate pictures in an index, and which picture of each group to keep. No file is ever touched."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from nearbit.codes import hamming_distances
from nearbit.datasets.decoding.decode import image_size
from nearbit.errors import ImageError, InputError
from nearbit.files.writing import sha256_of
from nearbit.given import check_choice
from nearbit.grouping.same_pictures import groups_that_look_alike
from nearbit.index import Home, Item
from nearbit.index.results import Ids
from nearbit.progress import Progress, silent

Keep = Literal["largest", "first"]

MOST_SHARE = 0.2
"""Where a group holds more than this share of all items, the codes tell classes apart and not pictures."""
FEW_ITEMS = 20
"""Groups of at most so many items are no sign of that."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One picture of a group.

    Attributes:
        id: its item.
        distance: to the one that is kept, in bits.
        path: as the index keeps it.
        file: where the file is; None where there is none.
        width: in pixels, as stored; None where it was not read.
        height: the same.
        n_bytes: of the file; None where there is none.
        labels: of the item.
        digest: content hash of the picture, the same for equal bytes.
    """

    id: int
    distance: int
    path: str | None
    file: str | None
    width: int | None
    height: int | None
    n_bytes: int | None
    labels: tuple[str, ...]
    digest: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready data."""
        return vars(self) | {"id_text": str(self.id), "labels": list(self.labels)}


@dataclass(frozen=True)
class DuplicateGroup:
    """Pictures that are near each other: the one to keep, and the others by distance to it, then by id."""

    kept: Copy
    others: tuple[Copy, ...]

    @property
    def has_one_label_set(self) -> bool:
        """Whether all of them have the same labels."""
        return all(set(one.labels) == set(self.kept.labels) for one in self.others)

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready data."""
        others = [one.to_dict() for one in self.others]
        return {"kept": self.kept.to_dict(), "others": others, "same_labels": self.has_one_label_set}


@dataclass(frozen=True)
class Duplicates:
    """The groups of an index, the largest first.

    Attributes:
        radius: in bits; of each step of the chain that joins a group.
        keep: the rule by which one of each group is kept.
        n_items: items of the index.
        groups: the groups.
        unread: how many pictures that were to be compared could not be read, and are in no group therefore.
    """

    radius: int
    keep: str
    n_items: int
    groups: tuple[DuplicateGroup, ...]
    unread: int = 0

    @property
    def n_others(self) -> int:
        """How many items are not kept."""
        return sum(len(group.others) for group in self.groups)

    def removable(self) -> list[str]:
        """Return the files that are not kept, each once; none that is the same file as one that is kept.

        None is returned of a group whose kept file is gone or holds something else than when it was indexed: another
        one may be the last. So the files that are kept are read.
        """
        kept, found = set(self._kept), dict[Any, str]()
        for group, own in zip(self.groups, self._kept, strict=True):
            for one in group.others if own is not None else ():
                identity = _identity(one.file)
                if identity and identity not in kept:
                    found.setdefault(identity, str(one.file))
        return list(found.values())

    def held_back(self) -> int:
        """Return of how many groups `removable` returns none, because the kept file may not be what it was."""
        return self._kept.count(None)

    @cached_property
    def _kept(self) -> list[tuple[int, int] | None]:
        """What tells the file that each group keeps from others; None where it is not what was indexed."""
        return [_identity(group.kept.file) if _is_as_indexed(group.kept) else None for group in self.groups]

    @property
    def tell_classes(self) -> bool:
        """Whether so many items are in groups that the codes seem to tell classes apart, and not pictures."""
        largest = max((len(group.others) + 1 for group in self.groups), default=0)
        return largest > max(FEW_ITEMS, MOST_SHARE * self.n_items) or self.n_others > 2 * self.n_items // 3

    def advice(self) -> list[str]:
        """Return what a person should know before acting on the groups."""
        lines = []
        if self.tell_classes:
            lines.append(
                f"of {self.n_items} items {self.n_others} lie within {self.radius} bits of another one: codes trained "
                "on classes tell classes apart, not pictures; take a smaller "
                "--radius, or --confirm, which compares the pictures themselves"
            )
        differing = sum(not group.has_one_label_set for group in self.groups)
        if differing:
            lines.append(f"{differing} of {len(self.groups)} groups hold different labels: is one of them wrong?")
        if self.unread:
            lines.append(f"{self.unread} pictures could not be read, so that they were compared with none")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready data."""
        return {
            "radius": self.radius,
            "keep": self.keep,
            "items": self.n_items,
            "n_groups": len(self.groups),
            "n_others": self.n_others,
            "unread": self.unread,
            "advice": self.advice(),
            "groups": [group.to_dict() for group in self.groups],
        }


def find_duplicates(
    index: Home, radius: int = 3, *, keep: Keep = "largest", confirm: bool = False, progress: Progress = silent
) -> Duplicates:
    """Return the groups of an index that pairs within a radius join, and which picture of each to keep.

    Args:
        index: an open index.
        radius: in bits, of each pair; the ends of a chain may lie farther apart.
        keep: "largest" keeps the picture of most pixels, then of most bytes, then of the smallest id (what cannot be
            read counts nothing); "first" keeps the smallest id of those that have a file, and reads none.
        confirm: whether pictures must look alike, too: each pair is compared by a difference hash of its pixels (see
            `nearbit.grouping.same_pictures`).
        progress: called as ("comparing pictures" or "looking at files", done, total).

    Returns:
        the groups, the largest first. Nothing is deleted or written.

    Raises:
        InputError: no such radius or rule.
        IndexFileError: the index cannot be read.
    """
    check_choice("keep", keep, get_args(Keep))
    groups, unread = list(index.groups(radius)), 0
    if confirm:
        groups, unread = groups_that_look_alike(index, groups, radius, progress)
    total, done, found = sum(map(len, groups)), 0, []
    for ids in groups:
        found.append(_decided(index, ids, keep))
        done += len(ids)
        progress("looking at files", done, total)
    return Duplicates(radius, keep, len(index), tuple(found), unread)


def _decided(index: Home, ids: Ids, keep: str) -> DuplicateGroup:
    """Return a group with the picture that is kept first."""
    folder = index.folder
    items = index.items(ids)
    facts = [_facts(folder, item, with_size=keep == "largest") for item in items]
    rank = (lambda row: facts[row][0] is None) if keep == "first" else (lambda row: _rank(facts[row]))
    best = min(range(len(items)), key=lambda row: (rank(row), items[row].id))
    codes = np.stack([item.code for item in items])
    away = hamming_distances(codes[best : best + 1], codes, index.n_bits)[0].tolist()
    copies = [_copy(item, distance, own) for item, distance, own in zip(items, away, facts, strict=True)]
    others = sorted((copy for row, copy in enumerate(copies) if row != best), key=lambda one: (one.distance, one.id))
    return DuplicateGroup(copies[best], tuple(others))


_Facts = tuple[str | None, int | None, int | None, int | None]


def _facts(folder: Path, item: Item, *, with_size: bool) -> _Facts:
    """Return file, width, height and bytes of an item's picture, each None where it is not known."""
    if not item.path or "\0" in item.path:
        return None, None, None, None
    file = Path(os.path.normpath(folder / item.path))
    try:
        n_bytes = file.stat().st_size if file.is_file() else None
    except OSError:
        n_bytes = None
    if n_bytes is None:
        return None, None, None, None
    width = height = None
    if with_size:
        with suppress(ImageError):  # such a picture ranks behind those that can be read
            width, height = image_size(file)
    return str(file), width, height, n_bytes


def _rank(facts: _Facts) -> tuple[int, int]:
    """Return a number pair that is smaller for a larger picture."""
    _, width, height, n_bytes = facts
    return -(width or 0) * (height or 0), -(n_bytes or 0) if width else 0


def _copy(item: Item, distance: int, facts: _Facts) -> Copy:
    file, width, height, n_bytes = facts
    return Copy(
        id=item.id, distance=distance, path=item.path, file=file, width=width, height=height, n_bytes=n_bytes,
        labels=item.labels, digest=item.digest,
    )  # fmt: skip


def _identity(file: str | None) -> tuple[int, int] | None:
    """Return what tells a file from others whatever its name; None where there is none any more."""
    if file is None:
        return None
    try:
        facts = Path(file).stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _is_as_indexed(kept: Copy) -> bool:
    """Return whether a file holds what its item was made of; an item without a digest tells nothing of that."""
    if kept.file is None:
        return False
    try:
        return kept.digest is None or sha256_of(Path(kept.file)) == kept.digest
    except OSError:
        return False


def acted_on(duplicates: Duplicates) -> Sequence[str]:
    """Return the files that are not kept as lines of a list; raise `InputError` where a name would be two lines."""
    files = duplicates.removable()
    broken = [file for file in files if "\n" in file or "\r" in file]
    if broken:
        raise InputError(f"the name {broken[0]!r} would be two lines of a list: take a .csv or .json file")
    return files
