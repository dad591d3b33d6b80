"""CRH's codebook: the rule of heads, distinct words, and the centers that an assignment chooses."""

import numpy as np
import pytest

import oracles
from nearbit.centers import CenterState, centers_from, default_codewords, head_bits_for, make_centers, make_codebook
from nearbit.errors import InputError


def words(head):
    return {tuple(word) for word in head.tolist()}


@pytest.mark.parametrize(
    ("n_classes", "heads"),
    [
        (196, {16: (16, 1), 32: (16, 2), 64: (16, 4)}),
        (555, {16: (16, 1), 32: (16, 2), 64: (16, 4)}),
        (80, {16: (8, 2), 32: (8, 4), 64: (8, 8)}),
        (100, {16: (8, 2), 32: (8, 4), 64: (8, 8), 12: (12, 1), 48: (8, 6)}),
    ],
)
def test_heads_of_the_published_data_sets(n_classes, heads):
    for n_bits, (head_bits, n_heads) in heads.items():
        n_codewords = default_codewords(n_classes, n_bits)
        assert n_codewords == 2 * n_classes
        assert head_bits_for(n_codewords, n_bits) == head_bits
        codebook = make_codebook(n_codewords, n_bits, np.random.default_rng(0))
        assert codebook.shape == (n_heads, n_codewords, head_bits)


@pytest.mark.parametrize(
    ("n_codewords", "n_bits", "expected"),
    [(2, 1, 1), (1, 7, 1), (4, 12, 2), (5, 12, 3), (17, 12, 6), (3, 7, 7), (2, 64, 1)],
)
def test_a_head_has_the_fewest_bits_that_divide_and_suffice(n_codewords, n_bits, expected):
    assert head_bits_for(n_codewords, n_bits) == expected
    assert not [bits for bits in range(1, expected) if n_bits % bits == 0 and 2**bits >= n_codewords]


def test_a_codebook_that_does_not_fit_says_how_many_bits_would_do():
    with pytest.raises(InputError, match=r"65 codewords does not fit 6 bits: use at least 7 bits"):
        head_bits_for(65, 6)
    assert head_bits_for(64, 6) == 6


@pytest.mark.parametrize(
    ("n_classes", "n_bits", "expected"), [(2, 1, 2), (3, 2, 4), (4, 2, 4), (40, 6, 64), (32, 6, 64)]
)
def test_few_bits_give_all_their_words(n_classes, n_bits, expected):
    assert default_codewords(n_classes, n_bits) == expected
    (head,) = make_codebook(expected, n_bits, np.random.default_rng(0))
    assert len(words(head)) == 2**n_bits


def test_more_classes_than_words_are_refused():
    with pytest.raises(InputError, match="5 classes need 5 distinct words, but 2 bits have only 4"):
        default_codewords(5, 2)


@pytest.mark.parametrize(
    ("n_codewords", "n_bits", "head_bits"),
    [(2, 1, None), (4, 12, None), (200, 48, None), (3000, 34, 17), (10, 64, 64), (65536, 16, 16)],
)
def test_words_of_a_head_are_distinct_signs_and_the_same_for_a_seed(n_codewords, n_bits, head_bits):
    codebook = make_codebook(n_codewords, n_bits, np.random.default_rng(7), head_bits=head_bits)
    assert codebook.dtype == np.int8
    assert (np.abs(codebook) == 1).all()
    for head in codebook:
        assert len(np.unique(np.packbits(head > 0, axis=1), axis=0)) == n_codewords
    assert codebook.shape[0] * codebook.shape[2] == n_bits
    again = make_codebook(n_codewords, n_bits, np.random.default_rng(7), head_bits=head_bits)
    assert np.array_equal(codebook, again)


def test_every_word_is_drawn_about_as_often():
    rng = np.random.default_rng(0)
    counts = np.zeros(8)
    for _ in range(800):
        for word in make_codebook(3, 3, rng, head_bits=3)[0]:
            counts[int("".join("1" if bit > 0 else "0" for bit in word), 2)] += 1
    assert counts.sum() == 2400
    assert 240 < counts.min() <= counts.max() < 360


@pytest.mark.parametrize("head_bits", [0, -1, 3, 5, 16])
def test_head_bits_that_do_not_divide_or_suffice_are_refused(head_bits):
    with pytest.raises(InputError, match=rf"divide 8 bits and have at least 10 words, not {head_bits}; 4 would do"):
        make_codebook(10, 8, np.random.default_rng(0), head_bits=head_bits)


@pytest.mark.parametrize(
    ("n_codewords", "n_bits", "head_bits", "least"),
    [(200, 64, 16, 6), (200, 64, 8, 1), (128, 32, 8, 2), (16, 32, 8, 4), (2, 12, 3, 3), (1, 7, None, None)],
)
def test_words_of_a_separated_codebook_are_far_apart_in_every_head(n_codewords, n_bits, head_bits, least):
    made = [
        make_codebook(n_codewords, n_bits, np.random.default_rng(seed), head_bits=head_bits, source="separated")
        for seed in (0, 0, 1)
    ]
    assert made[0].shape[1] == n_codewords
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    for head in made[0]:
        if least is not None:
            assert min(oracles.all_sign_distances(head.tolist())) == least


def test_a_separated_codebook_is_farther_apart_than_a_uniform_one_and_not_the_default():
    for source, least in (("uniform", 1), ("separated", 6)):
        (head,) = make_codebook(200, 16, np.random.default_rng(0), head_bits=16, source=source)
        assert min(oracles.all_sign_distances(head.tolist())) == least
    uniform = make_codebook(200, 16, np.random.default_rng(0), source="uniform")
    assert np.array_equal(uniform, make_codebook(200, 16, np.random.default_rng(0)))


@pytest.mark.parametrize("n_codewords", [0, -3])
@pytest.mark.parametrize("head_bits", [None, 4])
def test_a_codebook_without_words_is_refused(n_codewords, head_bits):
    with pytest.raises(InputError, match=f"n_codewords must be a whole number of at least 1, not {n_codewords}"):
        make_codebook(n_codewords, 8, np.random.default_rng(0), head_bits=head_bits)


def test_an_unknown_source_of_a_codebook_is_refused():
    with pytest.raises(InputError, match="source of a codebook must be one of uniform, separated, not 'best'"):
        make_codebook(4, 8, np.random.default_rng(0), source="best")


def test_centers_are_the_chosen_words_of_all_heads_one_behind_the_other():
    codebook = np.array([[[1, 1], [1, -1], [-1, -1]], [[-1, 1], [1, 1], [-1, -1]]], np.int8)
    assignment = np.array([[2, 0], [0, 1]])
    assert centers_from(codebook, assignment).tolist() == [[-1, -1, -1, 1], [1, 1, 1, 1]]


@pytest.mark.parametrize(("n_classes", "n_bits"), [(2, 1), (4, 2), (100, 12), (100, 64), (200, 48)])
def test_codebook_centers_differ_in_every_head(n_classes, n_bits):
    centers = make_centers("codebook", n_classes=n_classes, n_bits=n_bits, rng=np.random.default_rng(2))
    head_bits = head_bits_for(default_codewords(n_classes, n_bits), n_bits)
    for start in range(0, n_bits, head_bits):
        assert len(words(centers[:, start : start + head_bits])) == n_classes


def test_a_state_gives_back_the_arrays_that_are_there():
    bare = CenterState(centers=np.ones((2, 3), np.int8), tie_break=np.ones(3, np.int8))
    assert set(bare.arrays()) == {"centers", "tie_break"}
    full = CenterState(
        centers=bare.centers,
        tie_break=bare.tie_break,
        codebook=np.ones((1, 2, 3), np.int8),
        assignment=np.array([[0, 1]]),
    )
    again = CenterState(**full.arrays())
    assert all(np.array_equal(again.arrays()[name], array) for name, array in full.arrays().items())
    assert len(again.arrays()) == 4
