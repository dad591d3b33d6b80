"""Every home gives the answers of the embedded index, item for item, through a history of changes, ties included."""

import numpy as np
import pytest

from nearbit.errors import InputError
from nearbit.index import create_index

N_BITS = 20
"""Few enough that most distances tie."""
LABELS = ("wren", "robin", "owl")


def codes_of(rng, n):
    """Return codes around a few centers: many alike, many at one distance."""
    centers = np.random.default_rng(5).random((4, N_BITS)) < 0.5
    return np.packbits(centers[rng.integers(4, size=n)] ^ (rng.random((n, N_BITS)) < 0.12), axis=1)


def metadata_of(rng, n):
    return [
        {"labels": [LABELS[label] for label in np.flatnonzero(rng.random(3) < 0.4)], "camera": int(rng.integers(3))}
        for _ in range(n)
    ]


def changes(seed):
    """Yield what is done to an index, step by step: the name of a method and its arguments."""
    rng = np.random.default_rng(seed)
    yield "add", (codes_of(rng, 400),), {"metadata": metadata_of(rng, 400)}
    yield "remove", (rng.choice(400, 60, replace=False) + 1,), {}
    yield "add", (codes_of(rng, 50),), {"ids": rng.permutation(50) * 7 + 5000}
    yield "compact", (), {}
    yield (
        "add",
        (codes_of(rng, 30),),
        {"ids": np.arange(5000, 5210, 7), "replace": True, "metadata": metadata_of(rng, 30)},
    )
    yield "add", (codes_of(rng, 200),), {"metadata": metadata_of(rng, 200)}
    yield "update", (np.arange(5350, 5400),), {"metadata": metadata_of(rng, 50)}
    yield "remove", (np.arange(5360, 5380),), {"missing_ok": True}


QUESTIONS = (
    {"k": 1},
    {"k": 10},
    {"k": 250},
    {"k": 10_000},
    {"k": None, "radius": 3},
    {"k": 5, "radius": 0},
    {"k": 12, "where": {"labels": "wren"}},
    {"k": 12, "where": {"labels": ["owl", "robin"], "camera": 2}},
    {"k": None, "radius": 6, "where": {"camera": 1}},
    {"k": 3, "where": {"labels": "nightjar"}},
)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_answer_is_that_of_the_embedded_index(home, seed):
    with home.create(N_BITS) as index, create_index(None, N_BITS) as embedded:
        for name, given, options in changes(seed):
            done = [getattr(one, name)(*given, **options) for one in (index, embedded)]
            assert np.array_equal(done[0], done[1])
            compare(index, embedded, seed)
        assert index.verify() == []


def compare(index, embedded, seed):
    """Assert that both hold the same, and answer every question alike."""
    queries = codes_of(np.random.default_rng(seed + 100), 9)
    for asked in QUESTIONS:
        found, expected = index.search(queries, **asked), embedded.search(queries, **asked)
        assert found.hits.offsets.tolist() == expected.hits.offsets.tolist(), asked
        assert found.hits.ids.tolist() == expected.hits.ids.tolist(), asked
        assert found.hits.distances.tolist() == expected.hits.distances.tolist(), asked
        assert (found.ids.shape, found.ids.dtype) == (expected.ids.shape, expected.ids.dtype)
        assert index.search(queries[:1], **asked).pairs(0) == expected.pairs(0), asked
    assert len(index) == len(embedded)
    assert all(np.array_equal(*pair) for pair in zip(index.codes(), embedded.codes(), strict=True))
    assert index.labels() == embedded.labels()
    assert [(item.id, item.labels, item.metadata) for item in index] == [
        (item.id, item.labels, item.metadata) for item in embedded
    ]


def test_answers_by_weights_are_those_of_the_embedded_index(home):
    rng = np.random.default_rng(7)
    with home.create(N_BITS) as index, create_index(None, N_BITS) as embedded:
        for one in (index, embedded):
            one.add(codes_of(np.random.default_rng(8), 300))
        weights = rng.integers(-3, 4, (5, N_BITS)) / 4
        queries = np.packbits(weights >= 0, axis=1)
        if "weights" not in index.offers:
            with pytest.raises(InputError, match="weights"):
                index.search(queries, weights=weights)
            return
        for asked in ({"k": 7}, {"k": None, "radius": 2.5}, {"k": 400, "radius": 3.0}):
            found, expected = (one.search(queries, weights=weights, **asked) for one in (index, embedded))
            assert found.hits.ids.tolist() == expected.hits.ids.tolist(), asked
            assert found.hits.distances.tolist() == expected.hits.distances.tolist(), asked
            assert found.hits.weighted.tolist() == expected.hits.weighted.tolist(), asked


def test_kept_outputs_order_results_of_one_distance_or_are_refused(home):
    outputs = np.random.default_rng(9).normal(size=(200, N_BITS)).astype(np.float32)
    codes, asked = np.packbits(outputs >= 0, axis=1), {"k": 20, "outputs": outputs[:5]}
    with home.create(N_BITS) as index:
        offers = index.offers
        with pytest.raises(InputError, match="keeps no outputs"):
            index.search(codes[:5], **asked)
        with pytest.raises(InputError, match="keeps no outputs"):
            index.add(codes, outputs=outputs)
        with pytest.raises(InputError, match="keeps no outputs"):
            index.kept_outputs([1])
    if "outputs" not in offers:
        with pytest.raises(InputError, match="keeps no outputs"):
            home.another().create(N_BITS, outputs="int8")
        return
    with home.another().create(N_BITS, outputs="int8") as index, create_index(None, N_BITS, outputs="int8") as embedded:
        for one in (index, embedded):
            one.add(codes, outputs=outputs)
        for rerank in (None, 50):
            found, expected = (one.search(codes[:5], **asked, rerank=rerank) for one in (index, embedded))
            assert found.ids.tolist() == expected.ids.tolist()
        assert np.array_equal(index.kept_outputs([7, 3]), embedded.kept_outputs([7, 3]))


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"k": 0}, "k must be a whole number of at least 1, not 0"),
        ({"k": True}, "k must be a whole number"),
        ({"radius": -1}, "radius .* at least 0"),
        ({"radius": 1.5}, "radius .* whole number"),
        ({"k": None}, "a search needs k, a radius, or both"),
        ({"where": {}}, "at least one key"),
        ({"where": {"labels": []}}, "at least one"),
        ({"where": {"camera": [1]}}, "must be a text, a number, true, false or null"),
        ({"rerank": 3}, "rerank needs outputs"),
    ],
)
def test_wrong_questions_are_refused(home, asked, match):
    with home.create(N_BITS) as index:
        with pytest.raises(InputError, match=match):
            index.search(np.zeros((1, 3), np.uint8), **asked)
        with pytest.raises(InputError, match=r"must have the shape \(n, 3\)"):
            index.search(np.zeros((1, 2), np.uint8))
        assert len(index.search(np.zeros((0, 3), np.uint8))) == 0
        assert index.search(np.zeros((2, 3), np.uint8), k=4).ids.tolist() == [[-1] * 4] * 2


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({"a": 1}, [1, 2]),
        ({"a": 1.0}, [1, 2]),
        ({"a": True}, [3]),
        ({"a": None}, [4]),
        ({"a": "1"}, [5]),
        ({"a": 0.1}, [6]),
        ({"a": 2**53 + 1}, [7]),
        ({"a": float(2**53)}, []),
        ({"": "x"}, [8]),
        ({"it's": 'quo"te\\'}, [9]),
        ({"path": None, "b": 1}, [11]),
        ({"path": "ü"}, [10]),
        ({"digest": "00"}, [10]),
        ({"a": -0.0}, [12]),
        ({"a": 1e300}, [15]),
        ({"a": -1e19}, [16]),
        ({"a": 1e301}, []),
    ],
)
def test_a_value_is_found_by_what_it_is(home, where, ids):
    metadata = [
        {"a": 1}, {"a": 1.0}, {"a": True}, {"a": None}, {"a": "1"}, {"a": 0.1}, {"a": 2**53 + 1}, {"": "x"},
        {"it's": 'quo"te\\'}, {"path": "ü", "digest": "00", "b": 1}, {"b": 1}, {"a": 0}, {"a": [1]}, {},
        {"a": 1e300}, {"a": -1e19},
    ]  # fmt: skip
    with home.create(N_BITS) as index:
        index.add(np.zeros((len(metadata), 3), np.uint8), metadata=metadata)
        assert index.matching(where).tolist() == ids
        assert [found for found, _ in index.search(np.zeros((1, 3), np.uint8), where=where).pairs(0)] == ids


def test_numbers_come_back_with_their_types(home):
    values = {"whole": 1, "real": 1.0, "large": 1e16, "tiny": 5e-324, "zero": -0.0, "most": 2**63 - 1, "third": 1 / 3}
    with home.create(N_BITS) as index:
        index.add(np.zeros((1, 3), np.uint8), metadata=[values])
        (item,) = index.items([1])
        assert {name: repr(value) for name, value in item.metadata.items()} == {
            name: repr(value) for name, value in values.items()
        }
        assert list(item.metadata) == list(values)
