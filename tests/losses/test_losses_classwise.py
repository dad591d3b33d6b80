"""The losses of methods that ask for a class: plain loops in float64, gradients, and what they promise at the edges."""

import math

import numpy as np
import pytest
import torch

from nearbit.errors import InputError
from nearbit.losses import (
    center_push,
    central_similarity,
    class_weights,
    class_wise,
    cross_entropy,
    cubic_penalty,
    hypercube,
    margin_cosine,
    straight_through,
    vertex_distance,
)

RNG = np.random.default_rng(7)
OUTPUTS = RNG.normal(0, 1.5, (5, 6))
CENTERS = RNG.normal(0, 1, (4, 6))
LABELS = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 0], [0, 0, 0, 1]], float)


def softplus(x):
    return math.log1p(math.exp(x))


def softmax_loss(logits, labels, weights=None):
    """Cross-entropy with y / |y|₁ by loops."""
    total = 0.0
    for row, own in zip(logits, labels, strict=True):
        norm = math.log(sum(math.exp(value) for value in row))
        for number, (value, label) in enumerate(zip(row, own, strict=True)):
            total -= (1 if weights is None else weights[number]) * label / sum(own) * (value - norm)
    return total / len(logits)


def distance_logits(outputs, centers, sigma):
    return [[-sigma / 2 * sum((a - b) ** 2 for a, b in zip(u, m, strict=True)) for m in centers] for u in outputs]


@pytest.mark.parametrize("sigma", [0.25, 1.0])
def test_the_class_wise_loss_is_a_softmax_over_squared_distances_and_a_linear_classifier(sigma):
    found = class_wise(torch.tensor(OUTPUTS), torch.tensor(LABELS), torch.tensor(CENTERS), sigma=sigma).item()
    assert found == pytest.approx(softmax_loss(distance_logits(OUTPUTS, CENTERS, sigma), LABELS), rel=1e-12)
    linear = sigma * OUTPUTS @ CENTERS.T - sigma / 2 * (CENTERS**2).sum(axis=1)
    assert found == pytest.approx(softmax_loss(linear, LABELS), rel=1e-12)


def test_the_class_wise_loss_is_finite_far_away():
    outputs = torch.full((2, 6), 1e6, requires_grad=True)
    loss = class_wise(outputs, torch.eye(4)[:2], torch.tensor(CENTERS).float(), sigma=1.0)
    loss.backward()
    assert bool(loss.isfinite())
    assert bool(outputs.grad.isfinite().all())


def test_the_constraints_of_dcwh_by_loops():
    outside = sum(max(-1.1 - u, 0) + max(u - 1.1, 0) for u in OUTPUTS.flat) / len(OUTPUTS)
    assert hypercube(torch.tensor(OUTPUTS), side=1.1).item() == pytest.approx(outside, rel=1e-12)
    away = sum((u - (1 if u >= 0 else -1)) ** 2 for u in OUTPUTS.flat) / len(OUTPUTS)
    assert vertex_distance(torch.tensor(OUTPUTS)).item() == pytest.approx(away, rel=1e-12)
    assert vertex_distance(torch.zeros(3, 4)).item() == 4  # the sign of 0 is +1
    assert hypercube(torch.full((2, 3), -1.1, dtype=torch.float64), side=1.1).item() == 0


def test_the_push_leaves_out_the_diagonal_which_the_released_form_counts_as_log_2():
    units = [row / np.linalg.norm(row) for row in CENTERS]
    pairs = [softplus(3 * float(a @ b)) for i, a in enumerate(units) for j, b in enumerate(units) if i != j]
    found = center_push(torch.tensor(CENTERS)).item()
    assert found == pytest.approx(sum(pairs) / len(pairs), rel=1e-12)
    released = (sum(pairs) + 4 * math.log(2)) / 12
    assert released - found == pytest.approx(math.log(2) / 3, rel=1e-12)


def test_the_push_is_least_for_a_simplex_and_falls_along_its_gradient():
    simplex = torch.eye(4, dtype=torch.float64) - 0.25
    least = softplus(4 / 2 * -1 / 3)
    assert center_push(simplex).item() == pytest.approx(least, rel=1e-12)
    centers = torch.tensor(CENTERS[:, :4], requires_grad=True)
    before = center_push(centers)
    before.backward()
    after = center_push(centers - 0.01 * centers.grad)
    assert least < after.item() < before.item()


def test_signs_pass_the_gradient_of_what_follows_them():
    outputs = torch.tensor([[-0.2, 0.0, 3.0]], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[0.5, -2.0, 7.0]], dtype=torch.float64)
    signs = straight_through(outputs)
    assert signs.tolist() == [[-1.0, 1.0, 1.0]]
    (weights * signs**2).sum().backward()
    assert outputs.grad.tolist() == [[2 * 0.5 * -1, 2 * -2.0, 2 * 7.0]]


def test_the_cubic_penalty_by_loops():
    expected = sum(abs(abs(u) - 1) ** 3 for u in OUTPUTS.flat) / OUTPUTS.size
    assert cubic_penalty(torch.tensor(OUTPUTS)).item() == pytest.approx(expected, rel=1e-12)
    assert cubic_penalty(torch.tensor([[1.0, -1.0]])).item() == 0


@pytest.mark.parametrize("beta", [0.5, 0.99, 0.9999])
def test_class_balanced_weights_by_loops(beta):
    counts = [1, 3, 50, 1300]
    plain = [(1 - beta) / (1 - beta**n) for n in counts]
    assert class_weights(counts, beta).tolist() == pytest.approx([w / max(plain) for w in plain], rel=1e-9)


def test_weights_go_from_equal_to_one_by_the_number_of_images():
    assert class_weights([2, 7], 0).tolist() == [1, 1]
    assert class_weights([2, 7], 1 - 1e-9) == pytest.approx([1, 2 / 7], rel=1e-6)
    for beta in (1, -0.1, 2.0):
        with pytest.raises(InputError, match="beta must be a number of at least 0 and below 1, not"):
            class_weights([1, 2], beta)


def test_weighted_losses_by_loops():
    weights = np.array([1.0, 0.5, 0.25, 0.125])
    logits = OUTPUTS @ CENTERS.T
    given = (torch.tensor(logits), torch.tensor(LABELS), torch.tensor(weights))
    assert cross_entropy(*given).item() == pytest.approx(softmax_loss(logits, LABELS, weights), rel=1e-12)
    cosines = np.array([[u @ m / np.linalg.norm(u) / np.linalg.norm(m) for m in CENTERS] for u in OUTPUTS])
    found = margin_cosine(
        torch.tensor(OUTPUTS), torch.tensor(LABELS), torch.tensor(CENTERS), scale=4, margin=0.3, weights=given[2]
    )
    assert found.item() == pytest.approx(softmax_loss(4 * (cosines - 0.3 * LABELS), LABELS, weights), rel=1e-12)
    words, images = np.where(OUTPUTS[::-1] >= 0, 1, -1), np.arange(1.0, 6.0)
    terms = [images[row] * softplus(-2 * words[row, bit] * OUTPUTS[row, bit]) for row, bit in np.ndindex(OUTPUTS.shape)]
    found = central_similarity(torch.tensor(OUTPUTS), torch.tensor(words).double(), torch.tensor(images))
    assert found.item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        lambda u: class_wise(u, torch.tensor(LABELS), torch.tensor(CENTERS), sigma=0.5),
        lambda u: hypercube(u, side=1.1),
        vertex_distance,
        cubic_penalty,
        center_push,
    ],
    ids=["class wise", "hypercube", "vertex", "cubic", "push"],
)
def test_gradients_are_those_of_differences(loss):
    assert torch.autograd.gradcheck(loss, (torch.tensor(OUTPUTS, requires_grad=True),))
