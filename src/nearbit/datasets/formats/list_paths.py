"""Where the paths of text lists lie: below one folder, as they are or without the folders of another machine."""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from nearbit.datasets.dataset import Problem
from nearbit.datasets.formats.labels_file import SHOWN, Places
from nearbit.datasets.formats.list_rows import ListRow, TextList
from nearbit.datasets.scan import is_picture
from nearbit.errors import DataError
from nearbit.names import counted

_TRIED = 200
"""So many paths of a list are looked for, spread over it, to tell how many leading folders to leave out."""

_DEEPEST = 64
"""So many leading folders are left out at most."""


class ListPaths:
    """Finds the images that lists name, and gathers those not found."""

    def __init__(self, rows: Mapping[TextList, Sequence[ListRow]], images: Path | None) -> None:
        self._places = {file: Places(file.file, images) for file in rows}
        self.root = next(iter(self._places.values())).root
        self._left_out = {file: self._leading(file, rows[file]) for file in rows}
        self.notes = [
            f"{file.name}: the leading {text[:SHOWN]!r} of its paths is left out"
            for file, text in self._left_out.items()
            if text
        ]

    @property
    def problems(self) -> list[Problem]:
        """What was not found, list by list; each path once."""
        return list(dict.fromkeys(one for places in self._places.values() for one in places.problems))

    def find(self, file: TextList, row: ListRow) -> str | None:
        """Return the path of a row below the root, or None after noting the problem.

        Raises:
            DataError: it has more numbers than the other rows, and only without them it may be the path of an image.
        """
        self._check_form(file, row, self._left_out[file])
        return self._places[file].find(row.path.removeprefix(self._left_out[file]), f"{file}, line {row.line}")

    def _check_form(self, file: TextList, row: ListRow, lead: str) -> None:
        if not row.shorter or self._places[file].locate(row.path.removeprefix(lead)) is not None:
            return
        if is_picture(row.shorter) or self._places[file].locate(row.shorter.removeprefix(lead)) is not None:
            more = counted(len(row.path.split()) - len(row.shorter.split()), "number", "numbers")
            raise DataError(
                f"{file}, line {row.line}: {more} more after {row.shorter[:SHOWN]!r} than in most lines; expected one "
                "form in all lists: 0 or 1 for each class (for several classes, too), or one class number"
            )

    def _leading(self, file: TextList, rows: Sequence[ListRow]) -> str:
        """Return what to leave out before the paths of a list: as few folders as make some of them be found.

        Raises:
            DataError: none is found, whatever is left out.
        """
        some = list(islice(rows, 0, None, max(1, len(rows) // _TRIED)))
        for text in dict.fromkeys(["", *(lead for row in some[:8] for lead in _leads(row.path))]):
            rest = [row.path.removeprefix(text) for row in some if row.path.startswith(text)]
            if any(not path.startswith("/") and self._places[file].locate(path) is not None for path in rest):
                return text
        for row in some:
            self._check_form(file, row, "")
        first = rows[0].path
        raise DataError(
            f"{file}: none of its paths is below {self.root}, with or without leading folders, the first: "
            f"{first[:SHOWN]!r}; {_remedy(first)}"
        )


def _remedy(path: str) -> str:
    """Return what to do where no path is found: what is wrong with this one, if that is plain."""
    if path[0] in "\"'":
        return "write its paths without quotation marks"
    if "\\" in path:
        return "write / between its folders, not \\"
    return "name the folder of the images (--images, images=)"


def _leads(path: str) -> list[str]:
    """Return the beginnings of a path that end in "/", the short ones first, no more than `_DEEPEST`."""
    return [path[: found.end()] for found in islice(re.finditer("/", path), _DEEPEST)]
