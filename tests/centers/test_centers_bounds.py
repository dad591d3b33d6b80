"""Bounds on the minimum distance: the published rule, exact values for tiny codes, values known from the literature."""

from itertools import product
from math import comb

import numpy as np
import pytest

import oracles
from nearbit.centers.coding.bounds import (
    check_min_distance,
    gilbert_varshamov_distance,
    hamming_bound,
    linear_programming_bound,
    linear_programming_size,
    plotkin_bound,
    proven_upper_bound,
)
from nearbit.centers.coding.construction import best_known_distance
from nearbit.centers.separated import separated_centers
from nearbit.errors import InputError

BOUNDS = [plotkin_bound, hamming_bound, linear_programming_bound, proven_upper_bound]


@pytest.mark.parametrize(
    ("n_classes", "distances"),
    [
        (80, [5, 11, 17, 24, 52]),
        (100, [4, 10, 17, 24, 52]),
        (196, [4, 10, 16, 23, 51]),
        (200, [4, 10, 16, 23, 50]),
        (555, [3, 9, 15, 21, 49]),
    ],
)
def test_the_published_distances(n_classes, distances):
    assert [gilbert_varshamov_distance(n_classes, n_bits) for n_bits in (16, 32, 48, 64, 128)] == distances


@pytest.mark.parametrize("n_bits", range(1, 13))
def test_the_published_rule_is_that_of_two_inequalities(n_bits):
    for n_classes in range(2, min(2**n_bits, 300) + 1):
        d = gilbert_varshamov_distance(n_classes, n_bits)
        assert sum(comb(n_bits, i) for i in range(d)) * n_classes >= 2**n_bits
        assert sum(comb(n_bits, i) for i in range(d - 1)) * n_classes < 2**n_bits


def most_words(n_bits, distance):
    """Return A(n, d) by trying: the largest set of words, the zero word among them, that differ in `distance` bits."""
    words = [word for word in product((0, 1), repeat=n_bits) if sum(word) >= distance]

    def grow(size, left):
        best = size
        for i, word in enumerate(left):
            if size + len(left) - i <= best:
                break
            far = [
                other for other in left[i + 1 :] if sum(a != b for a, b in zip(word, other, strict=True)) >= distance
            ]
            best = max(best, grow(size + 1, far))
        return best

    return grow(1, words)


@pytest.mark.parametrize("n_bits", range(1, 6))
def test_bounds_hold_and_constructions_are_best_for_tiny_codes(n_bits):
    sizes = {d: most_words(n_bits, d) for d in range(1, n_bits + 1)}
    for n_classes in range(2, 2**n_bits + 1):
        best = max(d for d, size in sizes.items() if size >= n_classes)
        for bound in BOUNDS:
            assert bound(n_classes, n_bits) >= best
        assert proven_upper_bound(n_classes, n_bits) == best
        reached = separated_centers(n_classes, n_bits, np.random.default_rng(0))
        assert min(oracles.all_sign_distances(reached.tolist())) == best == best_known_distance(n_classes, n_bits)[0]


@pytest.mark.parametrize(
    ("n", "d", "size"),
    [(6, 4, 4), (7, 4, 8), (8, 4, 16), (9, 6, 4), (10, 6, 6), (11, 6, 12), (12, 6, 24), (14, 6, 64), (15, 6, 128),
     (16, 6, 256), (16, 8, 32), (23, 8, 2048), (24, 8, 4096), (24, 12, 48), (64, 32, 128)],
)  # fmt: skip
def test_known_values_of_a_n_d_are_bounds_and_are_met(n, d, size):
    """Values of A(n, d) that are settled: by Plotkin and Levenshtein, Nordstrom-Robinson, Golay."""
    assert proven_upper_bound(size, n) == d
    assert proven_upper_bound(size + 1, n) == d - 1
    assert best_known_distance(size, n)[0] == d


def test_the_linear_program_beats_the_simple_bounds():
    assert linear_programming_size(16, 6) == 256
    assert linear_programming_size(24, 8) == 4096
    assert linear_programming_bound(257, 16) == 5 < min(plotkin_bound(257, 16), hamming_bound(257, 16))


def test_a_bad_solution_of_the_linear_program_proves_less_and_nothing_false(monkeypatch):
    """The solver's answer is never trusted: with any weights the certified bound holds."""
    from nearbit.centers.coding import bounds

    solve = bounds._solve
    rng = np.random.default_rng(0)

    def noisy(*arguments):
        weights, used = solve(*arguments)
        return [int(weight * rng.uniform(0.9, 1.1)) for weight in weights], used

    exact = linear_programming_size(16, 6)
    monkeypatch.setattr(bounds, "_solve", noisy)
    linear_programming_size.cache_clear()
    try:
        for _ in range(5):
            linear_programming_size.cache_clear()
            assert linear_programming_size(16, 6) >= exact
        assert linear_programming_size(16, 6) > exact
    finally:
        linear_programming_size.cache_clear()


@pytest.mark.parametrize("n_bits", [12, 48, 65, 128, 300])
def test_bounds_fall_with_classes_and_stay_above_what_is_reached(n_bits):
    values = [proven_upper_bound(n_classes, n_bits) for n_classes in (2, 3, 10, 100, 1000)]
    assert values[0] == n_bits
    assert values == sorted(values, reverse=True)
    for n_classes, value in zip((2, 3, 10, 100, 1000), values, strict=True):
        distance, source = best_known_distance(n_classes, n_bits)
        assert gilbert_varshamov_distance(n_classes, n_bits) <= distance <= value
        assert f"({n_bits}, " in source or " by " in source or " + " in source


def test_long_words_have_no_linear_programming_bound():
    assert linear_programming_bound(10, 257) is None
    assert proven_upper_bound(10, 257) == plotkin_bound(10, 257)


@pytest.mark.parametrize("bound", [*BOUNDS, gilbert_varshamov_distance])
def test_more_classes_than_words_are_refused(bound):
    with pytest.raises(InputError, match="17 classes need 17 distinct words, but 4 bits have only 16"):
        bound(17, 4)
    assert bound(16, 4) == 1


def test_nothing_is_known_where_there_are_too_few_words():
    assert best_known_distance(17, 4) is None


def test_an_impossible_distance_is_refused_with_the_proven_bound():
    check_min_distance(256, 16, 6)
    with pytest.raises(InputError, match=r"257 centers of 16 bits cannot have .* distance of 6: at most 5 is possible"):
        check_min_distance(257, 16, 6)
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(InputError, match=f"min_distance must be a whole number of at least 1, not {wrong}"):
            check_min_distance(4, 8, wrong)
