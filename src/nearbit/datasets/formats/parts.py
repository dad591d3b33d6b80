"""The parts that people's own files give their images, and the split file that names them."""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nearbit.datasets.formats.table import read_table
from nearbit.datasets.listing import Listing
from nearbit.errors import DataError, did_you_mean

PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "query",
    "testing": "query",
    "query": "query",
    "database": "database",
    "": "",
}
"""The names of parts that are understood, and the word of this project for each."""


def part_named(text: str, where: str) -> str:
    """Return the part that a name stands for; raise `DataError` for an unknown one, beginning with `where`."""
    part = PART_NAMES.get(text.strip().lower())
    if part is None:
        known = tuple(name for name in PART_NAMES if name)
        hint = did_you_mean(text.strip().lower(), known)
        raise DataError(f"{where}: the split must be one of {', '.join(known)} or empty, not {text!r}.{hint}")
    return part


def with_parts(listing: Listing, split_file: Path | None) -> Listing:
    """Return the listing with the parts of a split file: the one named, else `split.csv` in its folder if there is one.

    A found `split.csv` gives way to parts that the listing has already (a column `split` of its labels file).

    Raises:
        DataError: the file cannot be read as columns path and split, or names images that the listing has not.
    """
    file = split_file
    if file is None:
        beside = listing.root / "split.csv"
        if any(item.part for item in listing.items) or not beside.is_file():
            return listing
        file = beside
    parts = read_split_file(file)
    known = {item.key for item in listing.items} | {problem.path for problem in listing.problems}
    _refuse_unknown(file, parts, known)
    items = tuple(replace(item, part=parts.get(item.key, "")) for item in listing.items)
    return replace(listing, items=items)


def read_split_file(file: Path) -> dict[str, str]:
    """Return the part of each path of a split file (CSV with the columns path and split; TSV likewise)."""
    parts: dict[str, str] = {}
    for line, row in read_table(file, required=("path", "split")):
        path = row["path"].removeprefix("./")
        if path in parts:
            raise DataError(f"{file}, line {line}: {path!r} is there twice; give each path once")
        parts[path] = part_named(row["split"], f"{file}, line {line}")
    return parts


def write_split_file(file: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Write a split file that `read_split_file` reads: (path, part) a row."""
    with open(file, "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([("path", "split"), *rows])


def _refuse_unknown(file: Path, parts: Mapping[str, str], known: Collection[str]) -> None:
    unknown = [path for path in parts if path not in known]
    if unknown:
        first = ", ".join(repr(path) for path in unknown[:3])
        raise DataError(
            f"{file}: {len(unknown)} of its {len(parts)} paths are not in the data set, the first: {first}; "
            "paths must be relative to the folder of the data set"
        )
