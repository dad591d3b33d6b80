"""Parquet files of images: their bytes, or their paths, with labels, ids and whatever else is plain."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

from nearbit.datasets.shards.sample import LARGEST_IMAGE, Passed, Sample, labels_in, plain_name
from nearbit.errors import DataError
from nearbit.files.addresses import FilePlace
from nearbit.files.arrow import arrow_errors, arrow_library
from nearbit.json_text import unstorable
from nearbit.names import escaped
from nearbit.reading import ReadingOptions

PURPOSE = "a Parquet file of images"
ROWS = 256
READERS = 16
"""Files that are read at once where the table names paths: they may lie far away."""


@dataclass(frozen=True)
class _Columns:
    """What the columns of a table are: names, or None where there is no such column."""

    image: str | None
    path: str | None
    id: str | None
    rest: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [name for name in (self.image, self.path, self.id, *self.rest) if name is not None]


def read_table(file: BinaryIO, place: FilePlace, options: ReadingOptions, passed: Passed) -> Iterator[Sample]:
    """Yield the images of a Parquet file, row by row, with their bytes.

    Args:
        file: open for reading, from anywhere in it.
        place: where it lies: paths are relative to its folder, unless `options.images` names another one.
        options: `image_column`, `path_column`, `id_column`, `label_column` and `separator`.
        passed: counts the columns that are neither of these nor plain.

    Raises:
        DataError: no Parquet file, a damaged one, or no column with images or paths.
    """
    folder = place.folder if options.images is None else FilePlace.of(options.images)
    with arrow_errors("it", DataError, "a Parquet file"):
        table = arrow_library(PURPOSE).parquet.ParquetFile(file, page_checksum_verification=True)
        columns = _columns(table.schema_arrow, options, passed)
    row = 0
    batches = table.iter_batches(batch_size=ROWS, columns=columns.names)
    with ThreadPoolExecutor(READERS) as pool:
        while True:
            with arrow_errors("it", DataError, "a Parquet file"):
                batch = next(batches, None)
                rows = [] if batch is None else batch.to_pylist()
            if batch is None:
                return
            numbers = range(row, row + len(rows))
            yield from pool.map(
                lambda values, number: _sample(values, number, place.name, folder, columns, options), rows, numbers
            )
            row += len(rows)


def _columns(schema: Any, options: ReadingOptions, passed: Passed) -> _Columns:
    types = {field.name: field.type for field in schema}
    image = options.image_column if options.image_column in types else None
    path = options.path_column if options.path_column in types else None
    number = options.id_column if options.id_column in types else None
    if image is None and path is None:
        raise DataError(
            f"it has neither a column {options.image_column!r} with the bytes of images nor {options.path_column!r} "
            f"with their paths, but {', '.join(types)[:200]}: name them by --image-column or --path-column"
        )
    kinds = arrow_library(PURPOSE).pa.types
    if image is not None and not _is_image(types[image], kinds):
        raise DataError(f"the column {image!r} must hold bytes, or bytes with a path, not {types[image]}")
    if path is not None and not (kinds.is_string(types[path]) or kinds.is_large_string(types[path])):
        raise DataError(f"the column {path!r} must hold texts, not {types[path]}")
    if number is not None and not kinds.is_integer(types[number]):
        raise DataError(f"the column {number!r} must hold whole numbers, not {types[number]}: name another --id-column")
    rest = []
    for name, kind in types.items():
        if name in (image, path, number):
            continue
        if _is_label(name, options) or _is_plain(kind, kinds):
            rest.append(name)
        else:
            passed[f"column {name}"] += 1
    return _Columns(image, path, number, tuple(rest))


def _is_image(kind: Any, kinds: Any) -> bool:
    if kinds.is_struct(kind):
        inside = {kind.field(place).name: kind.field(place).type for place in range(kind.num_fields)}
        return "bytes" in inside and _is_image(inside["bytes"], kinds)
    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind))


def _is_label(name: str, options: ReadingOptions) -> bool:
    return name == options.label_column if options.label_column is not None else name in ("label", "labels")


def _is_plain(kind: Any, kinds: Any) -> bool:
    tests = (kinds.is_string, kinds.is_large_string, kinds.is_integer, kinds.is_floating, kinds.is_boolean)
    return any(test(kind) for test in tests)


def _sample(
    values: dict[str, Any], row: int, name: str, folder: FilePlace, columns: _Columns, options: ReadingOptions
) -> Sample:
    key = f"{row:08d}"
    path, number = f"{name}/{key}", values.pop(columns.id, None) if columns.id is not None else None
    try:
        said = values.pop(columns.path, None) if columns.path is not None else None
        found = values.pop(columns.image, None) if columns.image is not None else None
        if isinstance(found, dict):
            said, found = said or found.get("path"), found.get("bytes")
        if said is not None:
            key = plain_name(said)
            path = key if found is None else f"{name}/{key}"  # what lies in the shard is no file that could be gone
        if columns.id is not None and (number is None or not 0 <= number < 2**63):
            raise DataError(f"its {columns.id} must be a whole number from 0 to 2**63 - 1, not {number}")
        labels = labels_in(values, options.label_column, options.separator)
        image = _image(found, said, folder)
        return Sample(key=key, path=path, row=row, image=image, labels=labels, metadata=_kept(values), id=number)
    except DataError as error:
        return Sample(key=key, path=path, row=row, id=number, problem=str(error))


def _image(found: bytes | None, path: str | None, folder: FilePlace) -> bytes:
    if found is None and path is None:
        raise DataError("it has neither bytes nor a path")
    image = folder.child(plain_name(path)).read(LARGEST_IMAGE) if found is None and path is not None else found or b""
    if len(image) > LARGEST_IMAGE:
        raise DataError(f"it has {len(image):,} bytes; expected at most {LARGEST_IMAGE:,}")
    return image


def _kept(values: dict[str, Any]) -> dict[str, Any]:
    """Return what else is said of an image, as an index keeps it: without what is missing or no number."""
    kept = {}
    for name, value in values.items():
        if (
            value is None
            or name in ("digest", "path", "labels")
            or (isinstance(value, float) and not math.isfinite(value))
        ):
            continue
        if isinstance(value, str) and unstorable(value):
            raise DataError(f"its {name} '{escaped(value)[:60]}' cannot be kept: {unstorable(value)}")
        kept[name] = value
    return kept


def has_id_column(place: FilePlace, options: ReadingOptions) -> bool:
    """Say whether a shard is a Parquet file with a column of ids; see `read_table` for what is raised."""
    if not place.name.lower().endswith(".parquet"):
        return False
    with place.opened() as file, arrow_errors(str(place), DataError, "a Parquet file"):
        return options.id_column in arrow_library(PURPOSE).parquet.ParquetFile(file).schema_arrow.names
