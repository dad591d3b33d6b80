"""Text lists of the field: a path, then 0 or 1 for each class, or the number of a class; one file a part."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nearbit.datasets.formats.class_names import class_names
from nearbit.datasets.formats.format import FOR_FOLDERS, Format
from nearbit.datasets.formats.list_paths import ListPaths
from nearbit.datasets.formats.list_rows import ListRow, n_numbers, read_lists
from nearbit.datasets.formats.parts import PART_NAMES
from nearbit.datasets.listing import ListedImage, Listing
from nearbit.errors import DataError
from nearbit.reading import ReadingOptions

_PARTS = {stem: part for stem, part in PART_NAMES.items() if stem} | {"db": "database", "gallery": "database"}
"""What the name of a list says of its images."""

_ORDER = ("train", "validation", "query", "database")


def find_lists(folder: Path) -> Path | None:
    """Return the folder if it holds lists: `train.txt` and another part, and the first line of that is a row."""
    found = lists_in(folder)
    if "train" not in found or len(found) < 2:
        return None
    return folder if _begins_with_a_row(found["train"]) else None


def lists_in(folder: Path) -> dict[str, Path]:
    """Return the list of each part in a folder, in the order train, validation, query, database.

    Raises:
        DataError: two lists of one part.
    """
    found: dict[str, Path] = {}
    for stem, part in _PARTS.items():
        file = folder / f"{stem}.txt"
        if not file.is_file():
            continue
        if part in found:
            raise DataError(f"{folder}: both {found[part].name} and {file.name} are lists of the {part}; leave one out")
        found[part] = file
    return {part: found[part] for part in _ORDER if part in found}


def _begins_with_a_row(file: Path) -> bool:
    try:
        with open(file, encoding="utf-8-sig") as handle:
            first = next((line.split() for line in handle if line.strip()), [])
    except (OSError, UnicodeDecodeError):
        return False
    count = n_numbers(first)
    return count > 0 and any("." in word for word in first[:-count])


def list_lists(place: Path, options: ReadingOptions) -> Listing:
    """List the images of a folder of lists, or of one list.

    Args:
        place: a folder with `train.txt`, `test.txt` (the queries) and the like, or one such file. A row is a path and
            then one 0 or 1 for each class, or one class number; the same in all lists.
        options: `images` is the folder that paths are relative to, as they are or without leading folders of the
            machine that the lists were written on; None takes the folder of the lists.

    Returns:
        Images in the order of the lists, each once: one that is in several lists is in all of their parts. Classes are
        named by `classes.txt` beside the lists, one name a line, else by their numbers: see `class_names`.

    Raises:
        DataError: a list cannot be read as such, or gives an image other labels than another; with the line number.
    """
    files = lists_in(place) if place.is_dir() else {"": place}
    rows = read_lists(files.values())
    folder = place if place.is_dir() else place.parent
    names, notes = class_names(folder, rows.n_columns, (row for table in rows.rows.values() for row in table))
    gathered = _Gathered(names)
    paths = ListPaths(files, {file: [row.path for row in table] for file, table in rows.rows.items()}, options.images)
    for part, file in files.items():
        for row in rows.rows[file]:
            gathered.add(row, paths.find(file, row), part, file)
    return Listing(
        folder.name if place.is_dir() else place.stem,
        paths.root,
        gathered.items(),
        classes=tuple(names.values()),
        problems=tuple(paths.problems),
        read_as=f"lists of paths and {_form(rows.n_columns)}: {', '.join(file.name for file in files.values())}",
        notes=(*notes, *paths.notes, *gathered.notes()),
    )


def _form(n_columns: int) -> str:
    return "class numbers" if n_columns == 1 else f"0 or 1 for each of {n_columns} classes"


@dataclass
class _Gathered:
    """The images of all lists, each once, with the parts that it is in."""

    names: Mapping[int, str]
    parts: dict[str, list[str]] = field(default_factory=dict)
    labels: dict[str, tuple[int, ...]] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    twice: Counter[str] = field(default_factory=Counter)

    def add(self, row: ListRow, key: str | None, part: str, file: Path) -> None:
        """Take a row in; its image may have come from another list."""
        if key is None:
            return
        where = f"{file}, line {row.line}"
        if key not in self.labels:
            self.labels[key], self.first[key], self.parts[key] = row.classes, where, []
        elif self.labels[key] != row.classes:
            raise DataError(
                f"{where}: {row.path!r} has other labels than in {self.first[key]}; give each image the same"
            )
        if part and part not in self.parts[key]:
            self.parts[key].append(part)
        elif self.first[key] != where:
            self.twice[file.name] += 1

    def items(self) -> tuple[ListedImage, ...]:
        """Return the images in the order in which they came."""
        return tuple(
            ListedImage(key, tuple(self.names[number] for number in classes), "+".join(self.parts[key]))
            for key, classes in self.labels.items()
        )

    def notes(self) -> list[str]:
        """Say what a person should know: images named twice in one list, and parts that share images."""
        notes = [
            f"{file} names {count} {'image' if count == 1 else 'images'} more than once; each counts once"
            for file, count in self.twice.items()
        ]
        shared = Counter("+".join(parts) for parts in self.parts.values() if len(parts) > 1)
        return notes + [f"{count} images are in {_and(parts)}" for parts, count in sorted(shared.items())]


def _and(parts: str) -> str:
    words: Iterable[str] = parts.split("+")
    return " and ".join(words)


LISTS = Format(
    name="lists of paths and classes", read=list_lists, endings=(".txt",), find=find_lists, refuses=FOR_FOLDERS
)
