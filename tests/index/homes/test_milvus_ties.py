"""Whole ties out of an engine that cuts them as it likes: no server is needed, one that is worse stands in for it."""

import numpy as np
import pytest

from nearbit.index.homes.milvus import searching
from nearbit.index.homes.milvus.searching import Wanted, nearest


class Engine:
    """Gives the nearest items of each query, those at one distance in any order, and at most `MOST` of them."""

    def __init__(self, ids, bits, seed):
        self.ids, self.bits, self.rng = ids, bits, np.random.default_rng(seed)
        self.requests = 0

    def __call__(self, codes, limit, ids):
        self.requests += 1
        assert 1 <= limit <= searching.MOST
        return [self._nearest(np.frombuffer(code, np.uint8), limit, ids) for code in codes]

    def _nearest(self, code, limit, ids):
        distances = (self.bits != code).sum(axis=1)
        seen = np.ones(len(self.ids), bool) if ids is None else (self.ids >= ids[0]) & (self.ids <= ids[1])
        rows = self.rng.permutation(np.flatnonzero(seen))
        rows = rows[np.argsort(distances[rows], kind="stable")][:limit]
        return [(int(self.ids[row]), int(distances[row])) for row in rows]


def expected(engine, code, k, radius):
    """Return (id, distance) of what is wanted, by a comparison with every item."""
    distances = (engine.bits != np.frombuffer(code, np.uint8)).sum(axis=1)
    pairs = sorted(zip(distances.tolist(), engine.ids.tolist(), strict=True))
    return [(item, far) for far, item in pairs if far <= radius][: len(pairs) if k is None else k]


@pytest.mark.parametrize("most", [16, 40, 16_384])
@pytest.mark.parametrize("n_bits", [1, 3, 9])
def test_ties_are_whole_whatever_the_engine_cuts(monkeypatch, most, n_bits):
    monkeypatch.setattr(searching, "MOST", most)
    monkeypatch.setattr(searching, "BEYOND", 2)
    rng = np.random.default_rng(n_bits)
    for seed in range(6):
        n = int(rng.integers(0, 400))
        ids = rng.choice(2000, n, replace=False).astype(np.int64)
        engine = Engine(ids, (rng.random((n, n_bits)) < 0.3).astype(np.uint8), seed)
        codes = [(rng.random(n_bits) < 0.3).astype(np.uint8).tobytes() for _ in range(7)]
        for k, radius in ((1, n_bits), (15, n_bits), (90, n_bits), (None, 1), (None, n_bits), (20, 1), (3, 0)):
            hits = nearest(engine, codes, Wanted(k, radius), n, int(ids.max(initial=0)))
            assert len(hits) == len(codes)
            for row, code in enumerate(codes):
                found = slice(*hits.offsets[row : row + 2])
                pairs = list(zip(hits.ids[found].tolist(), hits.distances[found].tolist(), strict=True))
                assert pairs == expected(engine, code, k, radius), (k, radius)


def test_one_request_is_enough_where_what_follows_is_farther():
    rng = np.random.default_rng(0)
    bits = (rng.random((5000, 40)) < 0.5).astype(np.uint8)
    engine = Engine(np.arange(5000), bits, 0)
    hits = nearest(engine, [bits[7].tobytes()] * 9, Wanted(3, 40), 5000, 5000)
    assert hits.ids[:1].tolist() == [7]
    assert engine.requests == 1


def test_nothing_is_asked_of_an_empty_index():
    def fail(*_):
        raise AssertionError

    assert len(nearest(fail, [b"\0"] * 3, Wanted(5, 8), 0, 0)) == 3
    assert len(nearest(fail, [], Wanted(5, 8), 10, 10)) == 0
