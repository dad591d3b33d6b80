"""A data set: images with their labels, names and content digests, and the images that had to be skipped."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.datasets.images import FileImages, ImageSource
from nearbit.errors import DataError, InputError
from nearbit.files.writing import json_digest, write_whole
from nearbit.names import counted

Labels = npt.NDArray[np.bool_]

PARTS = ("train", "validation", "query", "database")
"""The parts of a split."""


@dataclass(frozen=True)
class Problem:
    """Something that was skipped while a data set was read, and why; `path` is a file, a folder, or a class."""

    path: str
    reason: str
    is_class: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images with labels; row i of each field belongs to one image.

    Attributes:
        name: the name of a known data set, or of the folder or the file that it was read from.
        source: the images, `len(source)` rows.
        keys: a unique name of each row: the path below the root with "/" between its parts, or such as "digits/0001".
        labels: bool `(n, n_classes)`; `(n, 0)` where the images have no labels.
        classes: the names of the columns of `labels`.
        digests: SHA-256 of the content of each row, in hexadecimal.
        problems: what was skipped, with reasons.
        given_parts: the part that a split file gave each row (one of `PARTS`, or "" for none); a row of several parts
            has their names with "+" between ("train+database").
        parents: the superclass of each class ("" for none) where there is a hierarchy.
        mirror: whether a mirrored image means the same (False for digits and letters).
        is_whole: whether a folder or a labels file said that these are all images of the root (False for single files).
        read_as: in words, how folders or columns were understood; "" where there was nothing to understand.
        notes: what a person should know of it, a line each: another reading, names read as one class, copies of one
            picture with different labels.
        class_level: the `class_level` that was asked for when it was read.

    Raises:
        DataError: the fields do not fit together.
    """

    name: str
    source: ImageSource
    keys: tuple[str, ...]
    labels: Labels
    classes: tuple[str, ...]
    digests: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    given_parts: tuple[str, ...] | None = None
    parents: tuple[str, ...] | None = None
    mirror: bool = True
    is_whole: bool = False
    read_as: str = ""
    notes: tuple[str, ...] = ()
    class_level: str | int | None = None

    def __post_init__(self) -> None:
        _check_lengths(self)
        _check_unique(self.keys, "key")
        _check_unique(self.classes, "class")
        unknown = sorted({part for given in set(self.given_parts or ()) for part in parts_in(given)} - set(PARTS))
        if unknown:
            raise DataError(f"given_parts must be of {', '.join(PARTS)} or empty, not {unknown[0]!r}")

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        width = getattr(self.source, "width", None)
        rows = counted(len(self), "image", "images") if width is None else f"{len(self)} rows of {width} features"
        skipped = f", {len(self.problems)} skipped" if self.problems else ""
        return f"Dataset({self.name!r}: {rows}, {counted(self.n_classes, 'class', 'classes')}{skipped})"

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def chosen(self, rows: npt.ArrayLike | None = None) -> npt.NDArray[np.int64]:
        """Return the rows that are asked for, int64 `(n,)`: by their numbers, in that order, or by a bool for each row.

        Raises:
            InputError: other types or shapes, or a number of no row.
        """
        if rows is None:
            return np.arange(len(self))
        given = np.asarray(rows)
        if given.dtype == np.bool_ and given.shape == (len(self),):
            return np.flatnonzero(given)
        if given.ndim == 1 and not given.size:
            return np.empty(0, np.int64)
        if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
            raise InputError(
                f"rows must be row numbers (n,) or {len(self)} of True and False, not {given.dtype} {given.shape}"
            )
        if given.min() < 0 or given.max() >= len(self):
            raise InputError(f"rows must lie in 0 … {len(self) - 1}; they go from {given.min()} to {given.max()}")
        return given.astype(np.int64)

    @cached_property
    def is_single_label(self) -> bool:
        """Whether there are rows and each has exactly one label."""
        return len(self) > 0 and bool((self.labels.sum(axis=1) == 1).all())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over keys, digests, labels and classes: equal exactly where two data sets hold the same."""
        return fingerprint_of(self.keys, self.digests, self.labels, self.classes)

    @property
    def root(self) -> Path | None:
        """The folder that the files lie in; None for images that are not files."""
        return self.source.root if isinstance(self.source, FileImages) else None

    def label_names(self, row: int) -> tuple[str, ...]:
        """Return the names of the labels of one row, in the order of `classes`."""
        return tuple(self.classes[column] for column in np.flatnonzero(self.labels[row]))

    def summary(self) -> dict[str, Any]:
        """Return counts for printing: images, classes, images a class, labels an image, skipped."""
        a_class = self.labels.sum(axis=0)
        return {
            "name": self.name,
            "images": len(self),
            "classes": self.n_classes,
            "images_per_class": _spread(a_class),
            "labels_per_image": round(float(self.labels.sum()) / len(self), 3) if len(self) else 0.0,
            "skipped": len(self.problems),
        }


def parts_in(given: str) -> list[str]:
    """Return the parts of one row of `Dataset.given_parts`."""
    return given.split("+") if given else []


def fingerprint_of(keys: Sequence[str], digests: Sequence[str], labels: Labels, classes: Sequence[str]) -> str:
    """Return the SHA-256 over what a data set holds (not where it lies or what it is called)."""
    bits = np.packbits(labels, axis=None).tobytes().hex()
    return json_digest({"keys": list(keys), "digests": list(digests), "labels": bits, "classes": list(classes)})


def write_problems(path: Path, problems: Sequence[Problem]) -> None:
    """Write an errors file: JSON Lines, one object with "path" and "reason" a problem; whole or not at all."""
    import json

    lines = [json.dumps({"path": one.path, "reason": one.reason}, ensure_ascii=False) + "\n" for one in problems]
    write_whole(path, lambda aside: _write(aside, "".join(lines)))


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="\n")


def _spread(counts: npt.NDArray[np.int64]) -> dict[str, float]:
    if not len(counts):
        return {"min": 0, "median": 0.0, "max": 0}
    return {"min": int(counts.min()), "median": float(np.median(counts)), "max": int(counts.max())}


def _check_lengths(dataset: Dataset) -> None:
    rows, columns = len(dataset.keys), len(dataset.classes)
    if dataset.labels.dtype != np.bool_ or dataset.labels.shape != (rows, columns):
        came = f"{dataset.labels.dtype} {dataset.labels.shape}"
        raise DataError(f"labels must be bool of the shape (keys, classes) = ({rows}, {columns}), not {came}")
    given: dict[str, tuple[int, int | None]] = {
        "source": (rows, len(dataset.source)),
        "digests": (rows, len(dataset.digests)),
        "given_parts": (rows, None if dataset.given_parts is None else len(dataset.given_parts)),
        "parents": (columns, None if dataset.parents is None else len(dataset.parents)),
    }
    for field, (expected, came_length) in given.items():
        if came_length is not None and came_length != expected:
            raise DataError(f"{field} must have {expected} entries, not {came_length}")


def _check_unique(names: tuple[str, ...], kind: str) -> None:
    if len(set(names)) != len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise DataError(f"each {kind} must be unique, but {twice!r} occurs twice")
