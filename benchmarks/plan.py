"""What a collection of some size takes, from costs that were measured: to encode, to keep, to load and to search.

    python benchmarks/plan.py --items 1e7 1e8 1e9 1e10

It measures nothing. Each cost is that of a raw JSON in `benchmarks/results`, multiplied; a search is extended by the
exponent with which it grew from 1 M to 10 M codes. So a row beyond 50 million is a plan, and not a result.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
TEN, GB = 10_000_000, 1e9
RANDOM, OWN = "random, single", "own, single"


def raw(name: str) -> Any:
    """Return what a benchmark wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def encode_ms(size: int) -> float:
    """Return milliseconds of one core for an image of MobileNetV2 at a size."""
    rows = raw("encoding-speed")["found"]
    return next(
        row["ms"]
        for row in rows
        if (row["network"], row["size"], row["way"]) == ("mobilenet_v2", size, "nearbit by ONNX Runtime")
    )


def search_ms(kind: str, small: str, search: str, n_items: float) -> float:
    """Return milliseconds of one core for a single query among so many codes, by the exponent from 1 M to 10 M.

    Args:
        kind: of codes, in index-10m.json.
        small: of the same codes of 1 M, in search-limit.json.
        search: whose queries.
        n_items: codes.
    """
    large = raw("index-10m")[f"{kind}, {TEN} x 64 bits"]["searches"][search]["nearbit"]["cpu_ms"]
    before = raw("search-limit")[small]
    before = before["single"]["nearbit"] if small.startswith("uniform") else before[search]["nearbit"]
    exponent = 1.0 if small.startswith("uniform") else max(0.0, math.log10(large / before))
    return float(large * (n_items / TEN) ** exponent)


def plan(n_items: float, memory_gb: float) -> dict[str, float]:
    """Return what so many items of 64 bits take; machines have so much memory for codes."""
    ten, growth = raw("index-10m"), raw("growth")["file"]["4000000"]
    rings = ten[f"clusters-10, {TEN} x 64 bits"]
    servers = raw("homes")
    trained, clusters = (next(v for k, v in servers.items() if k.startswith(name)) for name in ("digits", "clusters-5"))
    in_memory = n_items * rings["structure"]["bytes"] / TEN
    machines = math.ceil(in_memory / (memory_gb * GB))
    share = n_items / machines
    return {
        "items": n_items,
        "encode, core-days, 128 px": n_items * encode_ms(128) / 1000 / 86400,
        "encode, core-days, 224 px": n_items * encode_ms(224) / 1000 / 86400,
        "codes, GB": n_items * 8 / GB,
        "index file and search file, GB": n_items
        * (growth["file, bytes an item"] + growth["search file, bytes an item"])
        / GB,
        "in memory, GB": in_memory / GB,
        "machines": machines,
        "add, core-hours": n_items * growth["add, an item"] / 3600,
        "build, core-minutes": n_items / TEN * rings["build_alone"]["cpu"] / 60,
        "query, clusters-5, ms a machine": search_ms("clusters-5", "clusters, 5% flipped", RANDOM, share),
        "query, clusters-10, ms a machine": search_ms("clusters-10", "clusters, 10% flipped", RANDOM, share),
        "query, uniform, ms a machine": search_ms("uniform", "uniform, 64 bits", RANDOM, share),
        "PostgreSQL, least GB": n_items * trained["bytes"] / trained["items"] / GB,
        "PostgreSQL, most GB": n_items * clusters["bytes"] / clusters["items"] / GB,
        "PostgreSQL, least hours to load": n_items * trained["load_seconds"]["nearbit"] / trained["items"] / 3600,
        "PostgreSQL, most hours to load": n_items * clusters["load_seconds"]["nearbit"] / clusters["items"] / 3600,
    }


def main() -> None:
    """Print the plan, one column a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=float, nargs="+", default=[1e7, 1e8, 1e9, 1e10])
    parser.add_argument("--memory", type=float, default=48, help="GB of a machine that codes may take.")
    parser.add_argument("--out", type=Path, default=RESULTS / "plan.json")
    given = parser.parse_args()
    plans = [plan(n_items, given.memory) for n_items in given.items]
    for name in plans[0]:
        print(f"{name:34}", *(f"{one[name]:>12.3g}" for one in plans))
    given.out.write_text(json.dumps({"memory_gb": given.memory, "plans": plans}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
