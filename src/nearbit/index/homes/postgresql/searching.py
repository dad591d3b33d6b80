"""Exact search in the server: first the codes nearest to a query, then the items that have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, as_words
from nearbit.index.engine.weighted.weights import Weighted
from nearbit.index.homes.postgresql.connections import Connection
from nearbit.index.homes.postgresql.filters import Condition
from nearbit.index.homes.postgresql.pruning import Pivots
from nearbit.index.homes.postgresql.rows import bits_of
from nearbit.index.homes.postgresql.schema import Tables
from nearbit.index.results import Hits

CODES_AT_FIRST = 256
"""About so many codes, or four times `k`, are looked at before it is known how far the k-th neighbor is."""

MOST_SHARE = 0.35
"""Where more of the codes must be looked at, reading all of them in their order is quicker than ring by ring."""

Row = tuple[int, int, int]
"""Id, distance in bits, and what is ranked by: the same, or the weighted distance in units."""


@final
@dataclass(frozen=True, eq=False)
class Query:
    """One query, as it goes to the server.

    Attributes:
        bits: the code as a text of 0 and 1.
        words: uint64 `(words,)`, the code.
        table: what a byte of differing bits weighs, 256 numbers for each byte of a code, or None to count bits.
        steps: int64 `(n_bits + 1,)`: the least that codes at a distance of 0, 1, … bits weigh.
        limit: the most that a result weighs.
    """

    bits: str
    words: npt.NDArray[np.uint64]
    table: list[int] | None
    steps: npt.NDArray[np.int64]
    limit: int

    def reach(self, weight: int) -> int:
        """Return how many bits a code that weighs no more than `weight` can differ in."""
        return int(np.searchsorted(self.steps, weight, side="right")) - 1


def plain_queries(codes: Codes, n_bits: int, radius: int | None) -> list[Query]:
    """Return queries that are ranked by the number of differing bits."""
    steps = np.arange(n_bits + 1, dtype=np.int64)
    limit = n_bits if radius is None else min(radius, n_bits)
    words = as_words(codes)
    return [Query(bits, words[row], None, steps, limit) for row, bits in enumerate(bits_of(codes, n_bits))]


def weighted_queries(codes: Codes, weighted: Weighted, radius: float | None) -> list[Query]:
    """Return queries that are ranked by weighted distance, in units."""
    n_bits, limits = weighted.n_bits, weighted.limits(radius)
    places = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int64)
    found = []
    for row, bits in enumerate(bits_of(codes, n_bits)):
        by_byte = weighted.weights[row].reshape(-1, 8)[:, ::-1].astype(np.int64)
        tables = [_table(places, by_byte[byte], min(8, n_bits - 8 * byte)) for byte in range(-(-n_bits // 8))]
        table = np.concatenate(tables).tolist()
        found.append(Query(bits, weighted.words[row], table, weighted.steps[row], int(limits[row])))
    return found


def _table(places: npt.NDArray[np.int64], weights: npt.NDArray[np.int64], n_bits: int) -> npt.NDArray[np.int64]:
    """Return what each value of the next `n_bits` bits weighs, in 256 places."""
    table: npt.NDArray[np.int64] = places @ weights
    if n_bits == 8:
        return table
    short = np.zeros(256, np.int64)
    short[: 1 << n_bits] = table[np.arange(1 << n_bits) << (8 - n_bits)]
    return short


def measure(n_bits: int, *, is_weighted: bool) -> str:
    """Return the SQL of what a code is ranked by, of the bits in which it differs, `x`."""
    if not is_weighted:
        return "bit_count(x)"
    parts = [
        f"(%(table)s::bigint[])[{1 + 256 * byte} + "
        f"substring(x FROM {8 * byte + 1} FOR {min(8, n_bits - 8 * byte)})::integer]"
        for byte in range(-(-n_bits // 8))
    ]
    return " + ".join(parts)


@final
@dataclass(frozen=True)
class Search:
    """Search in the tables of an index.

    Attributes:
        tables: their names.
        ef_search: how many codes an approximate search keeps in view; None to search exactly.
    """

    tables: Tables
    ef_search: int | None = None

    def nearest(self, connection: Connection, queries: Sequence[Query], k: int | None, pivots: Pivots) -> Hits:
        """Return the nearest items of each query, in the state that the transaction sees."""
        if self.ef_search is not None and k is not None:
            connection.execute(f"SET LOCAL hnsw.ef_search = {max(self.ef_search, min(k, 1000))}")
            return _hits(self._run(connection, [self._approximate(one, k) for one in queries]))
        distances = [pivots.distances(one.words) for one in queries]
        first = [_first_reach(one, own, k, pivots) for one, own in zip(queries, distances, strict=True)]
        jobs = list(zip(queries, distances, first, strict=True))
        found = self._run(connection, [self._within(one, own, reach, k, pivots) for one, own, reach in jobs])
        again = []
        for row, (one, own, reach) in enumerate(jobs):
            needed = _needed_reach(one, found[row], k)
            if needed > reach:
                again.append((row, self._within(one, own, needed, k, pivots)))
        for (row, _), rows in zip(again, self._run(connection, [job for _, job in again]), strict=True):
            found[row] = rows
        return _hits(found)

    def nearest_to_one(self, connection: Connection, query: Query, k: int | None, pivots: Pivots) -> Hits | None:
        """Return the nearest items of one query by statements that need no transaction around them.

        Each statement sees one state, and says whether the pivots are still those of that state; where they are not,
        None is returned. One whose own rows show that it looked far enough is exact by itself.
        """
        if self.ef_search is not None:
            return None
        distances = pivots.distances(query.words)
        reach = _first_reach(query, distances, k, pivots)
        while True:
            sql, given = self._within(query, distances, reach, k, pivots)
            rows: list[Any] = connection.execute(
                f"SELECT s.pivots, r.id, r.bits, r.far FROM {self.tables.state} AS s LEFT JOIN ({sql}) AS r ON true "
                "ORDER BY r.far, r.id",
                given,
            ).fetchall()
            if not rows or rows[0][0] != pivots.version:
                return None
            found: list[Row] = [row[1:] for row in rows if row[1] is not None]
            needed = _needed_reach(query, found, k)
            if needed <= reach:
                return _hits([found])
            reach = needed

    def among(self, connection: Connection, queries: Sequence[Query], k: int | None, condition: Condition) -> Hits:
        """Return the nearest of the items that meet a condition."""
        weighs, (wanted, given) = self._weighs(queries), condition
        sql = (
            f"SELECT id, bits, far FROM (SELECT id, bit_count(x) AS bits, {weighs} AS far FROM "
            f"(SELECT id, code # %(code)s::bit({self.tables.n_bits}) AS x FROM {self.tables.items} WHERE {wanted} "
            "OFFSET 0) AS met) AS ranked WHERE far <= %(limit)s ORDER BY far, id LIMIT %(k)s"
        )
        return _hits(self._run(connection, [(sql, {**_given(one, k), **given}) for one in queries]))

    def _within(
        self, query: Query, distances: npt.NDArray[np.int32], reach: int, k: int | None, pivots: Pivots
    ) -> tuple[str, dict[str, Any]]:
        """Return the statement that finds the nearest items of all rings within `reach` bits, and its parameters.

        What it finds farther away than `reach` is a bound, and no result yet.
        """
        given = _given(query, k)
        code = f"%(code)s::bit({self.tables.n_bits})"
        if not pivots.total or pivots.share(distances, reach) > MOST_SHARE:
            rows = f"SELECT code, first_id, code # {code} AS x FROM {self.tables.codes}"
        else:
            given |= dict(zip(("pivots", "low", "high"), pivots.ranges(distances, reach), strict=True))
            rows = (
                f"SELECT c.code, c.first_id, c.code # {code} AS x FROM unnest(%(pivots)s::integer[], "
                f"%(low)s::integer[], %(high)s::integer[]) AS r(pivot, low, high), LATERAL (SELECT code, first_id FROM "
                f"{self.tables.codes} AS d WHERE d.pivot = r.pivot AND d.distance BETWEEN r.low AND r.high "
                "OFFSET 0) AS c"
            )
        limits = [] if query.limit >= int(query.steps[-1]) else [f"{self._weighs([query])} <= %(limit)s"]
        near = (
            f"SELECT code, first_id, bit_count(x) AS bits, {self._weighs([query])} AS far FROM ({rows}) AS m "
            f"{'WHERE ' if limits else ''}{' AND '.join(limits)} ORDER BY far, first_id LIMIT %(k)s"
        )
        return self._items_of(near), given

    def _approximate(self, query: Query, k: int) -> tuple[str, dict[str, Any]]:
        code = f"%(code)s::bit({self.tables.n_bits})"
        near = (
            f"SELECT code, first_id, bits, bits AS far FROM (SELECT code, first_id, (code <~> {code})::bigint AS bits "
            f"FROM {self.tables.codes} ORDER BY code <~> {code} LIMIT %(k)s) AS m WHERE bits <= %(limit)s"
        )
        return self._items_of(near), _given(query, k)

    def _items_of(self, near: str) -> str:
        """Return the statement that gives the items of codes, ranked."""
        return (
            f"WITH near AS MATERIALIZED ({near}) SELECT i.id, near.bits, near.far FROM near, LATERAL (SELECT id FROM "
            f"{self.tables.items} WHERE code = near.code ORDER BY id LIMIT %(k)s) AS i "
            "ORDER BY near.far, i.id LIMIT %(k)s"
        )

    def _weighs(self, queries: Sequence[Query]) -> str:
        return measure(self.tables.n_bits, is_weighted=bool(queries) and queries[0].table is not None)

    def _run(self, connection: Connection, jobs: Sequence[tuple[str, dict[str, Any]]]) -> list[list[Row]]:
        """Return the rows of each statement; several go to the server together."""
        if len(jobs) == 1:
            return [_fetched(connection.execute(*jobs[0]))]
        if not jobs:
            return []
        with connection.pipeline():
            cursors = [connection.execute(*job) for job in jobs]
        return [_fetched(cursor) for cursor in cursors]


def _first_reach(query: Query, distances: npt.NDArray[np.int32], k: int | None, pivots: Pivots) -> int:
    """Return within how many bits is looked first: as far as results may lie, or where some codes lie already."""
    widest = query.reach(query.limit)
    if k is None or not pivots.total:
        return widest
    return min(widest, pivots.first_reach(distances, max(CODES_AT_FIRST, 4 * k)))


def _needed_reach(query: Query, found: Sequence[Row], k: int | None) -> int:
    """Return within how many bits must be looked so that nothing nearer than what was found is missed."""
    widest = query.reach(query.limit)
    return widest if k is None or len(found) < k else min(widest, query.reach(found[-1][2]))


def _fetched(cursor: Any) -> list[Row]:
    rows: list[Row] = cursor.fetchall()
    return rows


def _given(query: Query, k: int | None) -> dict[str, Any]:
    table = {} if query.table is None else {"table": query.table}
    return {"code": query.bits, "limit": query.limit, "k": k, **table}


def _hits(found: Sequence[Sequence[Row]]) -> Hits:
    """Return the rows of each query as hits; those that were ranked by weight keep it, in units."""
    table = np.array([row for rows in found for row in rows], np.int64).reshape(-1, 3)
    sizes = np.array([len(rows) for rows in found], np.int64)
    return Hits.in_sequence(sizes, table[:, 0].copy(), table[:, 1].astype(np.int32), table[:, 2].copy())
