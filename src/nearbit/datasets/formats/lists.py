"""Text lists of the field: a path, then 0 or 1 for each class, or the number of a class; one file a part."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nearbit.datasets.formats.class_names import class_names
from nearbit.datasets.formats.format import FOR_FOLDERS, Format
from nearbit.datasets.formats.labels_file import SHOWN
from nearbit.datasets.formats.list_names import EXPECTED, find_lists, list_alone, lists_in
from nearbit.datasets.formats.list_paths import ListPaths
from nearbit.datasets.formats.list_rows import ListRow, ListRows, TextList, read_lists
from nearbit.datasets.listing import ListedImage, Listing
from nearbit.errors import DataError
from nearbit.names import counted
from nearbit.reading import ReadingOptions


def list_lists(place: Path, options: ReadingOptions) -> Listing:
    """List the images of a folder of lists, or of one list.

    Args:
        place: a folder with `train.txt`, `test.txt` (the queries) and the like, or one such file. A row is a path and
            then one 0 or 1 for each class (1.0 or -1 too), or one class number; the same in all lists. Labels may stand
            in a file of their own (`test_img.txt`, `test_label.txt`).
        options: `images` is the folder that paths are relative to, as they are or without leading folders of the
            machine that the lists were written on; None takes the folder of the lists.

    Returns:
        Images in the order of the lists, each once: one that is in several lists is in all of their parts. Classes are
        named by `classes.txt` (or `class_names.txt`) beside the lists, one name a line, else by their numbers: see
        `class_names`.

    Raises:
        DataError: a list cannot be read as such, or gives an image other labels than another; with the line number.
    """
    files = lists_in(place) if place.is_dir() else [("", list_alone(place))]
    rows = read_lists(file for _, file in files)
    folder = place if place.is_dir() else place.parent
    names, notes = class_names(folder, rows.n_columns, (row for table in rows.rows.values() for row in table))
    gathered = _Gathered(names)
    paths = ListPaths(rows.rows, options.images)
    for part, file in files:
        for row in rows.rows[file]:
            gathered.add(row, paths.find(file, row), part, file)
    return Listing(
        folder.name if place.is_dir() else place.stem,
        paths.root,
        gathered.items(),
        classes=tuple(names.values()),
        problems=tuple(paths.problems),
        read_as=f"lists of paths and {_form(rows)}: {', '.join(file.name for _, file in files)}",
        notes=(*notes, *paths.notes, *gathered.notes(), *_missing({part for part, _ in files})),
    )


def _form(rows: ListRows) -> str:
    return "class numbers" if rows.n_columns == 1 else f"{rows.absent} or 1 for each of {rows.n_columns} classes"


def _missing(parts: Collection[str]) -> list[str]:
    """Say which list there is none of that a split needs; one list by its name gives no parts."""
    missing = [part for part in ("train", "query") if part not in parts and "" not in parts]
    return [f"no list of the {part} images lies here; lists are {EXPECTED}" for part in missing]


@dataclass
class _Gathered:
    """The images of all lists, each once, with the parts that it is in."""

    names: Mapping[int, str]
    parts: dict[str, list[str]] = field(default_factory=dict)
    labels: dict[str, tuple[int, ...]] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    twice: Counter[str] = field(default_factory=Counter)

    def add(self, row: ListRow, key: str | None, part: str, file: TextList) -> None:
        """Take a row in; its image may have come from another list."""
        if key is None:
            return
        where = f"{file}, line {row.line}"
        if key not in self.labels:
            self.labels[key], self.first[key], self.parts[key] = row.classes, where, []
        elif self.labels[key] != row.classes:
            raise DataError(
                f"{where}: {row.path[:SHOWN]!r} has other labels than in {self.first[key]}; give each image the same"
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
            f"{file} names {counted(count, 'image', 'images')} more than once; each counts once"
            for file, count in self.twice.items()
        ]
        shared = Counter("+".join(parts) for parts in self.parts.values() if len(parts) > 1)
        return notes + [
            f"{counted(count, 'image is', 'images are')} in {_and(parts)}" for parts, count in sorted(shared.items())
        ]


def _and(parts: str) -> str:
    words: Iterable[str] = parts.split("+")
    return " and ".join(words)


LISTS = Format(
    name="lists of paths and classes", read=list_lists, endings=(".txt",), find=find_lists, refuses=FOR_FOLDERS
)
