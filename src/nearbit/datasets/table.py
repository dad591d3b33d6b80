"""Rows of CSV and TSV files with a header, each with its line number for messages."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nearbit.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import _csv


def read_table(file: Path, required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, row by column name) of a CSV file, or of a TSV file by its suffix; UTF-8, a header first.

    Fields may hold line breaks in quotes. Columns beyond `required` are passed on.

    Raises:
        DataError: the file cannot be read or is not UTF-8, a required column is missing or occurs twice, or a row has
            more or fewer fields than the header; with the line number.
    """
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    try:
        with open(file, newline="", encoding="utf-8-sig") as handle:
            reader = csv.reader(handle, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(file, header, required)
            yield from _rows(file, reader, header)
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: must be UTF-8 text, but byte {error.start} is not; save it as UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: {error}") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error


def _rows(file: Path, reader: "_csv.Reader", header: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    for fields in reader:
        if not fields:
            continue
        if len(fields) != len(header):
            raise DataError(f"{file}, line {reader.line_num}: expected {len(header)} fields, came {len(fields)}")
        yield reader.line_num, dict(zip(header, fields, strict=True))


def _check_header(file: Path, header: list[str], required: tuple[str, ...]) -> None:
    for name in required:
        if header.count(name) != 1:
            came = ", ".join(header) or "nothing"
            how = "must occur once" if name in header else "is missing"
            hint = did_you_mean(name, header)
            raise DataError(f"{file}: the column {name!r} {how}; the first line has: {came}.{hint}")
