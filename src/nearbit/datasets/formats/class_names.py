"""The names of classes that lists give by numbers: `classes.txt` beside them, else the numbers themselves."""

from collections.abc import Sequence
from pathlib import Path

from nearbit.datasets.formats.labels_file import text_of
from nearbit.errors import DataError

CLASSES = "classes.txt"


def class_names(folder: Path, n_columns: int, numbers: Sequence[int]) -> dict[int, str]:
    """Return the name of each class number.

    Args:
        folder: of the lists; its `classes.txt`, where there is one, has a name a line.
        n_columns: 1 for class numbers, which may begin at 0 or at 1; else the number of classes.
        numbers: the classes that occur; columns are counted from 0.

    Raises:
        DataError: there are more or fewer names than classes, a name occurs twice, or the file cannot be read.
    """
    order = list(range(n_columns)) if n_columns > 1 else sorted(set(numbers))
    file = folder / CLASSES
    if not file.is_file():
        return {number: str(number) for number in order}
    names = _read(file)
    if n_columns == 1:
        first = 0 if order[0] == 0 else 1
        order = list(range(first, first + len(names)))
        if max(numbers) > order[-1]:
            raise DataError(
                f"{file}: names {len(names)} classes, but the lists have the class {max(numbers)}, counted from "
                f"{first}; give a name a line for every class, or remove the file"
            )
    elif len(names) != n_columns:
        raise DataError(
            f"{file}: names {len(names)} classes, but the lists have {n_columns}; give a name a line for every class, "
            "or remove the file"
        )
    return dict(zip(order, names, strict=True))


def _read(file: Path) -> list[str]:
    names = [line.strip() for line in text_of(file).split("\n") if line.strip()]
    if len(set(names)) != len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise DataError(f"{file}: the class {twice!r} is named twice; give each class a name of its own")
    return names
