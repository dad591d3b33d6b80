"""Which files of a folder are text lists: told by their names, and by their first lines where it is not plain."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from nearbit.datasets.formats.list_rows import is_number, n_numbers
from nearbit.datasets.formats.parts import PART_NAMES
from nearbit.errors import DataError

_PARTS = {stem: part for stem, part in PART_NAMES.items() if stem} | {"db": "database", "gallery": "database"}
"""What the name of a list says of its images."""

_ORDER = ("train", "validation", "query", "database")
EXPECTED = "train.txt, val.txt, test.txt and database.txt"
_LINES, _LENGTH = 20, 65_536
"""So many lines are looked at, and so much of each."""

_PICTURE = re.compile(r"\.(jpe?g|jfif|png|bmp|gif|tiff?|webp|ppm|pgm|jp2|avif|heic)$", re.IGNORECASE)
_PATH = re.compile(r"[/\\]|\w\.\w")
_BETWEEN = re.compile(r"[\s,;|]+")


def find_lists(folder: Path) -> Path | None:
    """Return the folder if it holds lists of two parts, one of which begins with rows at least.

    A list that cannot be read counts: it is said then which line is wrong, where its pictures would be taken for
    folders of classes else. Text about the pictures in files so called is none.
    """
    found = list(_named(folder))
    if len({part for part, _ in found}) < 2:
        return None
    return folder if any(_looks_like_a_list(file) for _, file in found) else None


def lists_in(folder: Path) -> dict[str, Path]:
    """Return the list of each part in a folder, in the order train, validation, query, database.

    Raises:
        DataError: two lists of one part.
    """
    found: dict[str, Path] = {}
    for part, file in _named(folder):
        if part in found:
            raise DataError(f"{folder}: both {found[part].name} and {file.name} are lists of the {part}; leave one out")
        found[part] = file
    return {part: found[part] for part in _ORDER if part in found}


def unread_lists(folder: Path, *, as_folders: bool = False) -> list[str]:
    """Return a line on files of a folder that look like lists and are not read, and why, where there are such.

    With `as_folders` a level of folders was asked for; else other names, other tables, or being alone keep them out.
    """
    files = [file for file in _texts(folder) if _part_in(file.stem) and _looks_like_a_list(file)]
    if not files:
        return []
    *most, last = sorted(file.name for file in files)
    names = f"{', '.join(most)} and {last}" if most else last
    verb = "look like text lists and are" if most else "looks like a text list and is"
    why = (
        "the level of folders (--class-level, class_level=) says what the classes are"
        if as_folders
        else f"lists are called {EXPECTED} and lie together without other tables (--images names the folder of the "
        "pictures); one alone is read by its own name"
    )
    return [f"{names} {verb} not read: {why}"]


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the part and the file of each list by its name, capitals or not, in the order of the names of parts."""
    files = [file for file in _texts(folder) if file.stem.lower() in _PARTS]
    for file in sorted(files, key=lambda file: (list(_PARTS).index(file.stem.lower()), file.name)):
        yield _PARTS[file.stem.lower()], file


def _texts(folder: Path) -> list[Path]:
    try:
        return [file for file in folder.iterdir() if file.suffix.lower() == ".txt" and file.is_file()]
    except OSError:
        return []  # what reads the folder says so


def _part_in(stem: str) -> str:
    """Return the one part that a name such as train_list tells, or ""."""
    words = {_PARTS[word] for word in re.split(r"[^a-z]+", stem.lower()) if word in _PARTS}
    return words.pop() if len(words) == 1 else ""


def _looks_like_a_list(file: Path) -> bool:
    """Say whether half of the first lines of a text are rows or more, well written or not."""
    try:
        with open(file, "rb") as handle:
            head = [line for line in islice(iter(lambda: handle.readline(_LENGTH), b""), 4 * _LINES) if line.strip()]
    except OSError:
        return False
    coding = "utf-16" if head and head[0][:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    lines = b"".join(head).decode(coding, errors="replace").splitlines()[:_LINES]
    rows = sum(_is_a_row(line) for line in lines)
    return rows > 0 and 2 * rows >= len(lines)


def is_picture(path: str) -> bool:
    """Say whether a path ends as names of pictures do."""
    return _PICTURE.search(path) is not None


def _is_a_row(line: str) -> bool:
    """Say whether a line is a path with numbers, or begins with a picture; in quotes or between commas too."""
    words = [word for text in _BETWEEN.split(line) if (word := text.strip("\"'"))]
    if not words:
        return False
    count = n_numbers(words)
    return is_picture(words[0]) or (
        count > 0 and any(_PATH.search(word) and not is_number(word) for word in words[:-count])
    )
