"""Looking after an index in a server: pivots chosen anew, the graph of an approximate search, and facts about it."""

from collections.abc import Mapping
from typing import Any

from nearbit.index.homes.postgresql import reading, writing
from nearbit.index.homes.postgresql.connections import Connection
from nearbit.index.homes.postgresql.pruning import Known
from nearbit.index.homes.postgresql.schema import Tables


def compacted(connection: Connection, tables: Tables, *, has_graph: bool) -> None:
    """Choose pivots for the codes that there are, and make the graph (HNSW) where the search uses one."""
    counts = writing.Counts.read(connection, tables)
    writing.choose_pivots(connection, tables, counts)
    counts.write(connection, tables)
    if has_graph:
        connection.execute(
            f"CREATE INDEX IF NOT EXISTS {tables.codes}_graph ON {tables.codes} USING hnsw (code bit_hamming_ops)"
        )


def described(
    connection: Connection, tables: Tables, facts: Mapping[str, str], known: Known, ef_search: int | None
) -> dict[str, Any]:
    """Return facts about an index, ready for JSON."""
    counts = writing.Counts.read(connection, tables)
    pivots = known(connection, counts.pivots)
    exact = {"plan": "rings" if pivots.total else "scan", "approximate": False}
    names = (tables.meta, tables.state, tables.items, tables.codes, tables.pivots)
    return {
        "items": counts.items,
        "distinct_codes": counts.codes,
        "n_bits": tables.n_bits,
        "file_bytes": reading.size_of(connection, names),
        "cache_bytes": None,
        "model_id": facts.get("model_id"),
        "outputs": facts.get("outputs"),
        "format_version": int(facts["nearbit_format"]),
        "created": facts.get("created"),
        "revision": reading.state(connection, tables).revision,
        "added_since_merge": 0,
        "removed_since_merge": 0,
        "search": {
            "engine": f"PostgreSQL {connection.info.server_version // 10_000}",
            **(exact if ef_search is None else {"plan": "hnsw", "approximate": True, "ef_search": ef_search}),
            "pivots": len(pivots.words),
            "partitions": int(facts.get("partitions", "1")),
        },
    }
