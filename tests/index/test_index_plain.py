"""NumPy's forms of the searches find what the compiled ones find, and what changes hands midway loses nothing."""

import numpy as np
import pytest

from nearbit import compiled
from nearbit.codes import as_words, binarize
from nearbit.index import create_index, open_index
from nearbit.index.asymmetric_search import nearest_rows
from nearbit.index.engine import plain_search, structure
from nearbit.index.engine.structure import build_structure
from nearbit.index.engine.weighted.weights import weighted

SHAPES = [("plain", 12), ("table", 12), ("plain", 64), ("rings", 64), ("rings", 200), ("plain", 300)]


def clustered(n, n_bits, rng):
    """Return outputs near five centers: many codes come twice, and many distances tie."""
    centers = rng.choice([-1.0, 1.0], (5, n_bits))
    return (centers[rng.integers(0, 5, n)] * np.where(rng.random((n, n_bits)) < 0.03, -1, 1)).astype(np.float32)


def same(a, b):
    assert a.offsets.tolist() == b.offsets.tolist()
    assert a.ids.tolist() == b.ids.tolist()
    assert a.distances.tolist() == b.distances.tolist()
    assert a.ids.dtype == b.ids.dtype
    assert a.distances.dtype == b.distances.dtype
    assert (a.weighted is None) == (b.weighted is None)
    assert a.weighted is None or a.weighted.tolist() == b.weighted.tolist()


@pytest.mark.parametrize(("layout", "n_bits"), SHAPES)
def test_numpy_finds_what_the_kernels_find(layout, n_bits, monkeypatch):
    monkeypatch.setattr(plain_search, "SAMPLE", 64)
    monkeypatch.setattr(plain_search, "BLOCK", 500)
    rng = np.random.default_rng(n_bits)
    outputs = clustered(3000, n_bits, rng)
    words, queries = as_words(binarize(outputs)), as_words(binarize(outputs[:9]))
    queries[4] ^= queries[5]  # far from all
    built = build_structure(words, n_bits, layout=layout)
    removed = rng.random(3000) < 0.5
    nearly_all = np.ones(3000, np.bool_)
    nearly_all[[7, 2999]] = False
    for k, radius in ((1, None), (10, None), (2999, None), (10_000, None), (None, 0), (None, n_bits // 4), (5, 2)):
        for excluded in (None, removed, nearly_all, np.ones(3000, np.bool_)):
            found = built.nearest(queries, k=k, radius=radius, excluded=excluded, plan="numpy")
            same(found, built.nearest(queries, k=k, radius=radius, excluded=excluded, plan="scan"))


@pytest.mark.parametrize(("layout", "n_bits"), SHAPES)
def test_numpy_weighs_as_the_kernels_do(layout, n_bits, monkeypatch):
    rng = np.random.default_rng(n_bits)
    outputs = clustered(2000, n_bits, rng) * rng.integers(0, 3, (2000, n_bits)).astype(np.float32)  # zeros and ties
    words, asked = as_words(binarize(outputs)), weighted(outputs[:7] + np.float32(0.25))
    built, removed = build_structure(words, n_bits, layout=layout), rng.random(2000) < 0.5
    few = np.flatnonzero(~removed)[:40]
    for k, limits in ((1, None), (9, None), (3000, None), (None, 30.0), (9, 3.5)):
        for allowed, excluded in ((None, None), (None, removed), (few, None), (few, removed), (few[:0], None)):
            found = []
            for mode in ("never", "now"):
                monkeypatch.setenv("NEARBIT_COMPILE", mode)
                limit = asked.limits(limits)
                found.append(nearest_rows(built, words, asked, k, limit, allowed=allowed, excluded=excluded))
            same(*found)


def test_a_search_that_changes_to_kernels_midway_loses_no_query(monkeypatch):
    words = as_words(binarize(clustered(3000, 64, np.random.default_rng(0))))
    built = build_structure(words, 64, layout="plain")
    whole = built.nearest(words[:50], k=3, radius=None, plan="scan")

    def pieces(n, seconds):
        yield slice(0, 20), False
        yield slice(20, 21), False
        yield slice(21, n), True

    monkeypatch.setattr(structure, "SEARCH", type("Changing", (), {"pieces": staticmethod(pieces)}))
    same(built.nearest(words[:50], k=3, radius=None), whole)


def test_a_provisional_structure_is_replaced_once_kernels_are_there(tmp_path, monkeypatch):
    monkeypatch.setenv("NEARBIT_COMPILE", "never")
    monkeypatch.setattr("nearbit.index.engine.structure.SMALL_INDEX", 1000)
    monkeypatch.setattr("nearbit.index.live.manager.CACHED_ITEMS", 1000)
    codes = binarize(clustered(3000, 64, np.random.default_rng(0)))
    path = tmp_path / "some.index"
    with create_index(path, n_bits=64) as index:
        index.add(codes)
        index.compact()
        first = index.search(codes[:5], k=9)
        assert index._manager.latest().main.structure.is_provisional
    monkeypatch.setenv("NEARBIT_COMPILE", "auto")
    with open_index(path) as index:
        assert index.search(codes[:5], k=9).hits.ids.tolist() == first.hits.ids.tolist()
        assert index._manager.latest().main.structure.is_provisional
        compiled.SEARCH.load()
        compiled.BUILDING.load()
        index.search(codes[:5])
        index._manager.finish_merge()
        assert index._manager.latest().main.structure.layout.kind == "rings"
        assert index.search(codes[:5], k=9).hits.ids.tolist() == first.hits.ids.tolist()
        assert not index.verify()
    with open_index(path, read_only=True) as index:  # it was kept in the search file
        index.search(codes[:1])
        assert index._manager.latest().main.structure.layout.kind == "rings"
