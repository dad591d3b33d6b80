"""Hierarchies of classes in files: what grades relevance, besides the superclasses that a data set comes with."""

import csv
from pathlib import Path

from nearbit.datasets.formats.labels_file import text_of
from nearbit.datasets.formats.numbered import HIERARCHY, read_numbered_hierarchy
from nearbit.errors import DataError

GIVEN = "given"
"""Stands for the superclasses that a data set came with."""


def read_hierarchy(file: Path) -> dict[str, str]:
    """Return the parent of each node that has one, by names.

    Args:
        file: CSV with lines `node,parent`; the `hierarchy.txt` of NABirds, with `classes.txt` beside it; or another
            `.txt` with lines `PARENT CHILD`, as WordNet's is-a relation and trees out of it are published; a line with
            a comma in it is `node,parent` there too.

    Raises:
        DataError: the file cannot be read as such, or a node is there twice; with the line number.
    """
    if file.name == HIERARCHY:
        return read_numbered_hierarchy(file)
    return _of_text(file) if file.suffix.lower() == ".txt" else _of_table(file)


def _of_table(file: Path) -> dict[str, str]:
    parents: dict[str, str] = {}
    try:
        with open(file, newline="", encoding="utf-8-sig") as handle:
            for number, row in enumerate(csv.reader(handle), start=1):
                _add_row(parents, row, f"{file}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the hierarchy {file} cannot be read as a CSV file: {error}") from error
    return parents


def _add_row(parents: dict[str, str], row: list[str], where: str) -> None:
    names = [name.strip() for name in row]
    if not any(names):
        return
    if len(names) != 2 or not all(names) or names[0] in parents:
        what = "a second parent of one name" if names[0] in parents else f"{len(names)} fields"
        raise DataError(f"{where}: expected class,parent, each class once; found {what}")
    parents[names[0]] = names[1]


def _of_text(file: Path) -> dict[str, str]:
    parents: dict[str, str] = {}
    for number, line in enumerate(text_of(file).split("\n"), start=1):
        if "," in line:
            _add_row(parents, next(csv.reader([line])), f"{file}, line {number}")
            continue
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise DataError(f"{file}, line {number}: expected PARENT CHILD, came {line.strip()[:60]!r}")
        parent, child = words
        if child in parents:
            raise DataError(
                f"{file}, line {number}: {child!r} lies below {parents[child]!r} already, and here below {parent!r}; "
                "grades need a tree, so leave one of the two out (WordNet is none; trees out of it are published)"
            )
        parents[child] = parent
    return parents
