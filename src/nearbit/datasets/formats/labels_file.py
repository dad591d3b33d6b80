"""Labels files: CSV and TSV tables, and JSON Lines, one row an image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nearbit.datasets.dataset import Problem
from nearbit.datasets.formats.format import FOR_FOLDERS, Format
from nearbit.datasets.formats.parts import part_named
from nearbit.datasets.formats.table import read_table
from nearbit.datasets.listing import ListedImage, Listing
from nearbit.datasets.scan import NOT_UTF8, is_utf8
from nearbit.errors import DataError, did_you_mean
from nearbit.json_text import parse_json, unstorable
from nearbit.names import escaped
from nearbit.reading import ReadingOptions

_COLUMNS = ("path_column", "label_column", "separator")
"""The reading options that name columns."""

SHOWN = 80
"""So much of a path or a line is shown in a message."""

_LONGEST = 4096
"""No system opens a longer path by its name, so none is looked for."""


def list_labels_file(file: Path, options: ReadingOptions) -> Listing:
    """List the images of a labels file in the order of its rows.

    Args:
        file: a table (`.csv`, `.tsv`) or JSON Lines. In a table, a header comes first, with commas, semicolons, tabs or
            "|" between the fields, and the columns are path and label (one name, taken whole) or labels (names with
            `separator` between them); in `.jsonl` objects are {"path": …, "label": …} or {"path": …, "labels": […]}; a
            column or an entry split is understood in each.
        options: `images` is the folder that paths are relative to; `path_column`, `label_column` and `separator` name
            other columns, and what stands between the labels of one image.

    Raises:
        DataError: the file cannot be read as such; with the line number.
    """
    reader = _json_lines if file.suffix.lower() == ".jsonl" else _table_rows
    places = Places(file, options.images)
    seen: dict[str, int] = {}
    items: list[ListedImage] = []
    for line, path, names, part in reader(file, options):
        where = f"{file}, line {line}"
        key = places.find(path, where)
        if (key or path) in seen:
            before = f"{path[:SHOWN]!r} was on line {seen[key or path]} already"
            raise DataError(f"{where}: {before}; give all labels of an image in one row")
        seen[key or path] = line
        if key is not None:
            items.append(ListedImage(key, tuple(names), part_named(part, where)))
    if not seen:
        raise DataError(f"{file}: no rows; expected one row an image")
    return Listing(
        file.stem,
        places.root,
        tuple(items),
        problems=tuple(places.problems),
        read_as=f"the labels file {file.name}{_columns(options)}",
    )


def _columns(options: ReadingOptions) -> str:
    """Say which columns were read, where others than usual were asked for."""
    usual = ReadingOptions()
    if all(getattr(options, name) == getattr(usual, name) for name in _COLUMNS):
        return ""
    return f" (path: {options.path_column!r}, label: {options.label_column or 'label or labels'!r})"


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
        if not plain:
            raise DataError(f"{where}: expected the path of an image, came {path[:SHOWN]!r}")
        if unstorable(path):
            reason = NOT_UTF8 if not is_utf8(path) else "no such file: its name has a NUL character"
            self.problems.append(Problem(escaped(path), reason))
            return None
        if path.startswith("/") or ".." in plain.replace("\\", "/").split("/") or Path(plain).is_absolute():
            self.problems.append(Problem(path, "outside the folder of images: paths must be relative, without '..'"))
            return None
        found = self.locate(plain)
        if found is None:
            self.problems.append(Problem(path, "no such file"))
        return found

    def locate(self, path: str) -> str | None:
        """Return where below the root a relative path leads to something, or None."""
        if len(path) > _LONGEST:
            return None
        return next((prefix + path for prefix in self._prefixes if _is_there(self.root / (prefix + path))), None)


def _is_there(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except OSError:  # a name that is too long, a folder that may not be entered
        return False


def _table_rows(file: Path, options: ReadingOptions) -> Iterator[tuple[int, str, list[str], str]]:
    named = {options.path_column: "path_column", options.label_column or "": "label_column"}
    required = (options.path_column,) if options.label_column is None else (options.path_column, options.label_column)
    optional = ("split",) if options.label_column is not None else ("label", "labels", "split")
    for line, row in read_table(file, required=required, options=named, optional=optional):
        yield line, row[options.path_column], _table_labels(file, row, options), row.get("split", "")


def _table_labels(file: Path, row: dict[str, str], options: ReadingOptions) -> list[str]:
    if options.label_column is not None:
        return _names_in(row[options.label_column], options.separator)
    if ("label" in row) == ("labels" in row):
        hint = "" if "label" in row else did_you_mean("label", list(row))
        raise DataError(
            f"{file}: expected one of the columns 'label' and 'labels'; the columns are: {', '.join(row)}.{hint} "
            "Another one is named by --label-column (label_column=)"
        )
    return [row["label"]] * bool(row["label"]) if "label" in row else _names_in(row["labels"], options.separator)


def _names_in(text: str, separator: str) -> list[str]:
    return [name for name in text.split(separator) if name]


def _json_lines(file: Path, options: ReadingOptions) -> Iterator[tuple[int, str, list[str], str]]:
    for line, text in enumerate(text_of(file).split("\n"), start=1):
        if text.strip():
            where = f"{file}, line {line}"
            yield line, *_json_row(parse_json(text, where, DataError, any_text=True), where, options)


def _json_row(row: Any, where: str, options: ReadingOptions) -> tuple[str, list[str], str]:
    if not isinstance(row, dict) or not isinstance(row.get(options.path_column), str):
        raise DataError(
            f'{where}: expected an object with "{options.path_column}" (a text), came {escaped(str(row)[:60])}'
        )
    part = row.get("split") or ""
    if not isinstance(part, str):
        raise DataError(f'{where}: "split" must be a text, not {part!r}')
    return row[options.path_column], _json_labels(row, where, options), part


def _json_labels(row: dict[str, Any], where: str, options: ReadingOptions) -> list[str]:
    if options.label_column is not None:
        found = row.get(options.label_column)
        names = found if isinstance(found, list) else [] if found is None else [found]
        expected = f'"{options.label_column}" must be a text or a list of texts'
    else:
        if "label" in row and "labels" in row:
            raise DataError(f'{where}: expected "label" or "labels", came both')
        names = [row["label"]] if row.get("label") is not None else row.get("labels") or []
        expected = '"label" must be a text, "labels" a list of texts'
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{where}: {expected}, not {names!r}")
    return names


def text_of(file: Path) -> str:
    """Return a text in UTF-8, with or without a byte order mark; raise `DataError` where it cannot be read as such."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        where = f"{file}: must be UTF-8 text, but byte {error.start} (line {line}) is not"
        raise DataError(f"{where}; save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise DataError(f"{file}: does not fit into memory") from error


LABELS_FILE = Format(
    name="labels files", read=list_labels_file, endings=(".csv", ".tsv", ".jsonl"), refuses=FOR_FOLDERS
)
