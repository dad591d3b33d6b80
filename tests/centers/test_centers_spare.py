"""Spare codewords: the margin is the true one, the largest for few bits, and what is impossible is refused."""

from itertools import combinations, product

import numpy as np
import pytest

import oracles
from nearbit.centers import bernoulli_centers, random_signs, separated_centers, spare_codewords
from nearbit.errors import InputError


def true_margin(centers, words):
    """Return the least distance of a word to any center or other word."""
    rows = words.tolist()
    to_centers = [oracles.sign_distance(row, center) for row in rows for center in centers.tolist()]
    return min(to_centers + oracles.all_sign_distances(rows))


@pytest.mark.parametrize(
    ("n_classes", "n_bits", "n_spare"),
    [(1, 1, 1), (2, 2, 2), (3, 3, 5), (10, 12, 6), (100, 16, 9), (1, 17, 1), (12, 33, 4), (60, 64, 5), (7, 130, 3)],
)
@pytest.mark.parametrize("kind", ["separated", "random"])
def test_the_margin_is_the_least_distance(n_classes, n_bits, n_spare, kind):
    rng = np.random.default_rng(0)
    if kind == "separated" and n_classes > 1:
        centers = separated_centers(n_classes, n_bits, rng)
    else:
        centers = np.unique(random_signs((n_classes, n_bits), rng), axis=0)
    words, margin = spare_codewords(centers, n_spare, np.random.default_rng(1))
    assert words.shape == (n_spare, n_bits)
    assert words.dtype == np.int8
    assert set(np.unique(words)) <= {-1, 1}
    assert margin == true_margin(centers, words) >= 1
    again, _ = spare_codewords(centers, n_spare, np.random.default_rng(1))
    assert np.array_equal(words, again)


@pytest.mark.parametrize(("n_classes", "n_bits", "n_spare", "seed"), [(12, 33, 7, 5), (30, 64, 8, 0)])
def test_the_margin_is_not_that_of_the_last_word(n_classes, n_bits, n_spare, seed):
    """Seeds for which a word in the middle comes nearest to those before it."""
    centers = random_signs((n_classes, n_bits), np.random.default_rng(seed))
    words, margin = spare_codewords(centers, n_spare, np.random.default_rng(seed))
    assert margin == true_margin(centers, words)
    assert true_margin(np.concatenate([centers, words[:-1]]), words[-1:]) > margin


def test_the_margin_is_the_largest_for_few_bits():
    for seed in range(4):
        centers = random_signs((3, 5), np.random.default_rng(seed))
        every = np.array(list(product((-1, 1), repeat=5)), np.int8)
        best = max(true_margin(centers, every[list(pair)]) for pair in combinations(range(32), 2))
        assert spare_codewords(centers, 2, np.random.default_rng(0))[1] == best


def test_the_unused_words_of_a_code_are_found():
    """100 of the 128 words of the Hadamard code of 64 bits leave 28 that are 32 bits from all."""
    centers = separated_centers(100, 64, np.random.default_rng(0))
    words, margin = spare_codewords(centers, 28, np.random.default_rng(0))
    assert margin == 32 == true_margin(centers, words)


def test_words_are_moved_away_where_there_is_no_code():
    """Random words of 64 bits are about 17 bits from the nearest of 100 centers at best; moved ones much farther."""
    centers = bernoulli_centers(100, 64, np.random.default_rng(0))
    drawn = random_signs((200, 64), np.random.default_rng(0))
    best_drawn = max(true_margin(centers, row[None]) for row in drawn)
    assert spare_codewords(centers, 3, np.random.default_rng(0))[1] >= best_drawn + 3


def test_all_words_that_are_left():
    centers = np.array([[1, 1, 1], [-1, 1, 1], [1, 1, 1]])
    words, margin = spare_codewords(centers, 6, np.random.default_rng(0))
    assert margin == 1
    assert len(np.unique(np.concatenate([words, centers]), axis=0)) == 8
    with pytest.raises(InputError, match="7 spare codewords of 3 bits do not exist: of 8 words, 2 are centers"):
        spare_codewords(centers, 7, np.random.default_rng(0))


@pytest.mark.parametrize("n_spare", [0, -1])
def test_no_spare_words_are_refused(n_spare):
    with pytest.raises(InputError, match=f"spare codewords must be a whole number of at least 1, not {n_spare}"):
        spare_codewords([[1, -1]], n_spare, np.random.default_rng(0))


@pytest.mark.parametrize("centers", [np.zeros((2, 3)), np.ones(3), np.ones((0, 3)), [[1, 2]]])
def test_what_is_no_set_of_centers_is_refused(centers):
    with pytest.raises(InputError, match=r"centers must be \(n_classes, n_bits\) of -1 and \+1, at least one"):
        spare_codewords(centers, 1, np.random.default_rng(0))
