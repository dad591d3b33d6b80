"""The planner: which search serves a query. The kernels count what a plan would look at before they look."""

import sys
from typing import Literal

SearchPlan = Literal["numpy", "scan", "rings", "table"]

SMALL_INDEX = 100_000
"""Below so many rows a structure is plain, and a few queries are not worth the time that loading the kernels takes."""
FEW_PAIRS = 20_000_000
TABLE_BITS = 20
GIVE_UP_SHARE = 0.3
"""Share of the codes: a query for which the rings leave more than this is scanned instead."""
PROBE_COST = 8
"""How many codes are scanned in the time of one probe of the table."""
NARROW_SHARE = {"plain": 4, "rings": 50, "table": 50}
"""A filter that leaves at most one row in so many is served by comparing those rows alone."""


def plan_for(kind: str, *, does_prune: bool, n_rows: int, n_query: int) -> SearchPlan:
    """Return the plan for some queries.

    Args:
        kind: the layout, "plain", "rings" or "table".
        does_prune: whether a trial of its own codes showed that rings skip most of them.
        n_rows: rows to search.
        n_query: number of queries.

    Returns:
        "numpy": every row, without compiled kernels; "scan": every distinct code, in blocks; "rings" and "table": few
        codes, counted first: the queries for which they would be many are scanned after all.
    """
    is_loaded = "nearbit.index.engine.scan_kernels" in sys.modules
    if not is_loaded and kind == "plain" and n_rows < SMALL_INDEX and n_rows * n_query <= FEW_PAIRS:
        return "numpy"
    if kind == "table":
        return "table"
    return "rings" if kind == "rings" and does_prune else "scan"


def give_up_at(plan: SearchPlan, n_places: int) -> int:
    """Return how many codes a query may look at by rings, or addresses by the table, before it is scanned instead."""
    return n_places // PROBE_COST if plan == "table" else int(GIVE_UP_SHARE * n_places)


def is_narrow(kind: str, n_allowed: int, n_rows: int) -> bool:
    """Return whether a filter leaves so few rows that comparing those alone is best."""
    return n_allowed * NARROW_SHARE[kind] <= n_rows or n_rows < SMALL_INDEX
