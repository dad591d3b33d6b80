"""A split: which rows of a data set train, validate, query and are searched, and what its parts share by content."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.datasets.dataset import PARTS, Dataset, fingerprint_of
from nearbit.errors import DataError
from nearbit.files.writing import json_digest, write_json
from nearbit.given import path_of
from nearbit.json_text import read_json

RowNumbers = npt.NDArray[np.int64]

FORMAT = "nearbit split"
VERSION = 1

PAIRS = (("query", "database"), ("query", "train"), ("query", "validation"), ("validation", "train"))
"""Pairs of parts that are compared."""

REFUSED = (("query", "database"), ("query", "train"), ("query", "validation"))
"""Pairs that may share nothing, unless the user allows it."""


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Row numbers of the four parts, ascending; rows in no part are left out of everything.

    Attributes:
        train: int64 `(n,)`.
        validation: int64 `(n,)`, for choosing; never in train.
        query: int64 `(n,)`.
        database: int64 `(n,)`, what the queries search; may hold train rows where the recipe says so.
        dataset: the name of the data set.
        recipe: how the split was made: protocol, seed, sizes.
        digests: SHA-256 of the content of all rows of the data set.
        keys: the names of all rows of the data set.
        fingerprint: of the data set.
        notes: what a person should know of how it was made, a line each.

    Raises:
        DataError: rows out of range, not ascending or not unique, or digests and keys of different lengths.
    """

    train: RowNumbers
    validation: RowNumbers
    query: RowNumbers
    database: RowNumbers
    dataset: str
    recipe: dict[str, Any]
    digests: tuple[str, ...]
    keys: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.keys) != len(self.digests):
            raise DataError(f"a split must have as many keys as digests, not {len(self.keys)} and {len(self.digests)}")
        for part in PARTS:
            rows = np.array(getattr(self, part), dtype=np.int64)
            _check_rows(part, rows, len(self.keys))
            rows.setflags(write=False)
            object.__setattr__(self, part, rows)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{size} {part}" for part, size in self.sizes().items())
        return f"Split({self.dataset!r}: {sizes})"

    def rows(self, part: str) -> RowNumbers:
        """Return the rows of a part named by one of `PARTS`."""
        if part not in PARTS:
            raise DataError(f"a split has the parts {', '.join(PARTS)}, not {part!r}")
        rows: RowNumbers = getattr(self, part)
        return rows

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the rows of each part and the digests of all rows."""
        return json_digest({"digests": list(self.digests), **{part: self.rows(part).tolist() for part in PARTS}})

    def sizes(self) -> dict[str, int]:
        """Return the number of rows of each part."""
        return {part: len(self.rows(part)) for part in PARTS}

    def check(self, dataset: Dataset) -> None:
        """Raise `DataError` unless `dataset` holds, row by row, what the split was made for (file names may differ)."""
        if len(dataset) != len(self.digests):
            raise DataError(
                f"the split was made for {len(self.digests)} images of {self.dataset}, but {dataset.name} has "
                f"{len(dataset)}; use the images it was made for, or train again on a new split"
            )
        rows = [row for row, digest in enumerate(dataset.digests) if digest != self.digests[row]]
        if rows:
            raise DataError(
                f"{len(rows)} of {len(dataset)} images of {dataset.name} are not those that the split was made for, "
                f"the first: {dataset.keys[rows[0]]!r} (then {self.keys[rows[0]]!r}); make a new split, or restore them"
            )
        if fingerprint_of(self.keys, self.digests, dataset.labels, dataset.classes) != self.fingerprint:
            raise DataError(
                f"the labels or classes of {dataset.name} have changed since the split; make a new split"
                + _other_level(self.recipe.get("class_level"), dataset.class_level)
            )

    def save(self, path: str | Path) -> None:
        """Write the split as JSON, whole or not at all."""
        path = path_of("path", path)
        parts = {part: self.rows(part).tolist() for part in PARTS}
        facts = {"dataset": self.dataset, "recipe": self.recipe, "fingerprint": self.fingerprint, "hash": self.hash}
        rows = {"keys": list(self.keys), "digests": list(self.digests)}
        said = {"notes": list(self.notes)} if self.notes else {}
        write_json(path, {"format": FORMAT, "version": VERSION, **facts, **said, "parts": parts, **rows}, indent=None)

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read a split that `save` wrote.

        Raises:
            DataError: no such file, not a split, of a newer version, changed since it was written, or with query images
                in train, in validation or in the database although its recipe does not allow that.
        """
        text = _read(Path(path))
        try:
            split = _from_json(text)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"{path}: a damaged split ({type(error).__name__}: {error}); make it again") from error
        if split.hash != text.get("hash"):
            raise DataError(f"{path}: its rows do not fit its hash: it was changed after it was written; make it again")
        if not split.recipe.get("allow_overlap", False):
            refuse_overlap(split)
        return split


def _other_level(then: Any, now: Any) -> str:
    """Return how to read the folders as they were read for the split, where that was asked for otherwise."""
    if then == now:
        return ""
    if then is None:
        return ", or leave --class-level out (class_level=), as when it was made"
    return f", or read the folders as it did: --class-level {then} (class_level={then!r})"


def load_split(path: str | Path) -> Split:
    """Read a split that `Split.save` wrote; see `Split.load`."""
    return Split.load(path_of("path", path))


def _read(path: Path) -> dict[str, Any]:
    text = read_json(path, "expected a split written by nearbit, but", DataError)
    if not isinstance(text, dict) or text.get("format") != FORMAT:
        raise DataError(f'{path}: expected a split written by nearbit ("format": "{FORMAT}"); it is something else')
    if not isinstance(text.get("version"), int) or text["version"] > VERSION:
        raise DataError(f"{path}: version {text.get('version')!r}; this nearbit reads up to {VERSION}: update nearbit")
    return text


def _from_json(text: Mapping[str, Any]) -> Split:
    parts = {part: np.array([_whole(row) for row in text["parts"][part]], np.int64) for part in PARTS}
    return Split(
        **parts,
        dataset=str(text["dataset"]),
        recipe=dict(text["recipe"]),
        digests=tuple(map(str, text["digests"])),
        keys=tuple(map(str, text["keys"])),
        fingerprint=str(text["fingerprint"]),
        notes=_notes(text.get("notes", [])),
    )


def _notes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("notes are no list")
    return tuple(map(str, value))


def _whole(row: Any) -> int:
    if not isinstance(row, int) or isinstance(row, bool):
        raise TypeError(f"{row!r} is not a row number")
    return row


def _check_rows(part: str, rows: RowNumbers, n_rows: int) -> None:
    if rows.ndim != 1 or (len(rows) and (rows[0] < 0 or rows[-1] >= n_rows or (np.diff(rows) <= 0).any())):
        raise DataError(f"{part} must be unique row numbers from 0 to {n_rows - 1}, ascending")


@dataclass(frozen=True)
class Shared:
    """What two parts share.

    Attributes:
        parts: the two parts, the first of them counted.
        by_row: rows of the first part that are rows of the second.
        by_content: rows of the first part whose content the second holds, in the same row or in another.
        first: the keys of the first such pair of rows, or None.
    """

    parts: tuple[str, str]
    by_row: int
    by_content: int
    first: tuple[str, str] | None


@dataclass(frozen=True)
class Overlap:
    """What each pair of `PAIRS` shares."""

    pairs: tuple[Shared, ...]

    def between(self, first: str, second: str) -> Shared:
        """Return what two parts share; raise `DataError` for a pair that is not compared."""
        for shared in self.pairs:
            if shared.parts == (first, second):
                return shared
        raise DataError(f"compared are {PAIRS}, not {(first, second)}")


def find_overlap(split: Split) -> Overlap:
    """Return what the parts of a split share, by row number and by content digest."""
    return Overlap(tuple(_shared(split, first, second) for first, second in PAIRS))


def refuse_overlap(split: Split) -> None:
    """Raise `DataError` where the content of a query image is also in the database, in train or in validation."""
    found, n_query = find_overlap(split), len(split.rows("query"))
    for pair in REFUSED:
        shared = found.between(*pair)
        if shared.first is not None:
            query, other = shared.first
            raise DataError(
                f"{shared.by_content} of {n_query} query images are also in {pair[1]}, by content: the first "
                f"is {query!r}, the same as {other!r}; take them out, or allow it (allow_overlap=True, --allow-overlap)"
            )


def _shared(split: Split, first: str, second: str) -> Shared:
    rows = split.rows(first).tolist()
    others = split.rows(second).tolist()
    same_row = set(others)
    row_of = {split.digests[row]: row for row in reversed(others)}
    both = [row for row in rows if split.digests[row] in row_of]
    pair = (split.keys[both[0]], split.keys[row_of[split.digests[both[0]]]]) if both else None
    return Shared((first, second), sum(row in same_row for row in rows), len(both), pair)
