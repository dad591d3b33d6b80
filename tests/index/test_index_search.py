"""Exact search: equal to a brute-force sort on awkward codes, with radius, filters and padding."""

import threading

import numpy as np
import pytest

import oracles
from nearbit.errors import InputError
from nearbit.index import create_index

LENGTHS = (1, 2, 7, 8, 9, 12, 16, 31, 64, 65, 128, 130)


def codes_with_ties(n, n_bits, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.random((3, n_bits)) < 0.5
    return np.packbits(centers[rng.integers(0, 3, n)] ^ (rng.random((n, n_bits)) < 1 / n_bits), axis=1)


def assert_equal_to_oracle(results, queries, items, n_bits, k=None, radius=None):
    rows = [oracles.top_k(query, items, n_bits, k, radius) for query in queries]
    width = k if k is not None else max((len(row) for row in rows), default=0)
    assert results.ids.dtype == np.int64
    assert results.distances.dtype == np.int32
    padded = [row + [(-1, -1)] * (width - len(row)) for row in rows]
    assert results.ids.tolist() == [[item_id for item_id, _ in row] for row in padded]
    assert results.distances.tolist() == [[distance for _, distance in row] for row in padded]
    assert [results.pairs(query) for query in range(len(results))] == rows


@pytest.mark.parametrize("n_bits", LENGTHS)
def test_results_equal_a_brute_force_sort(tmp_path, n_bits):
    codes = codes_with_ties(60, n_bits)
    ids = np.random.default_rng(1).permutation(1000)[:60]
    items = dict(zip(ids.tolist(), codes, strict=True))
    queries = codes_with_ties(4, n_bits, seed=2)
    with create_index(tmp_path / "a.index", n_bits) as index:
        index.add(codes, ids=ids)
        for k in (1, 5, 59, 60, 61, 200):
            assert_equal_to_oracle(index.search(queries, k=k), queries, items, n_bits, k)
        for k, radius in ((None, 0), (None, 1), (3, 2), (None, n_bits), (100, n_bits + 5)):
            results = index.search(queries, k=k, radius=radius)
            assert_equal_to_oracle(results, queries, items, n_bits, k, radius)


def test_equal_codes_rank_by_id(tmp_path):
    with create_index(tmp_path / "a.index", 12) as index:
        index.add(np.zeros((5, 2), np.uint8), ids=[9, 3, 7, 0, 5])
        assert index.search(np.zeros((1, 2), np.uint8), k=3).ids.tolist() == [[0, 3, 5]]
        index.add(np.zeros((1, 2), np.uint8), ids=[2])
        assert index.search(np.zeros((1, 2), np.uint8), k=3).pairs(0) == [(0, 0), (2, 0), (3, 0)]


def test_empty_index_gives_padding_only(tmp_path):
    with create_index(tmp_path / "a.index", 12) as index:
        query = np.zeros((2, 2), np.uint8)
        assert index.search(query, k=3).ids.tolist() == [[-1] * 3] * 2
        assert index.search(query, k=None, radius=3).ids.shape == (2, 0)
        assert index.search(query[:0], k=3).ids.shape == (0, 3)
        assert index.search(query, where={"labels": "wren"}).pairs(1) == []


@pytest.fixture
def birds(tmp_path):
    metadata = [
        {"path": "a.jpg", "labels": ["wren", "bird"], "digest": "d1", "camera": 3, "flag": True, "note": None},
        {"path": "b.jpg", "labels": ["robin", "bird"], "camera": 3.0, "flag": 1, 'od"d.k\\ey': "x"},
        {"labels": ["3"], "camera": "3", "flag": False, "note": "null"},
        {"camera": 3.5, "flag": 0, "deep": {"camera": 3}},
    ]
    with create_index(tmp_path / "a.index", 12) as index:
        index.add(np.zeros((4, 2), np.uint8), metadata=metadata)
        yield index


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({"labels": "wren"}, [1]),
        ({"labels": ["wren"]}, [1]),
        ({"labels": ("wren", "robin")}, [1, 2]),
        ({"labels": "bird"}, [1, 2]),
        ({"labels": "bir"}, []),
        ({"labels": "3"}, [3]),
        ({"path": "b.jpg"}, [2]),
        ({"path": None}, [3, 4]),
        ({"digest": "d1"}, [1]),
        ({"camera": 3}, [1, 2]),
        ({"camera": 3.0}, [1, 2]),
        ({"camera": "3"}, [3]),
        ({"camera": 3.5}, [4]),
        ({"camera": np.float64(3.5)}, [4]),
        ({"flag": True}, [1]),
        ({"flag": 1}, [2]),
        ({"flag": False}, [3]),
        ({"flag": 0}, [4]),
        ({"note": None}, [1]),
        ({"note": "null"}, [3]),
        ({'od"d.k\\ey': "x"}, [2]),
        ({"nothing": 1}, []),
        ({"labels": "bird", "flag": 1}, [2]),
        ({"labels": "bird", "path": "x"}, []),
    ],
)
def test_filters(birds, where, ids):
    assert [item_id for item_id, _ in birds.search(np.zeros((1, 2), np.uint8), where=where).pairs(0)] == ids


@pytest.mark.parametrize(
    ("where", "match"),
    [
        ({}, "at least one key"),
        ("labels", "must be a mapping"),
        ({"labels": []}, "a label or a list of at least one"),
        ({"labels": 3}, "a label or a list of at least one"),
        ({"labels": ["wren", 3]}, r"where\['labels'\]\[1\] must be a str"),
        ({"path": ["a.jpg"]}, r"where\['path'\] must be a str, not list"),
        ({"camera": [3]}, r"where\['camera'\] must be a text, a number, true, false or null"),
        ({"camera": {"above": 3}}, "must be a text, a number, true, false or null"),
        ({"camera": float("inf")}, "must be a finite number of at most 64 bits, not inf"),
        ({"camera": 2**63}, "must be a finite number of at most 64 bits"),
        ({3: 3}, "a key of where must be a str"),
    ],
)
def test_unknown_filters_are_refused(birds, where, match):
    with pytest.raises(InputError, match=match):
        birds.search(np.zeros((1, 2), np.uint8), where=where)


def test_filtered_results_equal_a_brute_force_sort(tmp_path):
    codes = codes_with_ties(50, 12)
    metadata = [{"labels": [f"class {position % 4}"]} for position in range(50)]
    with create_index(tmp_path / "a.index", 12) as index:
        ids = index.add(codes, metadata=metadata).tolist()
        items = {item_id: code for item_id, code in zip(ids, codes, strict=True) if (item_id - 1) % 4 in (1, 3)}
        where = {"labels": ["class 1", "class 3", "class 9"]}
        assert_equal_to_oracle(index.search(codes[:5], k=7, where=where), codes[:5], items, 12, 7)
        found = index.search(codes[:5], k=None, radius=2, where=where)
        assert_equal_to_oracle(found, codes[:5], items, 12, None, 2)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"k": 0}, "k must be a whole number of at least 1"),
        ({"k": -1}, "k must be a whole number of at least 1"),
        ({"k": 2.0}, "k must be a whole number"),
        ({"k": True}, "k must be a whole number"),
        ({"k": None}, "needs k, a radius, or both"),
        ({"radius": -1}, r"radius \(in bits\) must be a whole number of at least 0"),
        ({"radius": 1.5}, "radius"),
    ],
)
def test_wrong_limits_are_refused(birds, arguments, match):
    with pytest.raises(InputError, match=match):
        birds.search(np.zeros((1, 2), np.uint8), **arguments)


def test_queries_of_another_length_are_refused(birds):
    with pytest.raises(InputError, match=r"codes of 12 bits must have the shape \(n, 2\)"):
        birds.search(np.zeros((1, 8), np.uint8))


def test_threads_search_while_one_writes(tmp_path):
    codes = codes_with_ties(300, 64)
    problems = []
    with create_index(tmp_path / "a.index", 64) as index:
        index.add(codes[:1])

        def search():
            try:
                for _ in range(40):
                    pairs = index.search(codes[:1], k=400).pairs(0)
                    ranked = sorted(pairs, key=lambda pair: (pair[1], pair[0]))
                    assert pairs == ranked
                    assert len(pairs) % 10 == 1
            except Exception as error:  # noqa: BLE001 - a thread's failure is the test's
                problems.append(error)

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        for start in range(1, 291, 10):
            index.add(codes[start : start + 10])
        for thread in threads:
            thread.join()
        assert problems == []
        assert len(index) == 291


def test_a_filter_finds_nothing_after_all_items_went(tmp_path):
    with create_index(tmp_path / "a.index", 8) as index:
        ids = index.add(np.arange(10, dtype=np.uint8)[:, None], metadata=[{"labels": ["wren"]}] * 10)
        assert len(index.search(np.array([[0]], np.uint8)).pairs(0)) == 10  # label sets are read later
        index.remove(ids)
        assert index.search(np.array([[0]], np.uint8), where={"labels": "wren"}).pairs(0) == []


def test_a_filter_takes_any_number_of_labels(tmp_path):
    with create_index(tmp_path / "a.index", 8) as index:
        index.add(np.array([[1]], np.uint8), metadata=[{"labels": ["7"], "camera": 3}])
        many = [str(number) for number in range(300_000)]
        assert index.search(np.array([[1]], np.uint8), where={"labels": many, "camera": 3}).pairs(0) == [(1, 0)]


@pytest.mark.parametrize("k", [10**12, 2**63, 10**30])
def test_a_k_beyond_all_items_costs_what_is_there(tmp_path, k):
    with create_index(tmp_path / "a.index", 16, outputs="int8") as index:
        codes = np.arange(10, dtype=np.uint8).reshape(5, 2)
        rows = np.where(np.unpackbits(codes, axis=1), 1.0, -1.0)
        index.add(codes, outputs=rows)
        for options in ({"k": k}, {"k": k, "outputs": rows}, {"k": 2, "outputs": rows, "rerank": k}, {"radius": k}):
            found = index.search(codes, **options)
            assert found.ids.shape[1] <= 10
            assert [row[0] for row in found.ids] == [1, 2, 3, 4, 5]
        assert index.search(codes[:1], k=1000).ids.shape == (1, 1000)
        index.remove([1, 2, 3, 4, 5])
        assert index.search(codes[:1], k=k).pairs(0) == []
