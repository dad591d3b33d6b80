"""Reassignment and centroids: costs by brute force, assignments one-to-one, greedy never better than exact."""

from itertools import permutations

import numpy as np
import pytest
import torch

import oracles
from nearbit.centers import (
    CenterState,
    assign_exactly,
    assign_greedily,
    centers_from,
    make_codebook,
    multi_label_centroids,
    random_signs,
    reassign,
    reassignment_costs,
)
from nearbit.errors import InputError
from nearbit.losses import torch_centroids


def labelled_signs(n_bits, *, several, seed=0):
    """Return signs of 12 images, their labels of 3 classes, and the weighted class means."""
    rng = np.random.default_rng(seed)
    signs = random_signs((12, n_bits), rng)
    labels = np.eye(3, dtype=bool)[np.arange(12) % 3]
    if several:
        labels |= rng.random((12, 3)) < 0.4
    weights = labels / labels.sum(axis=1, keepdims=True)
    means = (weights.T @ signs) / weights.sum(axis=0)[:, None]
    return signs, labels, means


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("n_bits", [2, 12, 64])
def test_costs_equal_brute_force_over_all_signs(n_bits, several):
    signs, labels, means = labelled_signs(n_bits, several=several)
    codebook = make_codebook(4, n_bits, np.random.default_rng(1))
    expected = [
        [[oracles.codeword_cost(signs, labels, c, h, word) for word in head] for c in range(3)]
        for h, head in enumerate(codebook)
    ]
    costs = reassignment_costs(codebook, means)
    assert costs.dtype == np.float64
    np.testing.assert_allclose(costs, expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_exact_total_is_the_least_of_all_and_greedy_is_never_below_it(seed):
    rng = np.random.default_rng(seed)
    costs = np.round(rng.random((4, 6)), 1)
    least = min(sum(costs[row, column] for row, column in enumerate(chosen)) for chosen in permutations(range(6), 4))
    exact, greedy = assign_exactly(costs), assign_greedily(costs, rng)
    totals = [sum(costs[row, column] for row, column in enumerate(chosen)) for chosen in (exact, greedy)]
    assert totals[0] == pytest.approx(least)
    assert totals[1] >= least - 1e-12
    for chosen in (exact, greedy):
        assert chosen.dtype == np.int64
        assert len(set(chosen.tolist())) == 4


def test_greedy_can_be_worse_than_exact():
    costs = np.array([[0.0, 1.0], [0.0, 9.0]])
    totals = {
        float(costs[np.arange(2), assign_greedily(costs, np.random.default_rng(seed))].sum()) for seed in range(20)
    }
    assert totals == {1.0, 9.0}
    assert assign_exactly(costs).tolist() == [1, 0]


def test_greedy_takes_the_cheapest_that_is_left_in_the_order_of_the_generator():
    costs = np.random.default_rng(3).random((5, 7))
    left, expected = set(range(7)), {}
    for row in np.random.default_rng(8).permutation(5):
        expected[row] = min(left, key=lambda column, row=row: costs[row, column])
        left.remove(expected[row])
    before = costs.copy()
    chosen = assign_greedily(costs, np.random.default_rng(8))
    assert {row: int(column) for row, column in enumerate(chosen)} == expected
    assert np.array_equal(costs, before)


def crh_state(n_classes, n_codewords, n_bits):
    rng = np.random.default_rng(0)
    codebook = make_codebook(n_codewords, n_bits, rng)
    first = np.tile(np.arange(n_classes), (len(codebook), 1))
    return CenterState(
        centers=centers_from(codebook, first),
        tie_break=random_signs((n_bits,), rng),
        codebook=codebook,
        assignment=first,
    )


@pytest.mark.parametrize("assignment", ["greedy", "exact"])
@pytest.mark.parametrize(("n_classes", "n_codewords", "n_bits"), [(2, 2, 1), (10, 20, 48), (10, 10, 12), (3, 4, 2)])
def test_reassigned_centers_come_from_the_codebook_one_to_one_in_each_head(assignment, n_classes, n_codewords, n_bits):
    state = crh_state(n_classes, n_codewords, n_bits)
    means = np.random.default_rng(4).uniform(-1, 1, (n_classes, n_bits))
    new = reassign(state, means, np.random.default_rng(5), assignment=assignment)
    assert all(len(set(head)) == n_classes for head in new.assignment.tolist())
    assert np.array_equal(new.centers, centers_from(state.codebook, new.assignment))
    assert new.centers.dtype == np.int8
    assert new.codebook is state.codebook
    assert new.tie_break is state.tie_break
    again = reassign(state, means, np.random.default_rng(5), assignment=assignment)
    assert np.array_equal(new.centers, again.centers)


def test_exact_and_greedy_reassignment_are_what_they_are_called():
    state, means = crh_state(10, 20, 48), np.random.default_rng(4).uniform(-1, 1, (10, 48))
    costs = reassignment_costs(state.codebook, means)
    exact = reassign(state, means, np.random.default_rng(5), assignment="exact").assignment
    assert exact.tolist() == [assign_exactly(head).tolist() for head in costs]
    rng = np.random.default_rng(5)
    greedy = reassign(state, means, np.random.default_rng(5)).assignment
    assert greedy.tolist() == [assign_greedily(head, rng).tolist() for head in costs]
    assert greedy.tolist() != exact.tolist()


@pytest.mark.parametrize("assignment", ["greedy", "exact"])
def test_codes_that_lie_on_codewords_get_those_as_centers(assignment):
    state = crh_state(10, 20, 64)
    wanted = np.stack([np.random.default_rng(h).permutation(20)[:10] for h in range(len(state.codebook))])
    means = centers_from(state.codebook, wanted).astype(np.float64)
    new = reassign(state, means, np.random.default_rng(0), assignment=assignment)
    assert np.array_equal(new.assignment, wanted)


def test_reassignment_needs_a_codebook_and_a_known_assignment():
    bare = CenterState(centers=np.ones((2, 4), np.int8), tie_break=np.ones(4, np.int8))
    with pytest.raises(InputError, match="chosen from a codebook"):
        reassign(bare, np.zeros((2, 4)), np.random.default_rng(0))
    with pytest.raises(InputError, match="assignment must be one of greedy, exact, not 'best'"):
        reassign(crh_state(2, 2, 4), np.zeros((2, 4)), np.random.default_rng(0), assignment="best")


@pytest.mark.parametrize("n_bits", [1, 12, 64])
def test_centroids_are_majority_votes_with_one_tie_vector_in_numpy_and_torch(n_bits):
    rng = np.random.default_rng(2)
    centers, tie_break = random_signs((4, n_bits), rng), random_signs((n_bits,), rng)
    labels = np.array([[i >> c & 1 for c in range(4)] for i in range(16)], bool)
    expected = [oracles.centroid(row, centers, tie_break) for row in labels]
    found = multi_label_centroids(labels, centers, tie_break)
    assert found.dtype == np.int8
    assert found.tolist() == expected
    tensors = [torch.from_numpy(array).float() for array in (labels, centers, tie_break)]
    assert torch_centroids(*tensors).tolist() == expected
    assert found[0].tolist() == tie_break.tolist()
    assert all(found[1 << c].tolist() == centers[c].tolist() for c in range(4))
    opposite = np.stack([centers[0], -centers[0]])
    assert multi_label_centroids(np.array([[True, True]]), opposite, tie_break).tolist() == [tie_break.tolist()]
