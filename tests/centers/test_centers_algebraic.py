"""Codes: every parameter that is claimed is counted here, word by word; and what is done to codes keeps its promise."""

import numpy as np
import pytest

from nearbit.centers.coding.algebraic.catalog import QUASI_CYCLIC
from nearbit.centers.coding.algebraic.cyclic import (
    bch,
    bch_parameters,
    cyclic_code,
    multiplicative_order,
    quadratic_residue_code,
    reed_muller,
)
from nearbit.centers.coding.algebraic.fields import powers, prime_power, quadratic_character
from nearbit.centers.coding.algebraic.hadamard import (
    biorthogonal,
    conference_code,
    hadamard_matrix,
    has_hadamard,
    simplex,
)
from nearbit.centers.coding.algebraic.kerdock import kerdock
from nearbit.centers.coding.algebraic.quasi_cyclic import orbit, quasi_cyclic
from nearbit.centers.coding.algebraic.words import (
    add_parity,
    linear,
    listed,
    plotkin_sum,
    puncture,
    row_reduce,
    shorten,
)
from nearbit.centers.coding.families import QUADRATIC_RESIDUES, families


def numbers(rows):
    """Return rows of bits as uint64 `(n, ceil(n_bits / 64))`."""
    padded = np.zeros((len(rows), -(-rows.shape[1] // 64) * 64), np.uint8)
    padded[:, : rows.shape[1]] = rows
    return np.packbits(padded, axis=1).view(np.uint64)


def smallest_weight(basis):
    """Return the smallest number of ones of all words other than 0 that the rows span: the minimum distance."""
    words = np.zeros((1, -(-basis.shape[1] // 64)), np.uint64)
    for row in numbers(basis):
        words = np.concatenate([words, words ^ row])
    return int(np.bitwise_count(words).sum(axis=1)[1:].min())


def parameters(code):
    """Return (n_bits, n_words, minimum distance), counted over all pairs, or all words of a linear code."""
    if len(code.offsets) == 1:
        return code.n_bits, 2 ** len(row_reduce(code.basis)[1]), smallest_weight(code.basis)
    words = code.words(code.n_words)
    signs = 1 - 2 * words.astype(np.float32)
    products = signs @ signs.T
    np.fill_diagonal(products, -np.inf)
    return code.n_bits, len(np.unique(words, axis=0)), int((code.n_bits - products.max()) / 2)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (kerdock(3), (16, 256, 6)),
        (kerdock(5), (64, 4096, 28)),
        (quadratic_residue_code(7), (8, 16, 4)),
        (quadratic_residue_code(17), (18, 512, 6)),
        (quadratic_residue_code(23), (24, 4096, 8)),
        (quadratic_residue_code(31), (32, 65536, 8)),
        (reed_muller(1, 5), (32, 64, 16)),
        (reed_muller(2, 5), (32, 65536, 8)),
        (reed_muller(0, 3), (8, 2, 8)),
        (bch(4, 5), (15, 128, 5)),
        (bch(5, 11), (31, 2048, 11)),
        (add_parity(bch(6, 27)), (64, 1024, 28)),
        (add_parity(bch(7, 55)), (128, 32768, 56)),
        (cyclic_code(17, (1,)), (17, 256, 6)),
        (cyclic_code(51, (1,)), (51, 256, 24)),
        (plotkin_sum(reed_muller(1, 3), reed_muller(0, 3)), (16, 32, 8)),
        (conference_code(5), (5, 12, 2)),
        (conference_code(9), (9, 20, 4)),
        (conference_code(25), (25, 52, 12)),
        (conference_code(49), (49, 100, 24)),
    ],
)
def test_parameters_of_known_codes(code, expected):
    assert parameters(code) == expected


@pytest.mark.slow
def test_parameters_of_the_quadratic_residue_code_of_48_bits():
    assert parameters(quadratic_residue_code(47)) == (48, 2**24, 12)


@pytest.mark.parametrize("entry", QUASI_CYCLIC, ids=lambda entry: "-".join(map(str, entry[:3])))
def test_the_catalog_tells_the_truth(entry):
    n_bits, dimension, distance, polynomials, representatives = entry
    assert parameters(quasi_cyclic(polynomials, representatives)) == (n_bits, 2**dimension, distance)


@pytest.mark.parametrize("n_bits", [5, 20, 66])
def test_no_family_claims_more_than_it_has(n_bits):
    seen = set()
    for family in families(n_bits):
        assert family.distance >= 1
        if family.n_words <= 2**14 and family.n_bits <= 130 and "quasi-cyclic" not in family.name:
            counted = parameters(family.build())
            assert counted[:2] == (family.n_bits, family.n_words), family
            assert counted[2] >= family.distance, family
            seen.add(family.name.removeprefix("extended "))
    assert seen >= {"repetition code", "Hadamard code", "conference code", "BCH code", "Nordstrom-Robinson code"}


def test_every_quadratic_residue_code_of_the_families_is_counted_above():
    assert {prime + 1: distance + 1 for prime, distance in QUADRATIC_RESIDUES.items()} == {18: 6, 24: 8, 32: 8, 48: 12}


@pytest.mark.parametrize("order", [order for order in range(4, 130, 4) if has_hadamard(order)])
def test_hadamard_matrices_have_orthogonal_rows_and_give_codes_that_meet_plotkins_bound(order):
    matrix = hadamard_matrix(order)
    assert np.array_equal(matrix @ matrix.T, order * np.eye(order))
    assert (matrix[:, 0] == 1).all()
    if order <= 40:
        assert parameters(biorthogonal(order)) == (order, 2 * order, order // 2)
        assert parameters(simplex(order)) == (order - 1, order, order // 2)
        twice = parameters(shorten(biorthogonal(order), 2))
        assert twice[:2] == (order - 2, order // 2)
        assert twice[2] >= order // 2


def test_most_hadamard_orders_are_known_and_the_others_are_refused():
    unknown = [order for order in range(4, 200, 4) if not has_hadamard(order)]
    assert unknown == [92, 116, 156, 172, 184, 188]
    assert not has_hadamard(6)
    with pytest.raises(ValueError, match="no Hadamard matrix of order 92 is known here"):
        hadamard_matrix(92)


def test_powers_of_a_primitive_element_are_all_elements_of_the_field():
    for degree in range(1, 11):
        assert sorted(powers(degree)) == list(range(1, 2**degree))
    assert multiplicative_order(23) == 11


@pytest.mark.parametrize("order", [3, 5, 7, 9, 25, 27, 49])
def test_the_quadratic_character_is_that_of_a_field(order):
    matrix = quadratic_character(order)
    expected = order * np.eye(order) - np.ones((order, order))
    assert np.array_equal(matrix @ matrix.T, expected)
    assert not matrix.sum(axis=0).any()
    assert np.array_equal(matrix.T, matrix if order % 4 == 1 else -matrix)


def test_fields_exist_for_prime_powers_only():
    assert [order for order in range(2, 30) if prime_power(order)] == [
        2, 3, 4, 5, 7, 8, 9, 11, 13, 16, 17, 19, 23, 25, 27, 29,
    ]  # fmt: skip
    for wrong in (15, 8):
        with pytest.raises(ValueError, match=f"{wrong} is no odd prime power"):
            quadratic_character(wrong)
    with pytest.raises(ValueError, match="odd degree of at least 3, not 4"):
        kerdock(4)


def test_bch_codes_have_their_dimension_and_at_least_their_designed_distance():
    for degree in (3, 4, 5, 6):
        for dimension, distance in bch_parameters(degree):
            code = bch(degree, distance)
            assert code.n_words == 2**dimension
            if dimension <= 16:
                assert smallest_weight(code.basis) >= distance


@pytest.mark.parametrize("code", [reed_muller(1, 4), kerdock(3), conference_code(9), biorthogonal(12)])
def test_shortening_keeps_half_of_the_words_and_the_distance_and_puncturing_costs_one(code):
    n_bits, n_words, distance = parameters(code)
    for times in (1, 2, 3):
        shorter = parameters(shorten(code, times))
        assert shorter[0] == n_bits - times
        assert shorter[1] >= n_words / 2**times
        assert shorter[2] >= distance
        punctured = parameters(puncture(code, times))
        assert punctured[:2] == (n_bits - times, n_words)
        assert punctured[2] >= distance - times


def test_a_parity_bit_makes_an_odd_distance_even():
    assert parameters(add_parity(bch(4, 7))) == (16, 32, 8)
    assert parameters(add_parity(listed(np.array([[0, 0, 1], [1, 1, 1], [1, 0, 0]])))) == (4, 3, 2)
    assert parameters(puncture(add_parity(kerdock(3)), 1)) == (16, 256, 6)


def test_dependent_rows_are_left_out_and_words_come_in_parts():
    code = linear([[1, 1, 0], [0, 1, 1], [1, 0, 1], [0, 0, 0]])
    assert code.n_words == 4
    assert len(np.unique(code.words(4), axis=0)) == 4
    assert len(kerdock(3).words(20)) == 32
    assert len(listed(np.eye(5)).words(3)) == 3


def test_an_orbit_ends_where_it_began():
    assert orbit((11,), 1) == [1, 2, 4, 3, 6, 7, 5]
    assert orbit((3, 7), 2 | 1) == [0b011, 0b101, 0b111]
    assert orbit((3, 3), 3) == [3]
