"""What is wrong with an index in a server, in words."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nearbit.codes import as_words
from nearbit.index.engine.structure import brute_force_search
from nearbit.index.homes.postgresql.connections import Connection
from nearbit.index.homes.postgresql.pruning import Known
from nearbit.index.homes.postgresql.reading import all_codes
from nearbit.index.homes.postgresql.schema import Tables
from nearbit.index.homes.postgresql.searching import Search, plain_queries
from nearbit.index.homes.postgresql.writing import Counts
from nearbit.index.verify import NEAREST, SAMPLE


def problems(connection: Connection, tables: Tables, known: Known) -> Iterator[str]:
    """Yield what is wrong: the counts, the items, the codes and their rings, then searches against all items."""
    counts = Counts.read(connection, tables)
    wrong = [*_items(connection, tables, counts), *_codes(connection, tables, counts)]
    yield from wrong
    if not wrong:
        yield from _searches(connection, tables, known, counts)


def _items(connection: Connection, tables: Tables, counts: Counts) -> Iterator[str]:
    n_items = _number(connection, f"SELECT count(*) FROM {tables.items}")
    if n_items != counts.items:
        yield f"{tables.state} counts {counts.items} items, and there are {n_items}"
    sql = f"SELECT id FROM {tables.items} WHERE id < 0 OR id > {counts.last_id} ORDER BY id LIMIT 10"
    for item_id in _numbers(connection, sql):
        yield f"item {item_id}: its id lies outside 0 … {counts.last_id}, the ids that were ever used"
    sql = f"SELECT id FROM {tables.items} WHERE json_typeof(metadata) <> 'object' ORDER BY id LIMIT 10"
    for item_id in _numbers(connection, sql):
        yield f"item {item_id}: its metadata are no JSON object"
    has_code = f"EXISTS (SELECT 1 FROM {tables.codes} AS c WHERE c.code = i.code)"
    sql = f"SELECT id FROM {tables.items} AS i WHERE NOT {has_code} ORDER BY id LIMIT 10"
    for item_id in _numbers(connection, sql):
        yield f"item {item_id}: its code is missing in {tables.codes}, and no search finds it"


def _codes(connection: Connection, tables: Tables, counts: Counts) -> Iterator[str]:
    n_codes = _number(connection, f"SELECT count(*) FROM {tables.codes}")
    if n_codes != counts.codes:
        yield f"{tables.state} counts {counts.codes} distinct codes, and there are {n_codes}"
    for words, condition in (
        (
            "codes without an item, or with another first id than their items have",
            f"c.first_id IS DISTINCT FROM (SELECT min(id) FROM {tables.items} AS i WHERE i.code = c.code)",
        ),
        (
            "codes in a ring that is not theirs",
            f"c.distance <> coalesce((SELECT bit_count(p.code # c.code) FROM {tables.pivots} AS p "
            "WHERE p.pivot = c.pivot AND c.distance BETWEEN p.nearest AND p.farthest), "
            "CASE WHEN c.pivot = -1 THEN 0 ELSE -1 END)",
        ),
    ):
        n_wrong = _number(connection, f"SELECT count(*) FROM {tables.codes} AS c WHERE {condition}")
        if n_wrong:
            yield f"{tables.codes}: {n_wrong} {words}"


def _searches(connection: Connection, tables: Tables, known: Known, counts: Counts) -> Iterator[str]:
    ids, codes = all_codes(connection, tables)
    if not len(ids):
        return
    rows = np.linspace(0, len(ids) - 1, min(SAMPLE, len(ids)), dtype=np.intp)
    words = as_words(codes)
    limits = np.full(len(rows), tables.n_bits, np.int32)
    expected = brute_force_search(words[rows], words, ids, k=NEAREST, limits=limits).first(NEAREST)
    queries = plain_queries(codes[rows], tables.n_bits, None)
    found = Search(tables).nearest(connection, queries, NEAREST, known(connection, counts.pivots))
    if not (np.array_equal(found.ids, expected.ids) and np.array_equal(found.distances, expected.distances)):
        yield "a search finds something else than a comparison with every item"


def _number(connection: Connection, sql: str) -> int:
    row: Any = connection.execute(sql).fetchone()
    return int(row[0])


def _numbers(connection: Connection, sql: str) -> list[int]:
    rows: list[Any] = connection.execute(sql).fetchall()
    return [row[0] for row in rows]
