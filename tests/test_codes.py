"""Codes: the round trip, distances against bit strings, and every refusal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from nearbit.codes import (
    as_words,
    binarize,
    check_codes,
    check_n_bits,
    hamming_distances,
    n_bytes,
    pack,
    signs_of,
    unpack,
    word_distances,
)
from nearbit.errors import InputError

LENGTHS = (1, 7, 8, 12, 16, 64, 65, 130)


def random_signs(n, n_bits, seed=0):
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (n, n_bits))


@given(st.integers(0, 5), st.integers(1, 140), st.integers(0, 2**32 - 1))
def test_pack_and_unpack_are_inverse(n, n_bits, seed):
    signs = random_signs(n, n_bits, seed)
    codes = pack(signs)
    assert codes.shape == (n, n_bytes(n_bits))
    assert codes.dtype == np.uint8
    back = unpack(codes, n_bits)
    assert back.dtype == np.int8
    assert np.array_equal(back, signs)
    assert np.array_equal(check_codes(codes, n_bits), codes)


@pytest.mark.parametrize("n_bits", LENGTHS)
def test_distances_equal_the_oracle(n_bits):
    a, b = pack(random_signs(4, n_bits, 1)), pack(random_signs(6, n_bits, 2))
    expected = [[oracles.hamming(x, y, n_bits) for y in b] for x in a]
    distances = hamming_distances(a, b, n_bits)
    assert distances.dtype == np.int32
    assert distances.tolist() == expected
    assert word_distances(as_words(a)[0], as_words(b)).tolist() == expected[0]


@given(st.integers(1, 140), st.integers(0, 2**32 - 1))
def test_distance_is_symmetric_zero_on_itself_and_half_the_sign_difference(n_bits, seed):
    signs = random_signs(5, n_bits, seed)
    codes = pack(signs)
    distances = hamming_distances(codes, codes, n_bits)
    assert np.array_equal(distances, distances.T)
    assert not distances.diagonal().any()
    products = signs.astype(np.int64) @ signs.astype(np.int64).T
    assert np.array_equal(distances, (n_bits - products) // 2)


def test_twelve_bits_put_the_first_bit_highest_and_leave_the_tail_zero():
    signs = [[1, -1, -1, -1, -1, -1, -1, -1, 1, 1, 1, 1]]
    assert pack(signs).tolist() == [[0b10000000, 0b11110000]]


def test_no_items():
    assert hamming_distances(np.empty((0, 2), np.uint8), np.zeros((3, 2), np.uint8), 12).shape == (0, 3)
    assert hamming_distances(np.zeros((3, 2), np.uint8), np.empty((0, 2), np.uint8), 12).shape == (3, 0)
    assert as_words(np.empty((0, 2), np.uint8)).shape == (0, 1)


def test_sign_of_zero_is_plus_one_of_either_zero():
    signs = signs_of(np.array([0.0, -0.0, 1e-30, -1e-30, 5, -5], np.float32))
    assert signs.dtype == np.int8
    assert signs.tolist() == [1, 1, 1, -1, 1, -1]


@pytest.mark.parametrize("n_bits", LENGTHS)
def test_binarize_packs_the_signs_of_outputs(n_bits):
    outputs = np.random.default_rng(n_bits).normal(size=(5, n_bits)).astype(np.float32)
    outputs[0] = 0.0
    outputs[1] = -0.0
    codes = binarize(outputs)
    assert codes.dtype == np.uint8
    assert np.array_equal(codes, pack(np.where(outputs < 0, -1, 1)))
    assert np.array_equal(codes, pack(signs_of(outputs)))
    assert binarize(outputs[:0]).shape == (0, n_bytes(n_bits))


@pytest.mark.parametrize(
    ("outputs", "match"),
    [
        (np.ones(3), r"outputs must have the shape \(n, n_bits\) with n_bits >= 1, not \(3,\)"),
        (np.ones((2, 0)), r"shape \(n, n_bits\)"),
        ([[1.0, np.nan]], "outputs must be finite: 1 of 2 values are NaN or infinite"),
        ([["a"]], "outputs must be real numbers"),
        (np.array([[True]]), "outputs must be real numbers, not bool"),
    ],
)
def test_outputs_that_have_no_codes_are_refused(outputs, match):
    with pytest.raises(InputError, match=match):
        binarize(outputs)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_refused(bad):
    with pytest.raises(InputError, match="1 of 3 values are NaN or infinite"):
        signs_of([0.5, bad, -0.5])


@pytest.mark.parametrize("signs", [[[0, 1]], [[1, 2]], [[np.nan, 1]]])
def test_a_third_symbol_is_refused(signs):
    with pytest.raises(InputError, match="must be -1 or \\+1"):
        pack(signs)


@pytest.mark.parametrize("shape", [(3,), (2, 0), (1, 2, 3)])
def test_signs_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match=r"shape \(n, n_bits\)"):
        pack(np.ones(shape, np.int8))


@pytest.mark.parametrize("n_bits", [0, -1, True, 8.0, "8", None])
def test_n_bits_must_be_a_whole_number(n_bits):
    with pytest.raises(InputError, match="n_bits must be a whole number"):
        check_n_bits(n_bits)


def test_n_bits_may_be_a_numpy_number():
    assert check_n_bits(np.int64(12)) == 12


@pytest.mark.parametrize(
    ("codes", "match"),
    [
        (np.zeros((2, 2), np.int64), "must be packed uint8, not int64"),
        (np.zeros((2, 3), np.uint8), r"must have the shape \(n, 2\)"),
        (np.zeros(2, np.uint8), r"must have the shape \(n, 2\)"),
        (np.array([[0, 0], [0, 0b00001000]], np.uint8), "the last 4 bits of each row must be 0"),
    ],
)
def test_codes_that_do_not_fit_twelve_bits_are_refused(codes, match):
    with pytest.raises(InputError, match=match):
        check_codes(codes, 12)


def test_codes_that_are_not_contiguous_are_read_right():
    wide = pack(random_signs(6, 64))
    every_second = wide[::2]
    assert np.array_equal(hamming_distances(every_second, wide, 64), hamming_distances(wide, wide, 64)[::2])
