"""The block surrogate: values of blocks, flips and losses by plain loops in float64."""

import math

import numpy as np
import pytest
import torch

from nearbit.losses.block_surrogate import (
    IndependentBits,
    JointBits,
    block_center_loss,
    block_sizes,
    fixed,
    negative_entropy,
    surrogate_loss,
    values_of_blocks,
    with_flips,
)

SIZES = [3, 3, 2]


def drawn(n=5, n_bits=8, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=(n, n_bits)))


def value(bits):
    return int("".join("1" if bit >= 0 else "0" for bit in bits), 2)


def blocks_of(row):
    return [row[0:3], row[3:6], row[6:8]]


def log_softmax(row):
    highest = max(row)
    return [one - highest - math.log(sum(math.exp(other - highest) for other in row)) for one in row]


@pytest.mark.parametrize(
    ("n_bits", "block", "sizes"),
    [(16, 8, [8, 8]), (20, 8, [8, 8, 4]), (12, 8, [8, 4]), (1, 8, [1]), (8, 8, [8]), (5, 2, [2, 2, 1])],
)
def test_the_last_block_has_the_bits_that_are_left(n_bits, block, sizes):
    assert block_sizes(n_bits, block) == sizes


def test_values_of_blocks_are_their_bits_the_first_one_highest_and_zero_is_one():
    outputs = drawn()
    outputs[0, 0] = 0.0
    found = values_of_blocks(outputs, SIZES)
    assert found.tolist() == [[value(block) for block in blocks_of(row)] for row in outputs.tolist()]
    for row, values in zip(outputs, found.tolist(), strict=True):
        bits = "".join(format(one, f"0{size}b") for one, size in zip(values, SIZES, strict=True))
        assert bits == "".join("1" if bit >= 0 else "0" for bit in row)


@pytest.mark.parametrize("n_flips", [0, 1, 3, 8])
def test_flips_turn_that_many_signs_of_each_row_and_leave_the_outputs_alone(n_flips):
    outputs = drawn(200).requires_grad_()
    before = outputs.detach().clone()
    noisy = with_flips(outputs, n_flips)
    assert torch.equal(outputs.detach(), before)
    assert not noisy.requires_grad
    assert torch.equal(noisy.abs(), before.abs())
    assert ((noisy != before).sum(dim=1) == n_flips).all()
    if n_flips == 1:
        assert (noisy != before).any(dim=0).all()  # every place is turned in some row
        assert not torch.equal(noisy, with_flips(outputs, 1))


@pytest.mark.parametrize("labels", [[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, 1, 0], [0, 1, 1], [1, 1, 1]]])
def test_the_loss_towards_centers_by_plain_loops(labels):
    rng = np.random.default_rng(1)
    logits = [rng.normal(size=(3, 2**size)) for size in SIZES]
    centers = rng.choice([-1.0, 1.0], (3, 8))
    expected = 0.0
    for block, scores in enumerate(logits):
        for row, own in zip(scores.tolist(), labels, strict=True):
            costs = [-log_softmax(row)[value(blocks_of(centers[c])[block])] for c in range(3) if own[c]]
            expected += sum(costs) / len(costs) / 3
    found = block_center_loss(list(map(torch.tensor, logits)), torch.tensor(labels).double(), torch.tensor(centers))
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_an_image_with_two_labels_costs_the_mean_of_what_either_does():
    logits = [drawn(1, 2**size, seed) for seed, size in enumerate(SIZES)]
    centers = torch.tensor(np.random.default_rng(2).choice([-1.0, 1.0], (2, 8)))
    both, *single = (
        block_center_loss(logits, torch.tensor([labels], dtype=torch.float64), centers).item()
        for labels in ([1, 1], [1, 0], [0, 1])
    )
    assert both == pytest.approx(sum(single) / 2, rel=1e-12)


def test_independent_bits_cost_the_cross_entropy_of_each_bit():
    outputs, centers = drawn(), torch.tensor(np.random.default_rng(3).choice([-1.0, 1.0], (5, 8)))
    found = block_center_loss(IndependentBits(SIZES)(outputs), torch.eye(5).double(), centers).item()
    terms = [
        math.log1p(math.exp(-u * h))
        for u, h in zip(outputs.flatten().tolist(), centers.flatten().tolist(), strict=True)
    ]
    assert found == pytest.approx(sum(terms) / 5, rel=1e-12)


def test_the_surrogates_own_loss_and_the_entropy_by_plain_loops():
    logits, noisy = [drawn(5, 2**size, seed) for seed, size in enumerate(SIZES)], drawn(seed=7)
    expected = entropy = 0.0
    for block, scores in enumerate(logits):
        rows = [log_softmax(row) for row in scores.tolist()]
        own = [value(blocks_of(row)[block]) for row in noisy.tolist()]
        expected -= sum(row[one] for row, one in zip(rows, own, strict=True)) / 5
        means = [sum(math.exp(row[one]) for row in rows) / 5 for one in range(2 ** SIZES[block])]
        entropy += sum(mean * math.log(mean) for mean in means)
    assert surrogate_loss(logits, noisy).item() == pytest.approx(expected, rel=1e-12)
    assert negative_entropy(logits).item() == pytest.approx(entropy, rel=1e-12)


def test_a_fixed_surrogate_says_the_same_and_gets_no_gradient():
    torch.manual_seed(0)
    surrogate, outputs = JointBits(SIZES, 4, 0.0).double(), drawn().requires_grad_()
    plain, held = surrogate(outputs), fixed(surrogate, outputs)
    assert all(torch.equal(one, other) for one, other in zip(plain, held, strict=True))
    torch.stack([block.sum() for block in held]).sum().backward()
    assert all(weight.grad is None for weight in surrogate.parameters())
    assert float(outputs.grad.abs().sum()) > 0
