"""What changes the tables, inside the transaction of the one writer."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, as_words
from nearbit.errors import InputError
from nearbit.index import arguments
from nearbit.index.changes import NewItems
from nearbit.index.homes.postgresql import pruning
from nearbit.index.homes.postgresql.connections import Connection
from nearbit.index.homes.postgresql.pruning import Known, Pivots, chosen_pivots, no_pivots
from nearbit.index.homes.postgresql.rows import COPIED, bits_of, codes_of, copied_line, copied_lines
from nearbit.index.homes.postgresql.schema import Tables
from nearbit.index.results import Ids
from nearbit.index.storage.rows import Fields, labels_of
from nearbit.index.storage.statements import LAST_ID, row_bytes

LINES_A_BLOCK = 10_000


@final
@dataclass
class Counts:
    """The numbers in the one row of the state, as a transaction changes them."""

    last_id: int
    items: int
    codes: int
    pivots: int
    codes_then: int

    @classmethod
    def read(cls, connection: Connection, tables: Tables) -> "Counts":
        """Return those of the state that the transaction sees."""
        sql = f"SELECT last_id, items, codes, pivots, codes_then FROM {tables.state}"
        row: Any = connection.execute(sql).fetchone()
        return cls(*row)

    def write(self, connection: Connection, tables: Tables) -> None:
        """Write them, and a new state of the items."""
        connection.execute(
            f"UPDATE {tables.state} SET revision = revision + 1, token = %s, last_id = %s, items = %s, codes = %s, "
            "pivots = %s, codes_then = %s",
            (secrets.randbits(62), self.last_id, self.items, self.codes, self.pivots, self.codes_then),
        )


def insert(connection: Connection, tables: Tables, new: NewItems, known: Known) -> Ids:
    """Write items, and return their ids."""
    counts = Counts.read(connection, tables)
    ids = new.ids if new.ids is not None else _next_ids(counts.last_id, len(new.codes))
    if not len(ids):
        return ids
    if new.ids is not None:
        present = present_ids(connection, tables, ids)
        if not new.replace:
            arguments.refuse_present(present)
        elif len(present):
            _delete(connection, tables, present, counts, known)
    bits = bits_of(new.codes, tables.n_bits)
    scales = None if new.outputs is None else new.outputs.scales.tolist()
    outputs = None if new.outputs is None else row_bytes(new.outputs.rows)
    with connection.cursor() as cursor, cursor.copy(f"COPY {tables.items} ({COPIED}) FROM STDIN") as copy:
        lines = copied_lines(ids, bits, new.fields, scales, outputs)
        while block := "".join(islice(lines, LINES_A_BLOCK)):
            copy.write(block)
    counts.items += len(ids)
    _put_codes(connection, tables, new.codes, ids, counts, known)
    counts.last_id = max(counts.last_id, int(ids.max()))
    if counts.codes >= max(pruning.FEWEST_CODES, pruning.GROWTH * counts.codes_then):
        choose_pivots(connection, tables, counts)
    counts.write(connection, tables)
    return ids


def remove(connection: Connection, tables: Tables, ids: Ids, known: Known, *, missing_ok: bool) -> int:
    """Delete items, and return how many."""
    present = present_ids(connection, tables, ids)
    if not missing_ok:
        arguments.refuse_absent(ids, present, "nothing was removed")
    if len(present):
        counts = Counts.read(connection, tables)
        _delete(connection, tables, present, counts, known)
        counts.write(connection, tables)
    return len(present)


def update(connection: Connection, tables: Tables, ids: Ids, fields: Sequence[Fields]) -> None:
    """Give items other columns beside id and code."""
    arguments.refuse_absent(ids, present_ids(connection, tables, ids), "nothing was changed")
    if not len(ids):
        return
    sql = f"UPDATE {tables.items} SET path = %s, labels = %s, metadata = %s::json, digest = %s WHERE id = %s"
    with connection.cursor() as cursor:
        cursor.executemany(
            sql,
            [
                (path, list(labels_of(labels)), metadata, digest, item_id)
                for item_id, (path, labels, metadata, digest) in zip(ids.tolist(), fields, strict=True)
            ],
        )
    Counts.read(connection, tables).write(connection, tables)


def present_ids(connection: Connection, tables: Tables, ids: Ids) -> Ids:
    """Return those of the ids that are there, ascending."""
    sql = f"SELECT id FROM {tables.items} WHERE id = ANY(%s::bigint[]) ORDER BY id"
    rows: list[Any] = connection.execute(sql, (ids.tolist(),)).fetchall()
    return np.array([row[0] for row in rows], np.int64)


def choose_pivots(connection: Connection, tables: Tables, counts: Counts) -> None:
    """Choose pivots for the codes that are there, and put every code in its ring; `counts` is written by the caller."""
    rows: list[Any] = connection.execute(f"SELECT code::text, first_id FROM {tables.codes} ORDER BY code").fetchall()
    codes = codes_of([row[0] for row in rows], tables.n_bits)
    words = as_words(codes)
    chosen = no_pivots(words.shape[1])
    if len(words) >= pruning.FEWEST_CODES:
        none = np.empty(0, np.int32)
        chosen = Pivots(0, chosen_pivots(words, tables.n_bits), none, none, chosen.rings, chosen.counts)
    near, how_far = chosen.assigned(words)
    order = np.lexsort((how_far, near))
    connection.execute(f"DELETE FROM {tables.codes}")
    with connection.cursor() as cursor, cursor.copy(f"COPY {tables.codes} FROM STDIN") as copy:
        places = zip(order.tolist(), near[order].tolist(), how_far[order].tolist(), strict=True)
        lines = (copied_line((rows[row][0], *map(str, (rows[row][1], *place)))) for row, *place in places)
        while block := "".join(islice(lines, LINES_A_BLOCK)):
            copy.write(block)
    connection.execute(f"DELETE FROM {tables.pivots}")
    low, high = _reaches(near, how_far, len(chosen.words), tables.n_bits)
    pivots = bits_of(np.ascontiguousarray(chosen.words).view(np.uint8)[:, : codes.shape[1]], tables.n_bits)
    with connection.cursor() as cursor, cursor.copy(f"COPY {tables.pivots} FROM STDIN") as copy:
        for row in zip(range(len(pivots)), pivots, low.tolist(), high.tolist(), strict=True):
            copy.write_row(row)
    counts.codes, counts.codes_then, counts.pivots = len(rows), len(rows), _new_version()
    connection.execute(f"ANALYZE {tables.codes}")


def _reaches(
    near: npt.NDArray[np.int32], how_far: npt.NDArray[np.int32], n_pivots: int, n_bits: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return between which distances the codes of each pivot lie; of one without codes the first is the larger."""
    low, high = np.full(n_pivots, n_bits, np.int32), np.full(n_pivots, -1, np.int32)
    has_pivot = near >= 0
    np.minimum.at(low, near[has_pivot], how_far[has_pivot])
    np.maximum.at(high, near[has_pivot], how_far[has_pivot])
    return low, high


def _new_version() -> int:
    """Return a number that no other state of the pivots of an index of this name has had; never 0."""
    return secrets.randbits(61) + 1


def _next_ids(last: int, n: int) -> Ids:
    if last > LAST_ID - n:
        raise InputError(f"no ids are left after {last}; give ids yourself")
    return np.arange(last + 1, last + 1 + n, dtype=np.int64)


def _placed(
    connection: Connection, tables: Tables, codes: Codes, counts: Counts, known: Known
) -> tuple[list[str], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return codes as texts, and the pivot and distance of each."""
    near, how_far = known(connection, counts.pivots).assigned(as_words(codes))
    return bits_of(codes, tables.n_bits), near, how_far


def _put_codes(connection: Connection, tables: Tables, codes: Codes, ids: Ids, counts: Counts, known: Known) -> None:
    """Write what is new among the codes, and the first id of those that got a lower one."""
    order = np.argsort(ids, kind="stable")
    distinct, first = np.unique(codes[order], axis=0, return_index=True)
    bits, near, how_far = _placed(connection, tables, distinct, counts, known)
    given = (bits, ids[order][first].tolist(), near.tolist(), how_far.tolist())
    rows = f"SELECT * FROM unnest(%s::bit({tables.n_bits})[], %s::bigint[], %s::integer[], %s::integer[])"
    done = connection.execute(f"INSERT INTO {tables.codes} {rows} ON CONFLICT DO NOTHING", given)
    counts.codes += done.rowcount
    if done.rowcount < len(distinct) and int(ids.min()) <= counts.last_id:  # else each is above those that are there
        connection.execute(
            f"UPDATE {tables.codes} AS c SET first_id = n.first_id FROM ({rows}) AS n(code, first_id, pivot, distance) "
            "WHERE c.pivot = n.pivot AND c.distance = n.distance AND c.code = n.code AND c.first_id > n.first_id",
            given,
        )
    if done.rowcount and near.max() >= 0:
        _widen(connection, tables, near, how_far, counts)


def _widen(
    connection: Connection, tables: Tables, near: npt.NDArray[Any], how_far: npt.NDArray[Any], counts: Counts
) -> None:
    """Write how far the codes of each pivot reach now, where that is farther than before."""
    pivots = np.unique(near)
    low, high = _reaches(near, how_far, int(pivots.max(initial=-1)) + 1, tables.n_bits)
    done = connection.execute(
        f"UPDATE {tables.pivots} AS p SET nearest = least(p.nearest, n.low), farthest = greatest(p.farthest, n.high) "
        "FROM unnest(%s::integer[], %s::integer[], %s::integer[]) AS n(pivot, low, high) "
        "WHERE p.pivot = n.pivot AND (n.low < p.nearest OR n.high > p.farthest)",
        (pivots.tolist(), low[pivots].tolist(), high[pivots].tolist()),
    )
    if done.rowcount:
        counts.pivots = _new_version()


def _delete(connection: Connection, tables: Tables, ids: Ids, counts: Counts, known: Known) -> None:
    """Delete items that are there, and the codes that no item has any more."""
    sql = f"DELETE FROM {tables.items} WHERE id = ANY(%s::bigint[]) RETURNING code::text"
    rows: list[Any] = connection.execute(sql, (ids.tolist(),)).fetchall()
    codes = codes_of(sorted({row[0] for row in rows}), tables.n_bits)
    bits, near, how_far = _placed(connection, tables, codes, counts, known)
    given = (bits, near.tolist(), how_far.tolist())
    now = (
        f"SELECT n.*, (SELECT min(id) FROM {tables.items} AS i WHERE i.code = n.code) AS first_id "
        f"FROM unnest(%s::bit({tables.n_bits})[], %s::integer[], %s::integer[]) AS n(code, pivot, distance)"
    )
    same = "c.pivot = n.pivot AND c.distance = n.distance AND c.code = n.code"
    connection.execute(
        f"UPDATE {tables.codes} AS c SET first_id = n.first_id FROM ({now}) AS n "
        f"WHERE {same} AND n.first_id > c.first_id",
        given,
    )
    gone = connection.execute(
        f"DELETE FROM {tables.codes} AS c USING ({now}) AS n WHERE {same} AND n.first_id IS NULL", given
    )
    counts.items -= len(rows)
    counts.codes -= gone.rowcount
