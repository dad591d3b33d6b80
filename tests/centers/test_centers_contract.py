"""Every generator of centers: type, values, determinism, refusals; and the distances that each of them claims."""

import numpy as np
import pytest

import oracles
from nearbit.centers import (
    CENTERS,
    bernoulli_centers,
    check_sizes,
    csq_centers,
    hadamard_centers,
    hadamard_fits,
    make_centers,
    pairwise_distances,
    random_signs,
)
from nearbit.errors import InputError

SIZES = [
    (2, 1), (2, 2), (3, 2), (5, 2), (5, 3), (2, 12), (100, 12), (10, 48), (2, 64), (64, 64), (128, 64), (130, 64),
    (7, 65),
]  # fmt: skip
DISTINCT = ("hadamard", "codebook", "separated", "mds", "maxhd")
"""Kinds that never give two classes the same center."""


def has_no_centers(kind, n_classes, n_bits):
    power_of_two = n_bits in (1, 2, 4, 8, 16, 32, 64)
    return (kind == "hadamard" and not (power_of_two and n_classes <= 2 * n_bits)) or (
        kind in ("codebook", "separated", "mds", "maxhd") and n_classes > 2**n_bits
    )


@pytest.mark.parametrize("kind", CENTERS)
@pytest.mark.parametrize(("n_classes", "n_bits"), SIZES)
def test_centers_are_int8_signs_and_the_same_for_a_seed(kind, n_classes, n_bits):
    def made(seed):
        return make_centers(kind, n_classes=n_classes, n_bits=n_bits, rng=np.random.default_rng(seed))

    if has_no_centers(kind, n_classes, n_bits):
        with pytest.raises(InputError, match=f"{n_bits} bits"):
            made(0)
        return
    centers = made(3)
    assert centers.shape == (n_classes, n_bits)
    assert centers.dtype == np.int8
    assert set(np.unique(centers)) <= {-1, 1}
    assert np.array_equal(centers, made(3))
    if kind in DISTINCT:
        assert pairwise_distances(centers).min() >= 1
    if n_bits >= 48 and kind != "hadamard" and not (kind == "csq" and hadamard_fits(n_classes, n_bits)):
        assert not np.array_equal(centers, made(4))


@pytest.mark.parametrize("kind", CENTERS)
@pytest.mark.parametrize("n_classes", [1, 0, -1])
def test_fewer_than_two_classes_are_refused(kind, n_classes):
    with pytest.raises(InputError, match=f"n_classes must be a whole number of at least 2, not {n_classes}"):
        make_centers(kind, n_classes=n_classes, n_bits=16, rng=np.random.default_rng(0))


@pytest.mark.parametrize("kind", CENTERS)
def test_no_bits_are_refused(kind):
    with pytest.raises(InputError, match="n_bits must be a whole number of at least 1, not 0"):
        make_centers(kind, n_classes=2, n_bits=0, rng=np.random.default_rng(0))


def test_an_unknown_kind_suggests_the_near_one():
    with pytest.raises(InputError, match=r"unknown centers 'hadamart'.*Did you mean 'hadamard'\?"):
        make_centers("hadamart", n_classes=2, n_bits=2, rng=np.random.default_rng(0))


def test_distinct_words_must_be_enough():
    check_sizes(8, 3, distinct=True)
    check_sizes(1000, 80, distinct=True)
    with pytest.raises(InputError, match=r"3 bits have only 8: use at least 4 bits"):
        check_sizes(9, 3, distinct=True)


@pytest.mark.parametrize("n_bits", [1, 2, 12, 48, 64])
def test_pairwise_distances_equal_the_oracle_and_leave_out_a_row_with_itself(n_bits):
    rows = random_signs((6, n_bits), np.random.default_rng(1))
    rows[3] = rows[0]
    distances = pairwise_distances(rows)
    assert distances.dtype == np.int32
    assert distances.tolist() == oracles.all_sign_distances(rows.tolist())
    assert pairwise_distances(np.array([[1, 1], [-1, -1]])).tolist() == [2]


def test_random_signs_are_both_signs_about_as_often():
    signs = random_signs((100, 100), np.random.default_rng(0))
    assert signs.dtype == np.int8
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(signs.mean()) < 0.05


@pytest.mark.parametrize(("n_classes", "n_bits"), [(2, 1), (2, 2), (4, 2), (16, 16), (17, 16), (32, 16), (100, 64)])
def test_hadamard_centers_are_half_the_bits_apart_or_each_others_negatives(n_classes, n_bits):
    centers = hadamard_centers(n_classes, n_bits).tolist()
    for i in range(n_classes):
        for j in range(i):
            expected = n_bits if i == j + n_bits else n_bits // 2
            assert oracles.sign_distance(centers[i], centers[j]) == expected


@pytest.mark.parametrize(("n_classes", "n_bits", "fits"), [(32, 16, True), (33, 16, False), (2, 12, False)])
def test_hadamard_centers_exist_for_powers_of_two_and_twice_as_many_classes(n_classes, n_bits, fits):
    assert hadamard_fits(n_classes, n_bits) is fits


@pytest.mark.parametrize("n_bits", [1, 2, 7, 12, 48, 64])
def test_bernoulli_rows_have_half_of_their_bits_minus(n_bits):
    centers = bernoulli_centers(20, n_bits, np.random.default_rng(5))
    assert [row.count(-1) for row in centers.tolist()] == [n_bits // 2] * 20


@pytest.mark.parametrize("seed", range(8))
def test_bernoulli_centers_are_the_first_draw_that_passes(seed):
    """The published rule: smallest distance above n_bits / 4 and mean distance at least n_bits / 2."""
    n_classes, n_bits = 6, 24
    rng = np.random.default_rng(seed)
    for _ in range(20):
        drawn = bernoulli_centers(n_classes, n_bits, rng, tries=1)
        distances = oracles.all_sign_distances(drawn.tolist())
        if min(distances) > n_bits / 4 and sum(distances) / len(distances) >= n_bits / 2:
            break
    else:
        pytest.fail("choose another seed: none of 20 draws passes")
    assert np.array_equal(bernoulli_centers(n_classes, n_bits, np.random.default_rng(seed)), drawn)


def test_bernoulli_centers_where_no_draw_passes_are_the_best_of_them():
    rng = np.random.default_rng(0)
    smallest = [min(oracles.all_sign_distances(bernoulli_centers(30, 16, rng, tries=1).tolist())) for _ in range(9)]
    kept = bernoulli_centers(30, 16, np.random.default_rng(0), tries=9)
    assert len(set(smallest)) > 1
    assert min(oracles.all_sign_distances(kept.tolist())) == max(smallest) <= 4


def test_no_tries_are_refused():
    with pytest.raises(InputError, match="tries must be a whole number of at least 1, not 0"):
        bernoulli_centers(2, 8, np.random.default_rng(0), tries=0)


def test_csq_takes_hadamard_rows_where_they_exist_and_bernoulli_words_elsewhere():
    assert np.array_equal(csq_centers(10, 16, np.random.default_rng(0)), hadamard_centers(10, 16))
    assert np.array_equal(csq_centers(32, 16, np.random.default_rng(0)), hadamard_centers(32, 16))
    for n_classes, n_bits in ((33, 16), (10, 12)):
        expected = bernoulli_centers(n_classes, n_bits, np.random.default_rng(0))
        assert np.array_equal(csq_centers(n_classes, n_bits, np.random.default_rng(0)), expected)


def test_two_classes_of_one_bit_get_different_csq_centers():
    assert csq_centers(2, 1, np.random.default_rng(0)).tolist() == [[1], [-1]]
