"""Rows of CSV and TSV files with a header, each with its line number for messages."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from nearbit.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import _csv

DELIMITERS = (",", ";", "\t", "|")
"""What may stand between the fields, the likelier one first."""


def read_table(
    file: Path, required: tuple[str, ...], options: Mapping[str, str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, row by column name) of a table; UTF-8, a header first.

    What stands between the fields is told by the header: the one of `DELIMITERS` by which it has most of the required
    columns, else most fields; a first line "sep=;" as spreadsheets write it says so too. Fields may hold line breaks in
    quotes. Columns beyond `required` are passed on.

    Args:
        file: the table.
        required: columns that must be there once.
        options: for messages, the name of the option that names a column otherwise, by the column.

    Raises:
        DataError: the file cannot be read or is not UTF-8, a required column is missing or occurs twice, or a row has
            more or fewer fields than the header; with the line number.
    """
    try:
        with open(file, newline="", encoding="utf-8-sig") as handle:
            delimiter, skipped = _delimiter(handle, required)
            reader = csv.reader(handle, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(file, header, required, options or {})
            yield from _rows(file, reader, header, skipped)
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: must be UTF-8 text, but byte {error.start} is not; save it as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{file}, line {skipped + reader.line_num}: {error}") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise DataError(f"{file}: does not fit into memory") from error


def _delimiter(handle: TextIO, required: tuple[str, ...]) -> tuple[str, int]:
    """Return what stands between the fields and the lines before the header, to the start of which the file is set."""
    first = handle.readline()
    word, equals, named = first.strip().strip('"').partition("=")
    if equals and word.lower() == "sep" and named in DELIMITERS:
        return named, 1
    handle.seek(0)
    return max(DELIMITERS, key=lambda delimiter: _fit(first, delimiter, required)), 0


def _fit(header: str, delimiter: str, required: tuple[str, ...]) -> tuple[int, int]:
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error:
        return (0, 0)
    return sum(name in names for name in required), len(names)


def _rows(file: Path, reader: "_csv.Reader", header: list[str], skipped: int) -> Iterator[tuple[int, dict[str, str]]]:
    for fields in reader:
        if not fields:
            continue
        if len(fields) != len(header):
            raise DataError(
                f"{file}, line {skipped + reader.line_num}: expected {len(header)} fields, came {len(fields)}"
            )
        yield skipped + reader.line_num, dict(zip(header, fields, strict=True))


def _check_header(file: Path, header: list[str], required: tuple[str, ...], options: Mapping[str, str]) -> None:
    for name in required:
        if header.count(name) != 1:
            came = ", ".join(header) or "nothing"
            how = "must occur once" if name in header else "is missing"
            option = options.get(name)
            other = f" Another one is named by --{option.replace('_', '-')} ({option}=)" if option else ""
            raise DataError(
                f"{file}: the column {name!r} {how}; the first line has: {came}.{did_you_mean(name, header)}{other}"
            )
