"""Asymmetric search: by weighted distance, then by id, exactly, whatever the structure, the tail and the filters."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearbit.codes import as_words, binarize, hamming_distances, pack, signs_of
from nearbit.errors import InputError
from nearbit.index import asymmetric_search, create_index
from nearbit.index.engine.structure import build_structure
from nearbit.index.engine.weighted.weights import weighted as weighted_queries


def rounded(query):
    """Return each |weight| as the contract rounds it, a Fraction: a multiple of 2**-24 of the next power of two."""
    magnitudes = [Fraction(abs(float(value))) for value in query]
    if not any(magnitudes):
        return magnitudes
    power = math.frexp(max(abs(float(value)) for value in query))[1]
    unit = Fraction(2) ** (power - 24)
    return [round(value / unit) * unit for value in magnitudes]


def expected(query, signs, ids, k=None, radius=None):
    """Return (id, bits, weighted distance) in rank order, by plain loops over exact fractions."""
    weights, found = rounded(query), []
    own = [1 if value >= 0 else -1 for value in query]
    for item, number in zip(signs, ids, strict=True):
        differing = [bit for bit, sign in enumerate(item) if sign != own[bit]]
        distance = sum((weights[bit] for bit in differing), Fraction(0))
        if radius is None or distance <= Fraction(radius):
            found.append((distance, number, len(differing)))
    return [(number, bits, float(distance)) for distance, number, bits in sorted(found)[:k]]


def listed(results, query):
    found = results.ids[query] != -1
    rows = (results.ids[query], results.distances[query], results.weighted[query])
    assert (rows[1][~found] == -1).all()
    assert (rows[2][~found] == -1).all()
    return list(zip(*(row[found].tolist() for row in rows), strict=True))


def outputs_of(kind, n, n_bits, rng):
    outputs = rng.normal(size=(n, n_bits))
    if kind == "equal":
        outputs = np.sign(outputs)
    elif kind == "zeros":
        outputs = np.where(rng.random(outputs.shape) < 0.7, 0.0, np.round(outputs, 1))
    elif kind == "nothing":
        outputs = np.zeros_like(outputs)
    elif kind == "uneven":
        outputs = outputs * 10.0 ** rng.integers(-30, 30, outputs.shape)
    return outputs.astype(np.float32)


KINDS = ("normal", "equal", "zeros", "nothing", "uneven")


@st.composite
def structures(draw):
    n_bits = draw(st.sampled_from([1, 3, 8, 12, 16, 64, 65, 130, 256]))
    layouts = ["plain", "rings", *(["table"] if n_bits <= 16 else [])]
    seed = draw(st.integers(0, 10_000))
    return (
        n_bits, draw(st.sampled_from(layouts)), draw(st.sampled_from(KINDS)), draw(st.integers(0, 60)),
        draw(st.sampled_from([1, 5, 100, None])), draw(st.booleans()), draw(st.sampled_from([None, 0.0, 0.3, 1.0])),
        np.random.default_rng(seed),
    )  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(structures())
def test_every_structure_finds_what_a_plain_loop_finds(case):
    n_bits, layout, kind, n, k, does_exclude, share, rng = case
    centers = rng.random((4, n_bits)) < 0.5
    bits = centers[rng.integers(0, 4, n)] ^ (rng.random((n, n_bits)) < 0.15)
    words = as_words(np.packbits(bits, axis=1).reshape(n, -(-n_bits // 8)))
    structure = build_structure(words, n_bits, layout=layout)
    outputs = outputs_of(kind, 3, n_bits, rng)
    queries = weighted_queries(outputs)
    radius = None if share is None else share * float(np.abs(outputs).sum(axis=1).max()) / 2
    excluded = rng.random(n) < 0.3 if does_exclude else None
    allowed = np.flatnonzero(rng.random(n) < 0.6) if share == 0.3 else None
    found = asymmetric_search.nearest_rows(
        structure, words, queries, k, queries.limits(radius), allowed=allowed, excluded=excluded
    )
    there = np.ones(n, np.bool_) if excluded is None else ~excluded
    if allowed is not None:
        there &= np.isin(np.arange(n), allowed)
    rows = np.flatnonzero(there)
    reals = queries.in_reals(found.queries, found.weighted)
    for number, query in enumerate(outputs):
        own = found.queries == number
        triples = list(zip(*(part[own].tolist() for part in (found.ids, found.distances, reals)), strict=True))
        assert triples == expected(query, np.where(bits[rows], 1, -1), rows.tolist(), k, radius)


@pytest.mark.parametrize("layout", ["plain", "rings", "table"])
@pytest.mark.parametrize("kind", ["normal", "equal", "zeros"])
def test_many_codes_are_ranked_as_by_numpy_on_one_thread_and_on_two(monkeypatch, layout, kind):
    n, n_bits, rng = 300_000 if layout == "plain" else 30_000, 16 if layout == "table" else 64, np.random.default_rng(3)
    centers = rng.random((30, n_bits)) < 0.5
    bits = centers[rng.integers(0, 30, n)] ^ (rng.random((n, n_bits)) < 0.1)
    words = as_words(np.packbits(bits, axis=1))
    structure = build_structure(words, n_bits, layout=layout)
    outputs = outputs_of(kind, 4, n_bits, rng)
    queries = weighted_queries(outputs)
    if layout == "plain":
        queries = queries.part(np.arange(1))  # for one query the codes are shared out
    for threads in ("1", "2"):
        monkeypatch.setenv("NEARBIT_THREADS", threads)
        found = asymmetric_search.nearest_rows(structure, words, queries, 50, queries.limits(None))
        for number in range(len(queries)):
            units = np.rint(np.ldexp(np.abs(outputs[number].astype(float)), -queries.exponents[number])).astype(int)
            distances = (bits != (outputs[number] >= 0)) @ units
            order = np.lexsort((np.arange(n), distances))[:50]
            own = found.queries == number
            assert found.ids[own].tolist() == order.tolist()
            assert found.weighted[own].tolist() == distances[order].tolist()


@pytest.mark.parametrize("layout", ["plain", "rings", "table"])
def test_where_a_distance_and_a_row_do_not_fit_into_one_number_the_ranking_is_the_same(monkeypatch, layout):
    rng = np.random.default_rng(5)
    bits = rng.random((400, 12)) < 0.5
    structure = build_structure(as_words(np.packbits(bits, axis=1)), 12, layout=layout)
    words, outputs = as_words(np.packbits(bits, axis=1)), outputs_of("normal", 3, 12, rng)
    queries = weighted_queries(outputs)
    assert asymmetric_search.has_keys(queries, 400)
    found = asymmetric_search.nearest_rows(structure, words, queries, 20, queries.limits(None))
    monkeypatch.setattr(asymmetric_search, "KEY_DIGITS", 30)
    monkeypatch.setattr(asymmetric_search, "_compiled", None)  # it is not to be called
    again = asymmetric_search.nearest_rows(structure, words, queries, 20, queries.limits(None))
    for name in ("offsets", "ids", "distances", "weighted"):
        assert getattr(found, name).tolist() == getattr(again, name).tolist()
    assert found.ids[:20].tolist() == [row for row, _, _ in expected(outputs[0], np.where(bits, 1, -1), range(400), 20)]


def test_the_largest_weights_and_the_last_row_fit_into_a_key():
    n, n_bits = 1 << 16, 64
    bits = np.ones((n, n_bits), np.bool_)
    bits[-1, 0] = bits[0, :2] = False
    words = as_words(np.packbits(bits, axis=1))
    queries = weighted_queries(np.full((1, n_bits), -np.finfo(np.float32).max, np.float32))
    for layout in ("plain", "rings"):
        structure = build_structure(words, n_bits, layout=layout)
        found = asymmetric_search.nearest_rows(structure, words, queries, 3, queries.limits(None))
        assert found.ids.tolist() == [0, n - 1, 1]
        assert found.distances.tolist() == [62, 63, 64]
        assert (found.weighted == queries.weights[0, 0] * found.distances.astype(np.int64)).all()


@pytest.mark.parametrize("layout", ["plain", "rings", "table"])
def test_codes_that_repeat_much_are_cut_by_row_at_every_k(layout):
    rng = np.random.default_rng(8)
    own = rng.random((9, 10)) < 0.5
    bits = own[rng.integers(0, 9, 5000)]
    words, outputs = as_words(np.packbits(bits, axis=1)), outputs_of("zeros", 5, 10, rng)
    structure, queries = build_structure(words, 10, layout=layout), weighted_queries(outputs)
    gone = rng.random(5000) < 0.2
    for k in (1, 2, 63, 400, 1500, 5000, None):
        found = asymmetric_search.nearest_rows(structure, words, queries, k, queries.limits(None), excluded=gone)
        for number, query in enumerate(outputs):
            units = np.rint(np.ldexp(np.abs(query.astype(float)), -queries.exponents[number])).astype(np.int64)
            distances = (bits != (query >= 0)) @ units
            order = np.lexsort((np.arange(5000), distances))
            mine = found.queries == number
            assert found.ids[mine].tolist() == order[~gone[order]][:k].tolist()


@pytest.mark.parametrize("n_bits", [8, 40])
def test_an_index_ranks_by_weight_through_tail_filters_and_removed_items(tmp_path, n_bits):
    rng = np.random.default_rng(n_bits)
    signs = np.where(rng.random((90, n_bits)) < 0.5, 1, -1).astype(np.int8)
    outputs = outputs_of("normal", 4, n_bits, rng)
    codes = pack(signs_of(outputs))
    labels = [{"labels": ["wren" if number % 3 else "owl"]} for number in range(90)]
    with create_index(tmp_path / "a.index", n_bits) as index:
        first = index.add(pack(signs[:60]), metadata=labels[:60]).tolist()
        index.compact()
        index.remove(first[5:9])
        ids = [*first[:5], *first[9:], *index.add(pack(signs[60:]), metadata=labels[60:]).tolist()]
        left = np.concatenate([signs[:5], signs[9:]])
        some = [place for place, number in enumerate(ids) if (number - first[0]) % 3]
        radius = float(np.abs(outputs).sum(axis=1).min()) / 3
        all_of = index.search(codes, k=10, weights=outputs)
        near = index.search(codes, k=None, radius=radius, weights=outputs)
        wrens = index.search(codes, k=80, weights=outputs, where={"labels": "wren"})
    for number, query in enumerate(outputs):
        assert listed(all_of, number) == expected(query, left, ids, 10)
        assert listed(near, number) == expected(query, left, ids, None, radius)
        assert listed(wrens, number) == expected(query, left[some], [ids[place] for place in some], 80)


def test_equal_weights_rank_as_distance_does(tmp_path):
    rng = np.random.default_rng(0)
    signs = np.where(rng.random((50, 12)) < 0.5, 1, -1)
    with create_index(tmp_path / "a.index", 12) as index:
        index.add(pack(signs))
        plain = index.search(pack(signs[:3]), k=50)
        by_weight = index.search(pack(signs[:3]), k=50, weights=0.1 * signs[:3])
    assert np.array_equal(plain.ids, by_weight.ids)
    assert plain.weighted is None
    assert np.allclose(by_weight.weighted, 0.1 * plain.distances)


def test_an_empty_index_and_no_queries_find_nothing(tmp_path):
    with create_index(tmp_path / "a.index", 8) as index:
        found = index.search(np.zeros((1, 1), np.uint8), k=3, weights=np.full((1, 8), -1.0))
        none = index.search(np.empty((0, 1), np.uint8), k=3, weights=np.empty((0, 8)))
    assert found.ids.tolist() == [[-1, -1, -1]]
    assert found.weighted.tolist() == [[-1, -1, -1]]
    assert none.ids.shape == (0, 3)


@pytest.mark.parametrize(
    ("weights", "more", "words"),
    [
        ([[np.nan] + [1.0] * 7], {}, "weights must be finite as float32"),
        ([[np.inf] + [1.0] * 7], {}, "weights must be finite as float32"),
        ([[1e39] + [1.0] * 7], {}, "weights must be finite as float32"),
        ([[1.0] * 7], {}, r"weights must be real numbers \(1, 8\)"),
        ([["a"] * 8], {}, "weights must be real numbers"),
        ([[-1.0] + [1.0] * 7], {}, "codes must be the signs of the weights"),
        ([[1.0] * 8], {"radius": -1}, "radius must be a weighted distance"),
        ([[1.0] * 8], {"radius": float("nan")}, "radius must be a weighted distance"),
        ([[1.0] * 8], {"radius": True}, "radius must be a weighted distance"),
        ([[1.0] * 8], {"k": 0}, "k must be a whole number"),
        ([[1.0] * 8], {"k": None}, "a search needs k, a radius, or both"),
        ([[1.0] * 8], {"outputs": [[1.0] * 8]}, "weights rank by themselves"),
        ([[1.0] * 8], {"rerank": 3}, "weights rank by themselves"),
    ],
)
def test_what_cannot_rank_is_refused(tmp_path, weights, more, words):
    with create_index(tmp_path / "a.index", 8) as index, pytest.raises(InputError, match=words):
        index.search(np.full((1, 1), 255, np.uint8), weights=weights, **more)


def test_a_weight_of_zero_goes_with_either_sign(tmp_path):
    with create_index(tmp_path / "a.index", 2) as index:
        index.add(pack([[1, 1], [-1, 1]]))
        for sign in (1, -1):
            found = index.search(pack([[sign, 1]]), k=2, weights=[[0.0, 2.0]])
            assert found.ids.tolist() == [[1, 2]] or found.ids.tolist() == [[0, 1]]
            assert found.weighted.tolist() == [[0.0, 0.0]]


def test_outputs_that_were_rounded_to_0_find_their_own_items_at_distance_0(tmp_path):
    outputs = np.random.default_rng(3).normal(size=(60, 64)).astype(np.float32)
    outputs[:, 5] = -1e-4  # int8 keeps 0
    with create_index(tmp_path / "a.index", 64, outputs="int8") as index:
        ids = index.add(binarize(outputs), outputs=outputs)
        kept, codes = index.kept_outputs(ids), index.codes()[1]
        assert (kept[:, 5] == 0).all()
        found = index.search(codes, k=2, weights=kept)
    assert found.ids.reshape(60, 2)[:, 0].tolist() == ids.tolist()
    distances = hamming_distances(codes, codes, 64)
    near = found.ids.reshape(60, 2)[:, 1] - 1
    assert found.distances.reshape(60, 2).tolist() == [[0, distances[row, one]] for row, one in enumerate(near)]
