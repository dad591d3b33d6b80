"""Items in a Parquet file, which DuckDB, Polars, pandas and Spark read; it holds everything, kept outputs too."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.codes import n_bytes
from nearbit.errors import InputError
from nearbit.files.arrow import arrow_errors, arrow_library
from nearbit.index.exchange.codes_table import PURPOSE, CodesAbout, CodesRows, items_of, schema_of, table_of
from nearbit.index.exchange.items import Exchanged
from nearbit.index.homes.contract import Home
from nearbit.index.results import Item

PAGE = 65_536
"""Items in a group of rows, and in memory at once while an index is written."""

WRITING: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}


def save(index: Home, path: Path) -> None:
    """Write every item, by id, page by page."""
    schema = schema_of(about_index(index))
    with arrow_library(PURPOSE).parquet.ParquetWriter(path, schema, **WRITING) as writer:
        for table in tables_of(index, schema):
            writer.write_table(table)


def load(path: Path, n_bits: int | None) -> Exchanged:
    """Read a file that `save` or `nearbit encode` wrote, or one of another program with the same names of columns."""
    with arrow_errors(str(path), InputError, "a Parquet file"):
        file = arrow_library(PURPOSE).parquet.ParquetFile(path, page_checksum_verification=True)
        with file:
            names = [name for name in file.schema_arrow.names if name in COLUMNS] or None
            return items_of(file.read(columns=names), str(path), n_bits)


COLUMNS = ("id", "code", "path", "labels", "metadata", "digest", "outputs")


def tables_of(index: Home, schema: Any) -> Iterator[Any]:
    """Yield the items of an index, by id, as tables of this schema."""
    last = -1
    while page := index.items_after(last, PAGE):
        last = page[-1].id
        yield table_of(_rows(index, page), schema)


def _rows(index: Home, page: list[Item]) -> CodesRows:
    ids = np.array([item.id for item in page], np.int64)
    return CodesRows(
        ids=ids,
        codes=np.array([item.code for item in page], np.uint8).reshape(-1, n_bytes(index.n_bits)),
        paths=[item.path for item in page],
        labels=[item.labels for item in page],
        metadata=[json.dumps(item.metadata, ensure_ascii=False) if item.metadata else None for item in page],
        digests=[item.digest for item in page],
        outputs=None if index.outputs is None else index.kept_outputs(ids),
    )


def about_index(index: Home) -> CodesAbout:
    """Return what a file of the items of an index says of itself."""
    return CodesAbout(n_bits=index.n_bits, model_id=index.model_id, outputs=index.outputs)
