"""A word for a new class: the nearest of all that keep the distance for few bits, a local best for many."""

from itertools import product

import numpy as np
import pytest

import oracles
from nearbit.centers import bernoulli_centers, min_distance_of, nearest_spare, separated_centers, spare_codewords
from nearbit.errors import InputError


def least(word, centers):
    return min(oracles.sign_distance(word.tolist(), center) for center in centers.tolist())


@pytest.mark.parametrize("distance", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_the_word_is_the_nearest_of_all_for_few_bits(seed, distance):
    rng = np.random.default_rng(seed)
    centers, wish = bernoulli_centers(3, 6, rng), rng.normal(size=6)
    far = [word for word in product((-1, 1), repeat=6) if least(np.array(word), centers) >= distance]
    best = max(sum(w * o for w, o in zip(word, wish, strict=True)) for word in far)
    word = nearest_spare(centers, wish, distance, np.random.default_rng(0))
    assert word.dtype == np.int8
    assert least(word, centers) >= distance
    assert float(word @ wish) == pytest.approx(best)


@pytest.mark.parametrize(("n_classes", "n_bits"), [(2, 17), (12, 32), (20, 64), (3, 70)])
@pytest.mark.parametrize("kind", ["separated", "random"])
def test_laws_for_many_bits(n_classes, n_bits, kind):
    rng = np.random.default_rng(n_bits)
    centers = (separated_centers if kind == "separated" else bernoulli_centers)(n_classes, n_bits, rng)
    distance = max(1, min_distance_of(centers) - 2) if n_classes > 2 else n_bits // 2  # at most there is no room
    wish = centers[0] + rng.normal(size=n_bits)  # images that look like those of a known class
    word = nearest_spare(centers, wish, distance, np.random.default_rng(0))
    assert least(word, centers) >= distance
    for bit in np.flatnonzero(word * wish < 0):
        flipped = word.copy()
        flipped[bit] = -flipped[bit]
        assert least(flipped, centers) < distance, "a nearer word is one flip away"
    spare, margin = spare_codewords(centers, 1, np.random.default_rng(0))
    if margin >= distance:
        assert word @ wish >= spare[0] @ wish
    assert np.array_equal(word, nearest_spare(centers, wish, distance, np.random.default_rng(0)))


def test_outputs_that_are_far_from_all_centers_give_their_own_signs():
    centers = separated_centers(4, 32, np.random.default_rng(0))
    outside = -centers[:1].repeat(32, axis=0) * (1 - 2 * np.eye(32, dtype=np.int8))
    wish = next(word for word in outside if least(word, centers) >= 10) * np.linspace(0.1, 2, 32)
    assert np.array_equal(nearest_spare(centers, wish, 10, np.random.default_rng(0)), np.sign(wish))


def test_outputs_at_a_center_give_the_cheapest_bits_that_are_enough():
    wish = np.linspace(1, 3, 40)
    word = nearest_spare(np.ones((1, 40), np.int8), wish, 4, np.random.default_rng(0))
    assert np.flatnonzero(word < 0).tolist() == [0, 1, 2, 3]


def test_the_distance_that_a_refusal_names_can_be_had():
    for n_classes, n_bits in ((5, 8), (40, 24)):
        centers = bernoulli_centers(n_classes, n_bits, np.random.default_rng(1))
        wish = np.ones(n_bits)
        with pytest.raises(InputError, match=rf"{n_bits} bits from all {n_classes} centers; the farthest is") as caught:
            nearest_spare(centers, wish, n_bits, np.random.default_rng(0))
        farthest = int(str(caught.value).split("farthest is ")[1].split(":")[0])
        assert least(nearest_spare(centers, wish, farthest, np.random.default_rng(0)), centers) >= farthest
        with pytest.raises(InputError, match=f"the farthest is {farthest}"):
            nearest_spare(centers, wish, farthest + 1, np.random.default_rng(0))


@pytest.mark.parametrize(("n_classes", "n_bits"), [(5, 8), (40, 24), (4, 70)])
def test_what_is_no_demand_is_met_as_far_as_words_are_found(n_classes, n_bits):
    centers = bernoulli_centers(n_classes, n_bits, np.random.default_rng(1))
    wish = centers[0] * np.linspace(0.1, 2, n_bits)
    with pytest.raises(InputError, match="the farthest is") as caught:
        nearest_spare(centers, wish, n_bits, np.random.default_rng(0))
    farthest = int(str(caught.value).split("farthest is ")[1].split(":")[0])
    word = nearest_spare(centers, wish, n_bits, np.random.default_rng(0), strict=False)
    assert least(word, centers) == farthest
    for bit in np.flatnonzero(word * wish < 0):
        flipped = word.copy()
        flipped[bit] = -flipped[bit]
        assert least(flipped, centers) < farthest, "a nearer word is one flip away"
    kept = nearest_spare(centers, wish, 1, np.random.default_rng(0), strict=False)
    assert np.array_equal(kept, nearest_spare(centers, wish, 1, np.random.default_rng(0)))


def test_no_word_is_left_where_all_are_centers():
    with pytest.raises(InputError, match="every word of 1 bits is a center already: train with more bits"):
        nearest_spare([[1], [-1]], [0.5], 1, np.random.default_rng(0), strict=False)
    with pytest.raises(InputError, match="every word of 1 bits is a center already: train with more bits"):
        nearest_spare([[1], [-1]], [0.5], 1, np.random.default_rng(0))
    assert nearest_spare([[1], [1]], [0.5], 1, np.random.default_rng(0)).tolist() == [-1]


@pytest.mark.parametrize("wish", [[1.0], [[1.0, 2.0]], [1.0, np.nan], [np.inf, 1.0]])
def test_outputs_of_another_form_are_refused(wish):
    with pytest.raises(InputError, match=r"mean outputs must be finite, of the shape \(2,\)"):
        nearest_spare([[1, -1]], wish, 1, np.random.default_rng(0))


def test_other_arguments_are_checked():
    with pytest.raises(InputError, match="in bits must be a whole number of at least 1, not 0"):
        nearest_spare([[1, -1]], [1.0, 1.0], 0, np.random.default_rng(0))
    with pytest.raises(InputError, match="centers must be"):
        nearest_spare([[0, 1]], [1.0, 1.0], 1, np.random.default_rng(0))
