"""Rows of CSV and TSV files with a header, each with its line number for messages."""

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from nearbit.datasets.scan import is_picture
from nearbit.errors import DataError, did_you_mean

DELIMITERS = (",", ";", "\t", "|")
"""What may stand between the fields, the likelier one first."""


def read_table(
    file: Path, required: tuple[str, ...], options: Mapping[str, str] | None = None, optional: tuple[str, ...] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, row by column name) of a table; UTF-8, a header first.

    What stands between the fields is told by the header: the one of `DELIMITERS` by which it has most of the required
    columns, else most fields; a first line "sep=;" as spreadsheets write it says so too. Fields may hold line breaks in
    quotes. Columns beyond `required` are passed on.

    Args:
        file: the table.
        required: columns that must be there.
        options: for messages, the name of the option that names a column otherwise, by the column.
        optional: columns that are read where they are there.

    Raises:
        DataError: the file cannot be read or is not UTF-8, a required column is missing, a column that is read occurs
            twice, or a row has more or fewer fields than the header; with the line number.
    """
    rows = read_fields(file, lambda first: max(DELIMITERS, key=lambda delimiter: _fit(first, delimiter, required)))
    header = [name.strip() for name in next(rows, (0, []))[1]]
    _check_header(file, header, required, options or {}, optional)
    for number, fields in rows:
        if fields and len(fields) != len(header):
            raise DataError(f"{file}, line {number}: expected {len(header)} fields, came {len(fields)}")
        if fields:
            yield number, dict(zip(header, fields, strict=True))


def read_fields(file: Path, delimiter_of: Callable[[str], str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the line that it ends with, fields) of each row of a CSV file, in UTF-8; an empty line has none.

    Args:
        file: the table.
        delimiter_of: (first line) to what stands between the fields, where no line "sep=;" says it.

    Raises:
        DataError: the file cannot be read or is not UTF-8, or quotes are not closed, with the line number.
    """
    reader, skipped = None, 0
    try:
        with open(file, newline="", encoding="utf-8-sig") as handle:
            delimiter, skipped = _delimiter(handle, delimiter_of)
            reader = csv.reader(handle, delimiter=delimiter, strict=True)
            for fields in reader:
                yield skipped + reader.line_num, fields
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: must be UTF-8 text, but byte {error.start} is not; save it as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{file}, line {skipped + (reader.line_num if reader else 1)}: {error}") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise DataError(f"{file}: does not fit into memory") from error


def fields_of(line: str, where: str) -> list[str]:
    """Return the fields between the commas of one line.

    Raises:
        DataError: quotes are not closed; says where.
    """
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise DataError(f"{where}: {error}") from error


def _delimiter(handle: TextIO, delimiter_of: Callable[[str], str]) -> tuple[str, int]:
    """Return what stands between the fields and the lines before the header, to the start of which the file is set."""
    first = handle.readline()
    word, equals, named = first.strip().strip('"').partition("=")
    if equals and word.lower() == "sep" and named in DELIMITERS:
        return named, 1
    handle.seek(0)
    return delimiter_of(first), 0


def _fit(header: str, delimiter: str, required: tuple[str, ...]) -> tuple[int, int]:
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error:
        return (0, 0)
    return sum(name in names for name in required), len(names)


def _check_header(
    file: Path, header: list[str], required: tuple[str, ...], options: Mapping[str, str], optional: tuple[str, ...]
) -> None:
    came = ", ".join(header) or "nothing"
    doubled = next((name for name in (*required, *optional) if header.count(name) > 1), None)
    if doubled is not None:
        raise DataError(
            f"{file}: the column {doubled!r} must occur once; the first line has: {came}. Give one of them another "
            "name, or take it out"
        )
    for name in required:
        if name not in header:
            if any(is_picture(field) for field in header):
                came = f"{came[:80]}, a row and no names of columns; write such a line before it (path,label)"
            option = options.get(name)
            other = f" Another one is named by --{option.replace('_', '-')} ({option}=)" if option else ""
            hint = did_you_mean(name, header)
            raise DataError(f"{file}: the column {name!r} is missing; the first line has: {came}.{hint}{other}")
