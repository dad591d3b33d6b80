"""Which files of a folder are text lists: told by their names, and by their first lines where it is not plain."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

from nearbit.datasets.formats.list_rows import TextList, is_number, n_numbers
from nearbit.datasets.formats.parts import PART_NAMES
from nearbit.datasets.scan import is_picture
from nearbit.errors import DataError

_MORE = ("db", "gallery", "retrieval", "base")
_USUAL = {*PART_NAMES, "db", "gallery"} - {""}
_PARTS = {stem: part for stem, part in PART_NAMES.items() if stem} | dict.fromkeys(_MORE, "database")
"""What the name of a list says of its images."""

_IMAGES = frozenset({"img", "imgs", "image", "images"})
_LABELS = frozenset({"label", "labels", "target", "targets"})
_HOT = frozenset({"onehot", "one", "hot"})
"""What the names of two files say of which one holds the paths and the other the labels."""

_ORDER = ("", "train", "validation", "query", "database")
EXPECTED = "train.txt, val.txt, test.txt and database.txt"
_ALIKE = (
    "the lists of one set are called alike (train.txt, test.txt; coco_train.txt, coco_test.txt), with their labels or "
    "beside them (test_img.txt, test_label.txt)"
)
_LINES, _LENGTH = 20, 65_536
"""So many lines are looked at, and so much of each."""

_PATH = re.compile(r"[/\\]|\w\.\w")
_BETWEEN = re.compile(r"[\s,;|]+")


@dataclass(frozen=True)
class _Name:
    """What the name of a text tells: of `coco_database_img3.txt` the part database, number 3, the rest coco, images."""

    file: Path
    part: str
    number: int | None
    rest: tuple[str, ...]
    holds: str
    is_hot: bool

    @property
    def is_usual(self) -> bool:
        """Whether it is one of the names that most repositories have."""
        return self.file.stem.lower() in _USUAL

    @property
    def key(self) -> tuple[int, str]:
        """By which the lists of one part are put in order."""
        return (self.number or 0, self.file.name)

    @classmethod
    def of(cls, file: Path) -> "_Name":
        words = re.findall(r"[a-z]+|[0-9]+", file.stem.lower())
        parts = {_PARTS[word] for word in words if word in _PARTS}
        part = parts.pop() if len(parts) == 1 else ""
        before = _PARTS.keys() | _IMAGES | _LABELS | _HOT
        numbered = len(words) > 1 and part and words[-1].isdecimal() and words[-2] in before
        left_out = (_PARTS.keys() if part else set()) | _IMAGES | _LABELS | _HOT
        rest = tuple(word for word in (words[:-1] if numbered else words) if word not in left_out)
        has = (bool(_IMAGES.intersection(words)), bool(_LABELS.intersection(words)))
        holds = {(False, False): "rows", (True, False): "images", (False, True): "labels"}.get(has, "")
        return cls(file, part, int(words[-1]) if numbered else None, rest, holds, bool(_HOT.intersection(words)))


@dataclass(frozen=True)
class _Set:
    """Lists that are called alike, each with what its name tells."""

    is_apart: bool
    rest: tuple[str, ...]
    number: int | None
    lists: list[tuple[_Name, TextList]]

    @property
    def is_plain(self) -> bool:
        """Whether nothing but parts is in the names."""
        return not self.rest and self.number is None

    @property
    def parts(self) -> set[str]:
        return {name.part for name, _ in self.lists if name.part}

    def is_one(self) -> bool:
        """Say whether this is a set: of two parts, or of one list without a part; by its first lines, too.

        A list in a usual name that cannot be read counts: it is said then which line is wrong, where its pictures would
        be taken for folders of classes else.
        """
        if self.is_apart:
            return (len(self.parts) > 1 or (len(self.lists) == 1 and not self.parts)) and self.stand_apart()
        if len(self.parts) < 2:
            return False
        if self.is_plain:
            return any(_looks_like_a_list(one.file) for _, one in self.lists)
        return all(_looks_like_a_list(one.file, pictures=True) for _, one in self.lists)

    def stand_apart(self) -> bool:
        """Say whether the first files have paths alone and the second ones numbers alone, by their first lines."""
        return all(
            _looks_like_a_list(one.file, pictures=True) and not _holds_classes(one.file) and _holds_numbers(one.labels)
            for _, one in self.lists
        )


def find_lists(folder: Path) -> Path | None:
    """Return the folder if it holds lists of two parts, or one set of paths and labels.

    Text about the pictures in files so called is none, nor are several sets of which none has plain names.
    """
    return None if _chosen(folder) is None else folder


def lists_in(folder: Path) -> list[tuple[str, TextList]]:
    """Return the lists in a folder and their parts, in the order train, validation, query, database.

    A part has several where they are numbered, as lists of the queries and the database are for several devices.

    Raises:
        DataError: two lists of one part.
    """
    found = _chosen(folder)
    lists = [] if found is None else sorted(found.lists, key=lambda one: (_ORDER.index(one[0].part), one[0].key))
    for (name, _), (other, _) in pairwise(lists):
        if (name.part, name.number) == (other.part, other.number):
            both = f"{name.file.name} and {other.file.name}"
            raise DataError(f"{folder}: both {both} are lists of the {name.part}; leave one out")
    return [(name.part, one) for name, one in lists]


def list_alone(file: Path) -> TextList:
    """Return the list that a file is, with the other file where paths and labels stand apart."""
    own = _Name.of(file)
    for name, one in _with_labels([own, *(_Name.of(other) for other in _texts(file.parent) if other != file)]):
        if file in (one.file, one.labels) and _Set(True, name.rest, name.number, [(name, one)]).stand_apart():
            return one
    return TextList(file)


def unread_lists(folder: Path, *, as_lists: bool = False, as_folders: bool = False) -> list[str]:
    """Return a line on files of a folder that look like lists and are not read, and why, where there are such.

    With `as_lists` those of one set are read, and with `as_folders` a level of folders was asked for; else other names,
    other tables, or being alone keep them out.
    """
    chosen = _chosen(folder) if as_lists else None
    files = [name.file for name in _unread(folder, chosen)]
    if not files:
        return []
    *most, last = sorted(file.name for file in files)
    names = f"{', '.join(most)} and {last}" if most else last
    verb = "look like text lists and are" if most else "looks like a text list and is"
    if as_folders:
        why = "the level of folders (--class-level, class_level=) says what the classes are"
    elif chosen is not None:
        why = f"{_ALIKE}; one alone is read by its own name"
    else:
        why = (
            f"lists are called {EXPECTED} and lie together without other tables or other sets (--images names the "
            f"folder of the pictures); {_ALIKE}; one alone is read by its own name"
        )
    return [f"{names} {verb} not read: {why}"]


def holds_unread_parts(folder: Path) -> bool:
    """Say whether a folder holds lists of two parts at least, none of which is read as one set."""
    return _chosen(folder) is None and len({name.part for name in _unread(folder, None) if name.part}) > 1


def _unread(folder: Path, chosen: _Set | None) -> list[_Name]:
    """Return the files that look like lists besides those chosen."""
    used = {file for _, one in (chosen.lists if chosen else []) for file in (one.file, one.labels)}
    names = [_Name.of(file) for file in _texts(folder) if file not in used]
    return [name for name in names if (name.part or name.holds == "images") and _looks_like_a_list(name.file)]


def _chosen(folder: Path) -> _Set | None:
    """Return the set of lists that a folder holds: the one of plain names, or else the only one."""
    sets = [one for one in _sets([_Name.of(file) for file in _texts(folder)]) if one.is_one()]
    several = [one for one in sets if len(one.parts) > 1] or sets
    plain = [one for one in several if one.is_plain]
    if plain:
        return min(plain, key=lambda one: one.is_apart)
    return several[0] if len(several) == 1 else None


def _sets(names: Sequence[_Name]) -> list[_Set]:
    """Return lists by what their names have in common besides the part; those without number take numbered ones in."""
    found: dict[tuple[bool, tuple[str, ...], int | None], list[tuple[_Name, TextList]]] = defaultdict(list)
    rows = [(name, TextList(name.file)) for name in names if name.holds == "rows" and name.part]
    apart = _with_labels(names)
    for is_apart, lists in ((False, rows), (True, apart)):
        for name, one in lists:
            found[is_apart, name.rest, name.number].append((name, one))
        for rest in {name.rest for name, _ in lists}:
            own = found.get((is_apart, rest, None), [])
            for part in ("query", "database"):
                if own and all(name.part != part for name, _ in own):
                    own += _pieces([(name, one) for name, one in lists if (name.part, name.rest) == (part, rest)])
    return [_Set(*key, lists=_usual(lists)) for key, lists in found.items()]


def _usual(lists: list[tuple[_Name, TextList]]) -> list[tuple[_Name, TextList]]:
    """Return lists without those of other names (`test_query`, `retrieval`) beside a usual one of the same part."""
    usual = [name.part for name, _ in lists if name.is_usual]
    return [(name, one) for name, one in lists if name.is_usual or name.part not in usual]


def _pieces(lists: list[tuple[_Name, TextList]]) -> list[tuple[_Name, TextList]]:
    """Return lists that are numbered from 0 or 1 on, for as many devices; nothing where there are no two, or a gap."""
    numbers = sorted(name.number for name, _ in lists if name.number is not None)
    return lists if len(numbers) > 1 and numbers in ([*range(len(numbers))], [*range(1, len(numbers) + 1)]) else []


def _with_labels(names: Sequence[_Name]) -> list[tuple[_Name, TextList]]:
    """Return each file of paths whose labels lie beside it in a file called alike, ones and zeros before numbers."""
    found: list[tuple[_Name, TextList]] = []
    for name in names:
        if name.holds == "images":
            own = (name.part, name.number, name.rest)
            labels = [one for one in names if one.holds == "labels" and (one.part, one.number, one.rest) == own]
            labels.sort(key=lambda one: (not one.is_hot, one.file.name))
            found += [(name, TextList(name.file, one.file)) for one in labels[:1]]
    return found


def _texts(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix.lower() == ".txt" and file.is_file())
    except OSError:
        return []  # what reads the folder says so


def _head(file: Path) -> list[str]:
    """Return the first lines of a text that are not blank; none where it cannot be read."""
    try:
        with open(file, "rb") as handle:
            head = [line for line in islice(iter(lambda: handle.readline(_LENGTH), b""), 4 * _LINES) if line.strip()]
    except OSError:
        return []
    coding = "utf-16" if head and head[0][:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return b"".join(head).decode(coding, errors="replace").splitlines()[:_LINES]


def _looks_like_a_list(file: Path, *, pictures: bool = False) -> bool:
    """Say whether half of the first lines of a text are rows or more, well written or not; with names of pictures."""
    lines = _head(file)
    rows = sum(_is_a_row(line, pictures) for line in lines)
    return rows > 0 and 2 * rows >= len(lines)


def _holds_numbers(file: Path | None) -> bool:
    """Say whether half of the first lines of a text are numbers."""
    lines = [] if file is None else _head(file)
    rows = sum(all(is_number(word) for word in line.split()) for line in lines)
    return rows > 0 and 2 * rows >= len(lines)


def _holds_classes(file: Path) -> bool:
    """Say whether numbers follow a picture in half of the first lines of a text: its classes stand in it."""
    lines = [line.split() for line in _head(file)]
    rows = sum(len(words) > 1 and is_picture(words[0]) and n_numbers(words) > 0 for words in lines)
    return rows > 0 and 2 * rows >= len(lines)


def _is_a_row(line: str, pictures: bool) -> bool:
    """Say whether a line is a path with numbers, or begins with a picture; in quotes or between commas too."""
    words = [word for text in _BETWEEN.split(line) if (word := text.strip("\"'"))]
    if not words:
        return False
    count = n_numbers(words)
    if pictures:
        return is_picture(words[0]) or is_picture(words[-count - 1])
    return is_picture(words[0]) or (
        count > 0 and any(_PATH.search(word) and not is_number(word) for word in words[:-count])
    )
