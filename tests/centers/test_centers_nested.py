"""Nested words: prefixes are searches of their own, blocks keep their distance, and lengths that do not fit."""

import numpy as np
import pytest

import oracles
from class_similarity import plain_loss, similarity_of
from nearbit.centers import check_prefixes, nested_centers, semantic_centers
from nearbit.centers.nested import shortest_block
from nearbit.errors import InputError

QUICK = 0.05


def nested(similarity, n_bits, prefixes, seed=0, **given):
    return nested_centers(similarity, n_bits, prefixes, np.random.default_rng(seed), **{"effort": QUICK, **given})


@pytest.mark.parametrize("seed", range(3))
def test_each_prefix_is_the_search_of_its_length(seed):
    similarity = similarity_of(20, group=4)
    whole = nested(similarity, 40, (8, 16), seed)
    assert whole.dtype == np.int8
    assert whole.shape == (20, 40)
    first = semantic_centers(similarity, 8, np.random.default_rng(seed), effort=QUICK)
    assert np.array_equal(whole[:, :8], first)
    assert np.array_equal(whole[:, :16], nested(similarity, 16, (8,), seed))
    assert np.array_equal(nested(similarity, 8, (), seed), first)


@pytest.mark.parametrize("least", [1, 2])
def test_words_of_each_length_keep_the_sum_of_the_distances_of_their_blocks(least):
    whole = nested(similarity_of(20, group=4), 40, (8, 16), min_distance=least)
    for blocks, length in enumerate((8, 16, 40), start=1):
        assert min(oracles.all_sign_distances(whole[:, :length].tolist())) >= least * blocks


def test_a_later_block_mends_what_the_bits_before_it_lack():
    """Against the same bits searched for themselves: the whole follows the similarity better."""
    similarity = similarity_of(24, group=4)
    whole = nested(similarity, 32, (8, 16), effort=1)
    rng = np.random.default_rng(5)
    alone = np.hstack([semantic_centers(similarity, n_bits, rng) for n_bits in (8, 8, 16)])
    truncated = semantic_centers(similarity, 32, np.random.default_rng(0))[:, :8]
    assert plain_loss(whole, similarity) < plain_loss(alone, similarity)
    assert plain_loss(whole[:, :8], similarity) < plain_loss(truncated, similarity)


def test_where_nothing_is_left_to_follow_words_are_far_apart():
    """Products of 1, 1 and -1 of three bits fit best, and twice as many bits want the same: nothing is left."""
    similarity = np.array([[6, 1, 1], [1, 6, -1], [1, -1, 6]]) / 6
    found = nested(similarity, 6, (3,), effort=1, min_distance=1).astype(int)
    first = found[:, :3] @ found[:, :3].T
    assert first[np.triu_indices(3, k=1)].tolist() == [1, 1, -1]
    assert oracles.all_sign_distances(found[:, 3:].tolist()) == [2, 2, 2]


@pytest.mark.parametrize("prefixes", [(16,), (8, 8), (9, 4), (0, 4), (17,), (-2,)])
def test_lengths_that_do_not_increase_are_refused(prefixes):
    with pytest.raises(InputError, match="must increase from at least 1 to below the 16 bits"):
        nested(similarity_of(4), 16, prefixes)


def test_a_block_with_fewer_words_than_classes_is_refused():
    with pytest.raises(InputError, match=r"20 classes need blocks of at least 5 bits.*not 4"):
        check_prefixes((12,), 16, 20)
    check_prefixes((11,), 16, 20)
    assert shortest_block((11,), 16) == 5
    assert shortest_block((), 16) == 16
