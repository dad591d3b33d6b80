"""Separated and MDS centers: the distances they promise, counted; balance; seeds; and OrthoHash's targets."""

import numpy as np
import pytest

import oracles
from nearbit.centers import (
    bernoulli_centers,
    distance_counts,
    gilbert_varshamov_distance,
    maxhd_centers,
    mds_centers,
    mds_objective,
    mean_distance,
    min_distance_of,
    orthohash_centers,
    proven_upper_bound,
    random_signs,
    separated_centers,
)
from nearbit.centers.coding import kernels
from nearbit.centers.coding.code_search import search_code
from nearbit.centers.coding.construction import plan_code, random_invertible
from nearbit.centers.coding.packed import packed_words, unpacked_words
from nearbit.errors import InputError

BEST = {
    16: {10: 8, 32: 8, 100: 6, 196: 6, 256: 6, 555: 4, 1000: 4, 10000: 2},
    24: {10: 12, 48: 12, 100: 10, 196: 8, 1000: 8, 4096: 8},
    32: {10: 17, 64: 16, 100: 14, 196: 13, 555: 12, 1000: 12},
    48: {10: 26, 96: 24, 100: 23, 196: 22, 555: 20, 1000: 20},
    64: {10: 35, 128: 32, 196: 29, 555: 28, 1000: 28, 4096: 28},
    128: {10: 70, 100: 64, 256: 64, 1000: 58},
}


def smallest(centers):
    """Return the smallest distance of two rows, in NumPy, apart from the library's kernels."""
    products = centers.astype(np.float32) @ centers.T.astype(np.float32)
    np.fill_diagonal(products, -np.inf)
    return int((centers.shape[1] - products.max()) / 2)


@pytest.mark.parametrize(
    ("n_bits", "n_classes", "expected"), [(n, c, d) for n, row in BEST.items() for c, d in row.items() if c <= 1000]
)
def test_separated_centers_are_as_far_apart_as_is_known(n_bits, n_classes, expected):
    centers = separated_centers(n_classes, n_bits, np.random.default_rng(1))
    assert smallest(centers) == min_distance_of(centers) >= expected
    assert min_distance_of(centers) <= proven_upper_bound(n_classes, n_bits)


@pytest.mark.parametrize(("n_bits", "n_classes", "expected"), [(16, 10000, 2), (24, 4096, 8), (64, 4096, 28)])
def test_many_classes(n_bits, n_classes, expected):
    centers = separated_centers(n_classes, n_bits, np.random.default_rng(1))
    assert min_distance_of(centers) == expected
    assert len(np.unique(centers, axis=0)) == n_classes


@pytest.mark.parametrize("n_bits", [*range(1, 14), 17, 33, 65, 129])
def test_every_number_of_bits_and_classes_has_the_distance_of_its_plan(n_bits):
    for n_classes in {2, 3, 4, 5, 7, 12, 20, 33, 2 ** min(n_bits, 7), 2 ** min(n_bits, 7) - 1}:
        if 2 <= n_classes <= 2**n_bits:
            centers = separated_centers(n_classes, n_bits, np.random.default_rng(n_classes))
            assert centers.shape == (n_classes, n_bits)
            assert smallest(centers) >= plan_code(n_classes, n_bits).distance >= 1
            assert smallest(centers) >= gilbert_varshamov_distance(n_classes, n_bits) - (n_bits < 14)


@pytest.mark.parametrize(
    ("n_classes", "n_bits", "expected"),
    [
        (20, 8, 3),
        (20, 9, 4),
        (40, 9, 3),
        (40, 10, 4),
        (72, 11, 4),
        (144, 12, 4),
        (144, 11, 3),
        (32, 13, 6),
        (36, 17, 8),
    ],
)
def test_small_codes_that_are_not_linear(n_classes, n_bits, expected):
    """Values of A(n, d) that are settled, by codes of Sloane and Seidel, Best, Julin, Nordstrom and Robinson."""
    assert smallest(separated_centers(n_classes, n_bits, np.random.default_rng(0))) == expected


def test_a_search_that_fails_finds_nothing():
    assert search_code(20, 8, 3).n_words == 20
    assert search_code(21, 8, 3) is None


@pytest.mark.slow
@pytest.mark.parametrize("n_bits", [*range(14, 130), 200, 255, 256, 257, 384, 511, 512, 513, 1000])
def test_every_number_of_bits_and_classes_at_length(n_bits):
    for n_classes in (2, 3, 6, 10, 17, 50, 100, 196, 300, 555, 1000, 1025, 2050, 5000):
        centers = separated_centers(n_classes, n_bits, np.random.default_rng(n_classes))
        assert smallest(centers) >= plan_code(n_classes, n_bits).distance
        assert smallest(centers) >= gilbert_varshamov_distance(n_classes, n_bits) - (n_classes > 1000)


def test_more_classes_are_never_promised_more():
    for n_bits in (9, 16, 31, 48):
        promised = [plan_code(n_classes, n_bits).distance for n_classes in (*range(2, 120), 127, 128, 129, 256, 257)]
        assert promised == sorted(promised, reverse=True)


@pytest.mark.parametrize(("n_classes", "n_bits"), [(10, 16), (64, 64), (100, 32), (100, 48), (196, 64), (1000, 33)])
def test_bits_are_balanced_and_the_mean_distance_is_near_the_largest(n_classes, n_bits):
    centers = separated_centers(n_classes, n_bits, np.random.default_rng(2))
    assert np.abs(centers.sum(axis=0, dtype=int)).mean() <= max(3, 0.02 * n_classes)
    distances = oracles.all_sign_distances(centers[:40].tolist())
    assert mean_distance(centers[:40]) == pytest.approx(sum(distances) / len(distances))
    assert mean_distance(centers) >= 0.96 * n_bits / 2 * n_classes / (n_classes - 1)


def test_padded_bits_are_used():
    """Three words of 100 bits: every bit tells two of them apart, so that the mean distance is 200 / 3."""
    centers = separated_centers(3, 100, np.random.default_rng(0))
    assert np.abs(centers.sum(axis=0)).max() == 1
    assert mean_distance(centers) == pytest.approx(200 / 3)
    assert smallest(centers) == 66


def test_seeds_give_other_centers_of_the_same_distance():
    made = [separated_centers(100, 32, np.random.default_rng(seed)) for seed in (0, 0, 1, 2)]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    assert not np.array_equal(made[2], made[3])
    assert {smallest(centers) for centers in made} == {14}


def test_bits_have_random_signs():
    """All 128 words of a code that holds the word of all -1: only random signs take that word away."""
    for seed in range(3):
        centers = separated_centers(128, 64, np.random.default_rng(seed))
        assert smallest(centers) == 32
        assert centers.sum(axis=1, dtype=int).min() > -64


def test_constructions_say_what_they_are_made_of():
    assert plan_code(100, 48).describe() == "conference code (49, 100, 24), punctured by 1"
    joined = "2 × Hadamard code (12, 24, 6), shortened by 1 + 6 × Hadamard code (20, 40, 10), shortened by 2"
    assert plan_code(10, 130).describe() == joined
    assert plan_code(10, 130).distance == 2 * 6 + 6 * 10
    assert plan_code(40, 10).describe() == "code found by search (10, 40, 4)"
    assert plan_code(16, 12).distance == 6


def test_a_distance_that_is_reached_is_kept_and_others_are_refused():
    centers = separated_centers(100, 16, np.random.default_rng(0), min_distance=6)
    assert smallest(centers) == 6
    with pytest.raises(InputError, match="100 centers of 16 bits cannot have a minimum distance of 7: at most 6"):
        separated_centers(100, 16, np.random.default_rng(0), min_distance=7)
    n_classes, n_bits = 555, 64
    reached = plan_code(n_classes, n_bits).distance
    assert reached < proven_upper_bound(n_classes, n_bits)
    with pytest.raises(
        InputError, match=rf"distance of 29 were found: {reached} is reached, and at most 29 is possible"
    ):
        separated_centers(n_classes, n_bits, np.random.default_rng(0), min_distance=29)


def test_more_classes_than_words_are_refused():
    for make in (separated_centers, mds_centers, maxhd_centers):
        with pytest.raises(InputError, match="9 classes need 9 distinct words, but 3 bits have only 8"):
            make(9, 3, np.random.default_rng(0))


def test_all_words_of_few_bits_are_centers():
    assert len(np.unique(separated_centers(32, 5, np.random.default_rng(0)), axis=0)) == 32
    assert sorted(separated_centers(2, 1, np.random.default_rng(0)).ravel().tolist()) == [-1, 1]


@pytest.mark.parametrize("n_bits", [1, 7, 63, 64, 65, 130])
def test_counted_distances_equal_the_oracle(n_bits):
    rows = random_signs((9, n_bits), np.random.default_rng(n_bits))
    rows[3] = rows[5]
    distances = oracles.all_sign_distances(rows.tolist())
    assert distance_counts(rows).tolist() == [distances.count(d) for d in range(n_bits + 1)]
    assert min_distance_of(rows) == 0
    words = packed_words(rows)
    assert np.array_equal(unpacked_words(words, n_bits), rows)
    nearest = [min(oracles.sign_distance(rows[i], rows[j]) for j in (7, 8)) for i in range(6)]
    assert kernels.smallest_distances(words[:6], words[7:]).tolist() == nearest


def test_a_flip_changes_one_bit_of_signs_and_words():
    signs = random_signs((3, 130), np.random.default_rng(0))
    words, before = packed_words(signs), signs.copy()
    for row, column in ((0, 0), (1, 63), (1, 64), (2, 129)):
        kernels.flip(words, signs, row, column)
        assert signs[row, column] == -before[row, column]
        assert np.array_equal(words, packed_words(signs))
    assert (signs != before).sum() == 4


def test_balancing_keeps_the_least_distance():
    signs = random_signs((20, 24), np.random.default_rng(3))
    signs[:, :4] = 1
    least = smallest(signs)
    before = np.abs(signs.sum(axis=0))
    kernels.balance(packed_words(signs), signs, least, np.arange(24), np.arange(20))
    after = np.abs(signs.sum(axis=0))
    assert smallest(signs) >= least
    assert (after <= before).all()
    assert after[:4].max() <= 1 < before[:4].min()


def test_random_invertible_matrices_are_invertible_and_differ():
    seen = set()
    for seed in range(20):
        matrix = random_invertible(4, np.random.default_rng(seed))
        assert round(np.linalg.det(matrix.astype(float))) % 2 == 1
        seen.add(matrix.tobytes())
    assert len(seen) > 15


def test_the_mds_objective_is_mean_and_minimum_less_variance():
    rows = random_signs((7, 20), np.random.default_rng(0))
    distances = oracles.all_sign_distances(rows.tolist())
    mean = sum(distances) / len(distances)
    variance = sum((d - mean) ** 2 for d in distances) / len(distances)
    assert mds_objective(rows) == pytest.approx(mean + min(distances) - variance)


@pytest.mark.parametrize(("n_classes", "n_bits"), [(2, 1), (4, 2), (10, 12), (20, 12), (100, 32), (100, 64), (196, 48)])
def test_mds_centers_are_no_worse_than_separated_ones_and_keep_the_published_distance(n_classes, n_bits):
    centers = mds_centers(n_classes, n_bits, np.random.default_rng(0))
    assert smallest(centers) >= gilbert_varshamov_distance(n_classes, n_bits)
    assert mds_objective(centers) >= mds_objective(separated_centers(n_classes, n_bits, np.random.default_rng(0)))


def test_mds_centers_beat_bernoulli_ones_by_far():
    for n_classes, n_bits in ((20, 12), (100, 32)):
        rng = np.random.default_rng(0)
        assert mds_objective(mds_centers(n_classes, n_bits, rng)) > 1 + mds_objective(
            bernoulli_centers(n_classes, n_bits, rng)
        )
    assert mds_objective(mds_centers(100, 64, np.random.default_rng(0))) > 56


@pytest.mark.parametrize("n_bits", [513, 1000])
def test_mds_centers_of_long_codes_are_separated_ones(n_bits, monkeypatch):
    monkeypatch.setattr("nearbit.centers.mds._exchanged", lambda *_: pytest.fail("words were exchanged"))
    centers = mds_centers(5, n_bits, np.random.default_rng(0))
    assert np.array_equal(centers, separated_centers(5, n_bits, np.random.default_rng(0)))


def test_orthohash_targets_are_bits_drawn_on_their_own():
    centers = orthohash_centers(400, 64, np.random.default_rng(0))
    assert abs(centers.mean()) < 0.03
    assert np.unique(centers.sum(axis=1)).size > 10
    assert len(np.unique(orthohash_centers(3, 1, np.random.default_rng(0)))) == 2


@pytest.mark.parametrize(("n_classes", "n_bits"), [(2, 1), (2, 12), (10, 16), (30, 16), (100, 70)])
def test_maxhd_words_are_at_least_a_fifth_of_the_bits_apart_and_nearly_as_far_as_random_ones_can_be(n_classes, n_bits):
    centers = maxhd_centers(n_classes, n_bits, np.random.default_rng(0))
    assert smallest(centers) >= 0.2 * n_bits
    if n_bits > 12:
        assert smallest(centers) > min_distance_of(orthohash_centers(n_classes, n_bits, np.random.default_rng(0)))
    if n_classes == 2:
        assert smallest(centers) >= 0.61 * n_bits


def test_maxhd_says_where_random_words_end():
    with pytest.raises(InputError, match=r"random words of 16 bits, 20 % of them apart, end at \d+ of 1000: take 'sep"):
        maxhd_centers(1000, 16, np.random.default_rng(0))
