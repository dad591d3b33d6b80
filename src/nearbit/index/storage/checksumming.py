"""The checksums of rows that were written before rows had any."""

import sqlite3
from typing import Any

from nearbit.index.storage.checksums import item_sum, output_sum
from nearbit.index.storage.damage import Damage

ROWS_PER_PAGE = 10_000

ITEMS = "SELECT id, code, path, labels, metadata, digest FROM items WHERE id > ? ORDER BY id LIMIT ?"
OUTPUTS = "SELECT id, scale, data FROM outputs WHERE id > ? ORDER BY id LIMIT ?"


def put_sums(connection: sqlite3.Connection) -> None:
    """Give every row of items and outputs its checksum, inside the caller's write transaction.

    Raises:
        Damage: a row that no item has: a checksum would make it look whole.
    """
    for table, sql in (("items", ITEMS), ("outputs", OUTPUTS)):
        last = -(2**63)
        while rows := connection.execute(sql, (last, ROWS_PER_PAGE)).fetchall():
            sums = [(_sum_of(row), row[0]) for row in rows]
            connection.executemany(f"UPDATE {table} SET checksum = ? WHERE id = ?", sums)
            last = rows[-1][0]


def _sum_of(row: Any) -> int:
    """Return the checksum of a row of either table."""
    if not isinstance(row[1 if len(row) > 3 else 2], bytes):
        raise Damage(f"the code or the outputs of item {row[0]} are no bytes")
    return item_sum(row) if len(row) > 3 else output_sum(*row)
