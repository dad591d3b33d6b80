"""What a search by rings and a scan cost on this machine, for the codes at hand: measured, once for each structure.

A plan may differ from machine to machine, and from run to run; what it finds does not.
"""

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nearbit.index.engine.layout import Layout, Words
from nearbit.index.engine.rings import codes_looked_at

SAMPLE = 4
"""Queries of each kind: codes of the structure itself, and others at random."""
ROUNDS = 3
"""The quickest of so many counts: other programs use the caches, too."""
LEAST_SHARE, MOST_SHARE = 0.005, 0.3
"""Of the codes a query may look at so many, at least and at most, whatever was measured: a clock may be wrong."""
FEW_QUERIES = 4
"""Up to so many queries are priced as single ones, for which all codes come from memory."""
K = 100
LEAST = 1e-12


_clock = time.perf_counter if sys.platform == "win32" else time.thread_time
"""Seconds of processor time of this thread, as far as the system counts them finely enough."""


class Cost(NamedTuple):
    """What one query costs, in seconds.

    Attributes:
        scan: to compare it with all codes.
        own: by rings, a query that is one of the codes.
        look: of a search by rings, for each further code that it looks at, the bounds of cells included.
    """

    scan: float
    own: float
    look: float

    @property
    def does_prune(self) -> bool:
        """Whether queries like the codes are better served by rings."""
        return self.own < self.scan

    def give_up_at(self, n_places: int) -> int:
        """Return how many codes a query may look at before a scan of all would have been quicker."""
        least, most = max(1, int(LEAST_SHARE * n_places)), max(1, int(MOST_SHARE * n_places))
        return max(least, min(most, int(self.scan / max(self.look, LEAST))))


class Costs(NamedTuple):
    """What a query costs alone, and as one of many in a call."""

    single: Cost
    batch: Cost

    def of(self, n_query: int) -> Cost:
        """Return the cost of one of so many queries."""
        return self.single if n_query <= FEW_QUERIES else self.batch


def measure(layout: Layout, n_bits: int) -> Costs:
    """Measure both plans on some queries, by the compiled kernels."""
    own, others = sample(layout, n_bits)
    looks = [float(codes_looked_at(layout, queries, n_bits, K).mean()) for queries in (own, others)]
    costs = []
    for parts in (SAMPLE, 1):
        scan = _quickest(lambda some: by_scan(layout, some, n_bits), np.split(others, parts))
        near, far = (
            _quickest(lambda some: codes_looked_at(layout, some, n_bits, K), np.split(queries, parts))
            for queries in (own, others)
        )
        costs.append(cost_of(scan, (near, looks[0]), (far, looks[1])))
    return Costs(*costs)


def cost_of(scan: float, own: tuple[float, float], others: tuple[float, float]) -> Cost:
    """Return what was measured: seconds of a scan; seconds of rings, and looks, for the codes and for other queries."""
    more = others[1] - own[1]
    if more >= 1 and others[0] > own[0]:
        return Cost(scan, own[0], (others[0] - own[0]) / more)
    return Cost(scan, own[0], others[0] / max(others[1], 1.0))


def sample(layout: Layout, n_bits: int) -> tuple[Words, Words]:
    """Return some of the codes, and codes at random, each uint64 `(SAMPLE, words)`; the same ones each time."""
    places = np.linspace(0, layout.n_places - 1, SAMPLE).astype(int)
    own = np.array(layout.columns[:, places].T, order="C")
    bits = np.zeros((SAMPLE, 64 * own.shape[1]), np.uint8)
    bits[:, :n_bits] = np.random.default_rng(0).integers(0, 2, (SAMPLE, n_bits))
    bytes_of = np.packbits(bits, axis=1)
    if n_bits % 8:
        bytes_of[:, n_bits // 8] &= 0xFF << (8 - n_bits % 8) & 0xFF
    return own, np.ascontiguousarray(bytes_of).view("<u8").astype(np.uint64)


def by_scan(layout: Layout, queries: Words, n_bits: int) -> None:
    """Compare queries with all codes."""
    from nearbit.index.engine import calls

    limits = np.full(len(queries), n_bits, np.int64)
    calls.scan(layout, 0, layout.n_places, queries, limits, n_bits, K, _nobody())


def _quickest(work: Callable[[Words], object], parts: list[Words]) -> float:
    """Return the seconds a query of the quickest of some rounds over all parts."""
    taken = []
    for _ in range(ROUNDS):
        begin = _clock()
        for part in parts:
            work(part)
        taken.append(_clock() - begin)
    return min(taken) / SAMPLE


def _nobody() -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    nobody = np.empty(0, np.bool_)
    nobody.flags.writeable = False
    return nobody
