"""The rows of text lists: which of the words of a line are its path and which its classes."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nearbit.datasets.formats.labels_file import text_of
from nearbit.errors import DataError

_MOST_CLASS = 1_000_000
"""Above it, a number after a path is no class."""


@dataclass(frozen=True, slots=True)
class ListRow:
    """One line: its number, the path as written, and the numbers of its classes (none where all are 0)."""

    line: int
    path: str
    classes: tuple[int, ...]


@dataclass(frozen=True)
class ListRows:
    """The rows of lists that belong together: 0 or 1 in each of `n_columns`, or class numbers where that is 1."""

    n_columns: int
    rows: dict[Path, list[ListRow]]


def read_lists(files: Iterable[Path]) -> ListRows:
    """Read lists of one form.

    The words at the end of a line that are whole numbers are its classes, as many as most lines have; what stands
    before them is the path, blanks in it too.

    Raises:
        DataError: a list is empty, not UTF-8, or a line has fewer numbers than the others or, with several columns, one
            that is neither 0 nor 1; with the line number.
    """
    lines = {file: list(_lines(file)) for file in files}
    counts = Counter(n_numbers(words) for table in lines.values() for _, words in table)
    for file, table in lines.items():
        if not table:
            raise DataError(f"{file}: no rows; expected a path and then 0 or 1 for each class, or a class number")
    n_columns = max(counts, key=lambda count: (counts[count], -count))
    if not n_columns:
        file, table = next(iter(lines.items()))
        raise DataError(
            f"{file}, line {table[0][0]}: expected a path and then 0 or 1 for each class, or a class number; came "
            f"{' '.join(table[0][1])[:80]!r}"
        )
    return ListRows(
        n_columns,
        {file: [_row(file, line, words, n_columns) for line, words in table] for file, table in lines.items()},
    )


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the words of each line that is not blank."""
    for line, text in enumerate(text_of(file).split("\n"), start=1):
        if words := text.split():
            yield line, words


def n_numbers(words: list[str]) -> int:
    """Return how many words at the end are whole numbers; the first word is the path's at least."""
    count = 0
    for word in reversed(words[1:]):
        if not (word.isascii() and word.isdecimal()):
            break
        count += 1
    return count


def _row(file: Path, line: int, words: list[str], n_columns: int) -> ListRow:
    came = n_numbers(words)
    if came < n_columns:
        raise DataError(
            f"{file}, line {line}: expected a path and {n_columns} numbers as in the other lines, came {came}"
        )
    path, values = " ".join(words[:-n_columns]), words[-n_columns:]
    if n_columns == 1:
        return ListRow(line, path, (_class_number(file, line, values[0]),))
    if wrong := next((value for value in values if value not in ("0", "1")), None):
        raise DataError(f"{file}, line {line}: expected 0 or 1 for each of {n_columns} classes, came {wrong!r}")
    return ListRow(line, path, tuple(column for column, value in enumerate(values) if value == "1"))


def _class_number(file: Path, line: int, text: str) -> int:
    if len(text) > len(str(_MOST_CLASS)) or int(text) > _MOST_CLASS:
        raise DataError(f"{file}, line {line}: expected a class number of at most {_MOST_CLASS:,}, came {text[:40]}")
    return int(text)
