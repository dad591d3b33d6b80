"""Labels files: CSV and TSV tables, and JSON Lines, one row an image."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nearbit.datasets.assemble import Item, Listing
from nearbit.datasets.dataset import Problem
from nearbit.datasets.parts import part_named
from nearbit.datasets.scan import NOT_UTF8, is_utf8
from nearbit.datasets.table import read_table
from nearbit.errors import DataError

SEPARATOR = "|"
"""What stands between the labels of one image in the column `labels`."""


def list_labels_file(file: Path, images: Path | None = None, separator: str = SEPARATOR) -> Listing:
    """List the images of a labels file in the order of its rows.

    Args:
        file: `.csv` or `.tsv` with the columns path and label (one name, taken whole) or labels (names with `separator`
            between them), or `.jsonl` with objects {"path": …, "label": …} or {"path": …, "labels": […]}; a column or
            an entry split is understood in each.
        images: the folder that paths are relative to; None looks beside the file, then in a folder `images` there.
        separator: between the names in a column labels.

    Raises:
        DataError: the file cannot be read as such; with the line number.
    """
    reader = _json_lines if file.suffix.lower() == ".jsonl" else _table_rows
    places = Places(file, images)
    seen: dict[str, int] = {}
    items: list[Item] = []
    for line, path, names, part in reader(file, separator):
        where = f"{file}, line {line}"
        key = places.find(path, where)
        if (key or path) in seen:
            before = f"{path!r} was on line {seen[key or path]} already"
            raise DataError(f"{where}: {before}; give all labels of an image in one row")
        seen[key or path] = line
        if key is not None:
            items.append(Item(key, tuple(dict.fromkeys(names)), part_named(part, where)))
    if not seen:
        raise DataError(f"{file}: no rows; expected one row an image")
    return Listing(file.stem, places.root, tuple(items), problems=tuple(places.problems))


class Places:
    """Finds the images that a labels file names, below its folder or the one given, and gathers those not found."""

    def __init__(self, file: Path, images: Path | None) -> None:
        if images is not None and not images.is_dir():
            raise DataError(f"{images}: no such folder; expected the one that the paths of {file.name} are relative to")
        self.root = images if images is not None else file.parent
        self.problems: list[Problem] = []
        self._prefixes = ("",) if images is not None else ("", "images/")

    def find(self, path: str, where: str) -> str | None:
        """Return the path below the root, or None after noting the problem: outside the folder, or no such file."""
        plain = "/".join(part for part in path.split("/") if part not in ("", "."))
        if not plain or "\0" in path:
            raise DataError(f"{where}: expected the path of an image, came {path!r}")
        if not is_utf8(path):
            self.problems.append(Problem(path.encode("utf-8", "backslashreplace").decode(), NOT_UTF8))
            return None
        if path.startswith("/") or ".." in plain.replace("\\", "/").split("/") or Path(plain).is_absolute():
            self.problems.append(Problem(path, "outside the folder of images: paths must be relative, without '..'"))
            return None
        for prefix in self._prefixes:
            if (self.root / (prefix + plain)).exists() or (self.root / (prefix + plain)).is_symlink():
                return prefix + plain
        self.problems.append(Problem(path, "no such file"))
        return None


def _table_rows(file: Path, separator: str) -> Iterator[tuple[int, str, list[str], str]]:
    for line, row in read_table(file, required=("path",)):
        if ("label" in row) == ("labels" in row):
            came = ", ".join(row)
            raise DataError(f"{file}: expected one of the columns 'label' and 'labels'; the columns are: {came}")
        texts = [row["label"]] if "label" in row else row["labels"].split(separator)
        yield line, row["path"], [text.strip() for text in texts if text.strip()], row.get("split", "")


def _json_lines(file: Path, separator: str) -> Iterator[tuple[int, str, list[str], str]]:
    for line, text in enumerate(_text_of(file).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except ValueError as error:
            raise DataError(f"{file}, line {line}: not JSON: {error}") from error
        yield line, *_json_row(row, f"{file}, line {line}")


def _json_row(row: Any, where: str) -> tuple[str, list[str], str]:
    if not isinstance(row, dict) or not isinstance(row.get("path"), str):
        raise DataError(f'{where}: expected an object with "path" (a text), came {str(row)[:60]}')
    if "label" in row and "labels" in row:
        raise DataError(f'{where}: expected "label" or "labels", came both')
    names = [row["label"]] if row.get("label") is not None else row.get("labels") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f'{where}: "label" must be a text, "labels" a list of texts, not {names!r}')
    part = row.get("split") or ""
    if not isinstance(part, str):
        raise DataError(f'{where}: "split" must be a text, not {part!r}')
    return row["path"], [name.strip() for name in names if name.strip()], part


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: must be UTF-8 text, but byte {error.start} is not; save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
