"""The rows of text lists: which of the words of a line are its path and which its classes."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nearbit.datasets.formats.labels_file import SHOWN, text_of
from nearbit.errors import DataError

_MOST_CLASS = 1_000_000
"""Above it, a number after a path is no class."""

_WORDS = 1024
"""What was found of so many words is kept: lists say few numbers, millions of times."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_USUAL = frozenset("01")
_ROW = "expected a path and then 0 or 1 for each class, or a class number"
_BLANKS = "put blanks between the path and its classes, and nothing else"

Lines = list[tuple[int, list[str]]]


@dataclass(frozen=True)
class TextList:
    """A list: one file with paths and classes, or one of the paths and one of the labels, line by line."""

    file: Path
    labels: Path | None = None

    @property
    def name(self) -> str:
        """The names of its files."""
        return self.file.name if self.labels is None else f"{self.file.name} with {self.labels.name}"

    def __str__(self) -> str:
        return str(self.file) if self.labels is None else f"{self.file} with {self.labels.name}"


@dataclass(frozen=True, slots=True)
class ListRow:
    """One line: its number, the path as written, and the numbers of its classes (none where all are 0).

    `shorter` is the path without numbers at its end, where it has such: they may be meant as classes.
    """

    line: int
    path: str
    classes: tuple[int, ...]
    shorter: str = ""


@dataclass(frozen=True)
class ListRows:
    """The rows of lists that belong together: `absent` or 1 in each of `n_columns`, or class numbers if that is 1."""

    n_columns: int
    absent: str
    rows: dict[TextList, list[ListRow]]


def read_lists(files: Iterable[TextList]) -> ListRows:
    """Read lists of one form.

    The words at the end of a line that are numbers are its classes, as many as most lines have; what stands before them
    is the path, blanks in it too. 0.0 and 1.0 are read as 0 and 1, and -1 as 0 where every value is -1 or 1. Where
    labels stand in a file of their own, the lines of both that are not blank belong together one by one.

    Raises:
        DataError: a list is empty, not UTF-8, has more or fewer paths than labels, or a line has fewer numbers than the
            others or, with several columns, one that is neither 0 nor 1; with the line number.
    """
    lines = {file: list(_lines(file)) for file in files}
    counts = Counter(n_numbers(words) for table in lines.values() for _, words in table)
    for file, table in lines.items():
        if not table:
            raise DataError(f"{file}: no rows; {_ROW}; write them into it, or leave the list out")
    n_columns = max(counts, key=lambda count: (counts[count], -count))
    if not n_columns:
        raise DataError(_no_classes(*next(one for one in _each(lines) if not n_numbers(one[2]))))
    _refuse_dense(n_columns, lines)
    absent = _absent(n_columns, lines.values())
    return ListRows(
        n_columns,
        absent,
        {file: [_row(file, line, words, n_columns, absent) for line, words in table] for file, table in lines.items()},
    )


def _refuse_dense(n_columns: int, lines: Mapping[TextList, Lines]) -> None:
    """Refuse 0 and 1 for each class without blanks between (`0100`), which would be read as the number of a class."""
    if n_columns != 1:
        return
    ends = {words[-1] for _, _, words in _each(lines)}
    if not (all(re.fullmatch("[01]{2,}", word) for word in ends) and any(word[0] == "0" for word in ends)):
        return
    if len({len(word) for word in ends}) == 1:
        file, line, words = next(_each(lines))
        raise DataError(
            f"{file}, line {line}: {_ROW}; came {words[-1][:SHOWN]!r} as in all lines, which may be 0 and 1 without "
            "blanks: put blanks between them, or write class numbers without zeros before"
        )


def _each(lines: Mapping[TextList, Lines]) -> Iterator[tuple[TextList, int, list[str]]]:
    for file, table in lines.items():
        yield from ((file, line, words) for line, words in table)


def _lines(one: TextList) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of each line that is not blank; a path whose labels stand apart is one word."""
    if one.labels is None:
        yield from ((line, text.split()) for line, text in _full(one.file))
        return
    paths, labels = list(_full(one.file)), list(_full(one.labels))
    if len(paths) != len(labels):
        raise DataError(
            f"{one.file}: has {len(paths):,} paths, but {one.labels.name} has {len(labels):,} lines of labels; "
            "expected one for each path, in the same order: complete the shorter file, or leave one out"
        )
    for (line, path), (_, values) in zip(paths, labels, strict=True):
        yield line, [path, *values.split()]


def _full(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not blank."""
    for line, text in enumerate(text_of(file).split("\n"), start=1):
        if text := text.strip():
            yield line, text


@lru_cache(maxsize=_WORDS)
def is_number(word: str) -> bool:
    """Say whether a word is a number as lists have them: 1, 1.0, -1, 1.000e+00."""
    return word.isascii() and (word.isdecimal() or _NUMBER.fullmatch(word) is not None)


def n_numbers(words: list[str]) -> int:
    """Return how many words at the end are numbers; the first word is the path's at least."""
    count = 0
    for word in reversed(words[1:]):
        if not (word in _USUAL or is_number(word)):
            break
        count += 1
    return count


@lru_cache(maxsize=_WORDS)
def _plain(word: str) -> str:
    """Return a number that is whole without its point: 1 for 1.0."""
    if word.isdecimal():
        return word
    value = float(word)
    return str(int(value)) if value.is_integer() and abs(value) <= _MOST_CLASS else word


def _absent(n_columns: int, tables: Iterable[Lines]) -> str:
    """Return what stands for a class that an image has not: -1 where all values are -1 or 1, else 0."""
    if n_columns == 1:
        return "0"
    seen: set[str] = set()
    for table in tables:
        for _, words in table:
            seen.update(words[-n_columns:])
    return "-1" if {_plain(word) for word in seen if is_number(word)} in ({"-1", "1"}, {"-1"}) else "0"


def _no_classes(file: TextList, line: int, words: Sequence[str]) -> str:
    """Return what is wrong with lists of which most lines have no number at the end."""
    text = " ".join(words)
    start = f"{file}, line {line}: {_ROW}; came {text[:SHOWN]!r}"
    if re.search(r"[,;|]\s*[+-]?\d[\d.]*$", text):
        return f"{start}: {_BLANKS}"
    if text.endswith(("]", ")", "}")):
        return f"{start}: leave brackets out, and {_BLANKS}"
    if len(words) == 1:
        return (
            f"{start}, a list without labels: write the classes after each path; or read the folders as classes "
            "(--class-level first, class_level=)"
        )
    return f"{start}; for names of classes write a table with the columns path and label (.csv)"


def _row(file: TextList, line: int, words: list[str], n_columns: int, absent: str) -> ListRow:
    came = n_numbers(words)
    if came < n_columns:
        raise DataError(
            f"{file}, line {line}: expected a path and {n_columns} numbers as in the other lines, came {came}: "
            f"{' '.join(words)[:SHOWN]!r}; complete the line, or take it out"
        )
    path, values = " ".join(words[:-n_columns]), words[-n_columns:]
    if path.endswith((",", ";", "|")):
        raise DataError(f"{file}, line {line}: {_ROW}; came {' '.join(words)[:SHOWN]!r}: {_BLANKS}")
    shorter = " ".join(words[:-came]) if came > n_columns else ""
    if n_columns == 1:
        return ListRow(line, path, (_class_number(file, line, values[0]),), shorter)
    plain = values if _USUAL.issuperset(values) else [_plain(value) for value in values]
    if wrong := next((value for value in plain if value not in (absent, "1")), None):
        raise DataError(
            f"{file}, line {line}: expected {absent} or 1 for each of {n_columns} classes, came {_why(wrong)}"
        )
    return ListRow(line, path, tuple(column for column, value in enumerate(plain) if value == "1"), shorter)


def _why(value: str) -> str:
    if value == "-1":
        return "'-1'; it stands for 0 only where every value of all lists is -1 or 1"
    if value.isdecimal():
        return f"{value!r}; where these are numbers of several classes, write 0 or 1 for each class instead"
    return repr(value)


def _class_number(file: TextList, line: int, text: str) -> int:
    plain = _plain(text)
    if not plain.isdecimal() or len(plain) > len(str(_MOST_CLASS)) or int(plain) > _MOST_CLASS:
        raise DataError(f"{file}, line {line}: expected a class number of 0 to {_MOST_CLASS:,}, came {text[:40]}")
    return int(plain)
