"""The names of classes that lists give by numbers: `classes.txt` or `class_names.txt` beside them, else the numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from nearbit.datasets.formats.labels_file import text_of
from nearbit.datasets.formats.list_rows import ListRow
from nearbit.errors import DataError

CLASSES = "classes.txt"
_NAMES_FILES = (CLASSES, "class_names.txt")
_MOST_DIGITS = 9
"""A word of more digits is no number of a class."""

_Number = TypeVar("_Number", int, str)


def class_names(folder: Path, n_columns: int, rows: Iterable[ListRow]) -> tuple[dict[int, str], list[str]]:
    """Return the name of each class number, and what a person should know about that.

    Args:
        folder: of the lists; its `classes.txt` (or else `class_names.txt`), where there is one, has a name a line,
            perhaps after the number of the line.
        n_columns: 1 for class numbers; else the number of classes, which are counted from 0.
        rows: of all lists. Where every class lies in a folder of its own, called by another number of `classes.txt`
            than the class, that number names it: lists of NABirds number the 555 classes that have images anew. Not
            where folders only count from 1 what lists and names count from 0, or from 0 what these count from 1.

    Names that are more than the classes, so that none can be told to be right, leave the numbers in their place, with a
    note; numbers count from 0 where 0 occurs, else from 1.

    Raises:
        DataError: there are fewer names than classes (with columns: or more), a name occurs twice, or the file cannot
            be read.
    """
    rows = list(rows)
    numbers = sorted({number for row in rows for number in row.classes})
    file = next((folder / name for name in _NAMES_FILES if (folder / name).is_file()), None)
    as_numbers = {number: str(number) for number in (range(n_columns) if n_columns > 1 else numbers)}
    if file is None:
        return as_numbers, []
    try:
        return _named_by(file, n_columns, rows, numbers)
    except DataError as error:
        if file.name == CLASSES:
            raise
        return as_numbers, [f"classes are called by their numbers, for {error}"]  # that file may be of another set


def _named_by(
    file: Path, n_columns: int, rows: Sequence[ListRow], numbers: Sequence[int]
) -> tuple[dict[int, str], list[str]]:
    """Return the names that a file gives the classes of lists, and what is to be said of them."""
    lines = lines_of(file)
    own = own_numbers(lines)
    if n_columns == 1 and own is not None:
        folders = _folders(rows)
        is_shifted = _is_shifted(folders, first=min(own))
        if set(numbers) != set(own) and folders and not is_shifted and set(folders.values()) <= set(own):
            return {number: own[folders[number]] for number in numbers}, _of_folders(folders, own, file)
        if set(numbers) <= set(own) and (numbers[-1] == max(own) or is_shifted):
            return {number: own[number] for number in sorted(own)}, []
    if own is not None and list(own) in (list(range(len(own))), list(range(1, len(own) + 1))):
        return _in_order(file, list(own.values()), n_columns, numbers)
    if twice := next((name for name, count in Counter(lines).items() if count > 1), None):
        raise DataError(f"{file}: the class {twice!r} is named twice; give each class a name of its own")
    return _in_order(file, lines, n_columns, numbers)


def lines_of(file: Path) -> list[str]:
    """Return the lines of a text that are not blank, without blanks around them."""
    return [line.strip() for line in text_of(file).split("\n") if line.strip()]


def own_numbers(lines: Iterable[str]) -> dict[int, str] | None:
    """Return what follows the number of each line, or None where not each begins with a number of its own."""
    names: dict[int, str] = {}
    for line in lines:
        number, _, name = line.replace("\t", " ").partition(" ")
        if not _is_number(number) or not name.strip() or int(number) in names:
            return None
        names[int(number)] = name.strip()
    return told_apart(names) if names else None


def told_apart(names: Mapping[_Number, str]) -> dict[_Number, str]:
    """Return names by numbers, with the number before the name where several have one name."""
    several = Counter(names.values())
    return {number: name if several[name] == 1 else f"{number} {name}" for number, name in names.items()}


def _in_order(
    file: Path, names: Sequence[str], n_columns: int, numbers: Sequence[int]
) -> tuple[dict[int, str], list[str]]:
    """Return the names in the order of the classes; the numbers and a note where they are too many."""
    if n_columns > 1:
        if len(names) != n_columns:
            raise DataError(
                f"{file}: names {len(names)} classes, but the lists have {n_columns}; give a name a line for every "
                "class, or remove the file"
            )
        return dict(enumerate(names)), []
    first = 0 if numbers[0] == 0 else 1
    if numbers[-1] - first >= len(names):
        raise DataError(
            f"{file}: names {len(names)} classes, but the lists have the class {numbers[-1]}, counted from "
            f"{first}; give a name a line for every class, or remove the file"
        )
    if numbers[-1] - first + 1 < len(names):
        note = (
            f"{file.name} names {len(names):,} classes, and the last one of the lists is {numbers[-1]}, counted from "
            f"{first}: which name is whose cannot be told, so classes are called by their numbers; for names, give a "
            "name a line for every class of the lists"
        )
        return {number: str(number) for number in numbers}, [note]
    return dict(enumerate(names, start=first)), []


def _folders(rows: Iterable[ListRow]) -> dict[int, int]:
    """Return the number that the folder of each class is called by; nothing where not each class has its own."""
    found: dict[int, int] = {}
    for row in rows:
        folder = row.path.rpartition("/")[0].rpartition("/")[2]
        if not _is_number(folder) or found.setdefault(row.classes[0], int(folder)) != int(folder):
            return {}
    return found if len(set(found.values())) == len(found) else {}


def _is_shifted(folders: Mapping[int, int], first: int) -> bool:
    """Say whether folders count from 1 what names, the first of which has this number, count from 0; or from 0, from 1.

    Then the numbers of the lists are those of the names. Were the names those of the folders, lists would begin at -1
    or at 2. A list that lacks classes tells this as one that has all.
    """
    return first in (0, 1) and {folder - number for number, folder in folders.items()} == {1 - 2 * first}


def _of_folders(folders: Mapping[int, int], names: Mapping[int, str], file: Path) -> list[str]:
    """Say how classes were named, with the first that has another number than its folder."""
    one = next((number for number in sorted(folders) if folders[number] != number), None)
    if one is None:
        return []
    return [
        f"classes are named by the folders of their images: the images of class {one} lie in the folder "
        f"{folders[one]}, which {file.name} names {names[folders[one]]!r}"
    ]


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= _MOST_DIGITS
