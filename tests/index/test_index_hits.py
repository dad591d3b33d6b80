"""The ragged hits: parts put together, cut and picked as lists of Python would be, and the tables made of them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearbit.codes import pack
from nearbit.index import create_index
from nearbit.index.results import Hits, Results, merged, no_hits, ranked, stacked

pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99)), max_size=6, unique_by=lambda pair: pair[1]).map(
    sorted
)
rankings = st.lists(pairs, min_size=1, max_size=4)


def hits_of(lists, *, is_weighted=False):
    """Return lists of (distance, id) as hits; weighted ones lie at ten times the distance that ranks them."""
    flat = [pair for own in lists for pair in own]
    ids, distances = (np.array([pair[at] for pair in flat], kind) for at, kind in ((1, np.int64), (0, np.int32)))
    sizes = np.array([len(own) for own in lists])
    return Hits.in_sequence(sizes, ids, distances, 10 * distances.astype(np.int64) if is_weighted else None)


def lists_of(hits):
    """Return hits as lists of (distance, id)."""
    flat = list(zip(hits.distances.tolist(), hits.ids.tolist(), strict=True))
    if hits.weighted is not None:
        assert hits.weighted.tolist() == [10 * distance for distance, _ in flat]
    return [flat[begin:end] for begin, end in pairwise(hits.offsets.tolist())]


@given(rankings, st.integers(1, 7), st.booleans())
def test_the_first_of_each_query_are_those_of_its_list(lists, k, is_weighted):
    hits = hits_of(lists, is_weighted=is_weighted)
    assert lists_of(hits.first(k)) == [own[:k] for own in lists]
    assert hits.queries.tolist() == [query for query, own in enumerate(lists) for _ in own]


@given(rankings, st.one_of(st.none(), st.integers(1, 4)), st.booleans())
def test_parts_are_merged_by_distance_then_by_id(lists, k, is_weighted):
    parts = [hits_of([own[start::3] for own in lists], is_weighted=is_weighted) for start in range(3)]
    assert lists_of(merged(parts, k)) == [own[:k] for own in lists]


@given(st.lists(rankings, min_size=1, max_size=3), st.booleans())
def test_blocks_of_queries_are_stacked_in_order(blocks, is_weighted):
    whole = stacked([hits_of(lists, is_weighted=is_weighted) for lists in blocks])
    assert lists_of(whole) == [own for lists in blocks for own in lists]


@given(rankings, st.booleans(), st.randoms(use_true_random=False))
def test_queries_are_picked_in_any_order(lists, is_weighted, random):
    hits = hits_of(lists, is_weighted=is_weighted)
    order = random.sample(range(len(lists)), len(lists))
    assert lists_of(hits.picked(hits.offsets[:-1][order], hits.sizes[order])) == [lists[query] for query in order]


def test_hits_in_any_order_are_ranked_with_ties_by_id():
    found = ranked(np.array([1, 0, 1, 1]), np.array([7, 3, 2, 9]), np.array([4, 1, 4, 0], np.int32), 3)
    assert lists_of(found) == [[(1, 3)], [(0, 9), (4, 2), (4, 7)], []]


def test_what_can_come_no_more_lies_beyond_the_last_of_a_full_query():
    hits = hits_of([[(1, 4), (3, 5)], [(2, 1)], []])
    assert hits.lowered(np.full(3, 9, np.int32), 2).tolist() == [3, 9, 9]
    assert hits.lowered(np.full(3, 9, np.int32), None).tolist() == [9, 9, 9]
    assert hits_of([[(1, 4), (3, 5)]], is_weighted=True).lowered(np.array([99]), 2).tolist() == [30]


@given(rankings, st.one_of(st.none(), st.integers(6, 8)))
def test_tables_are_padded_lists(lists, k):
    results = Results(hits_of(lists), k)
    width = max(map(len, lists)) if k is None else k
    assert results.ids.tolist() == [[number for _, number in own] + [-1] * (width - len(own)) for own in lists]
    assert results.distances.tolist() == [
        [distance for distance, _ in own] + [-1] * (width - len(own)) for own in lists
    ]
    assert (results.ids.dtype, results.distances.dtype, results.weighted) == (np.int64, np.int32, None)
    for query in (*range(len(lists)), -1):
        assert results.pairs(query) == [(number, distance) for distance, number in lists[query]]
    assert len(results) == len(lists)


def test_a_table_of_full_rows_is_made_once_and_may_be_written():
    results = Results(hits_of([[(0, 3), (1, 4)], [(2, 5), (2, 6)]]), 2)
    assert results.ids is results.ids
    results.ids[0, 0] = 8
    assert results.ids.tolist() == [[8, 4], [5, 6]]
    assert "the first: 8 at" in repr(results)


def test_a_query_that_is_not_there_has_no_pairs():
    with pytest.raises(IndexError, match="out of bounds"):
        Results(no_hits(1), 3).pairs(1)


@pytest.mark.parametrize("k", [10**12, None])
def test_a_weighted_search_makes_no_room_for_what_cannot_come(tmp_path, k):
    weights = np.array([[0.5, -2.0, 1.0]], np.float32)
    with create_index(tmp_path / "a.index", n_bits=3) as index:
        empty = index.search(pack([[1, -1, 1]]), k=k, radius=9, weights=weights)
        assert empty.weighted is not None
        assert empty.weighted.shape == empty.ids.shape == (1, 0 if k is None else 1)
        index.add(pack([[1, 1, 1], [1, -1, 1]]))
        found = index.search(pack([[1, -1, 1]]), k=k, radius=9, weights=weights)
    assert found.ids.tolist() == [[2, 1]]
    assert found.weighted.tolist() == [[0.0, 2.0]]
