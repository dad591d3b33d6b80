"""Items in an Arrow file (IPC, also called Feather V2), with the columns of the Parquet files."""

from pathlib import Path

from nearbit.errors import InputError
from nearbit.files.arrow import arrow_errors, arrow_library
from nearbit.index.exchange.codes_table import PURPOSE, items_of, schema_of
from nearbit.index.exchange.items import Exchanged
from nearbit.index.exchange.parquet import about_index, tables_of
from nearbit.index.homes.contract import Home


def save(index: Home, path: Path) -> None:
    """Write every item, by id, page by page."""
    schema = schema_of(about_index(index))
    with arrow_library(PURPOSE).ipc.new_file(str(path), schema) as writer:
        for table in tables_of(index, schema):
            writer.write_table(table)


def load(path: Path, n_bits: int | None) -> Exchanged:
    """Read a file that `save` wrote, or one of another program with the same names of columns."""
    arrow = arrow_library(PURPOSE)
    with arrow_errors(str(path), InputError, "an Arrow file"), arrow.pa.OSFile(str(path)) as file:
        return items_of(arrow.ipc.open_file(file).read_all(), str(path), n_bits)
