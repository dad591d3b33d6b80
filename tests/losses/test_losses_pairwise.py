"""Losses over pairs and triplets: against plain loops, down their gradients, without pairs, at huge outputs."""

from functools import partial

import numpy as np
import pytest
import torch

import oracles
from nearbit.losses import (
    graded_pairs,
    pair_likelihood,
    quantization,
    sign_quantization,
    softsign_quantization,
    tanh_pairs,
    triplet_likelihood,
)


def in_batch(loss, **options):
    """Return a loss of outputs and labels that looks at the batch as the memory, too."""
    return lambda outputs, labels: loss(outputs, labels, outputs.detach(), labels, **options)


def looped(oracle, *, memory=False, **options):
    """Return an oracle as a function of arrays of outputs and labels."""

    def found(outputs, labels):
        rows = (outputs.tolist(), labels.tolist())
        return oracle(*rows, *(rows if memory else ()), **options)

    return found


LOSSES = {
    "dpsh": (in_batch(pair_likelihood), looped(oracles.pair_likelihood, memory=True)),
    "dpsh-balanced": (
        in_batch(pair_likelihood, balanced=True),
        looped(oracles.pair_likelihood, memory=True, balanced=True),
    ),
    "dtsh": (partial(triplet_likelihood, margin=3.0), looped(oracles.triplet_likelihood, margin=3.0)),
    "dtsh-0": (partial(triplet_likelihood, margin=0.0), looped(oracles.triplet_likelihood, margin=0.0)),
    "hashnet": (partial(tanh_pairs, beta=1.0, scale=10.0), looped(oracles.tanh_pairs, beta=1.0, scale=10.0)),
    "hashnet-steep": (
        partial(tanh_pairs, beta=3.0, scale=2.0, balanced=False),
        looped(oracles.tanh_pairs, beta=3.0, scale=2.0, balanced=False),
    ),
    "hashnet-jaccard": (
        partial(tanh_pairs, beta=1.0, scale=10.0, jaccard=True),
        looped(oracles.tanh_pairs, beta=1.0, scale=10.0, jaccard=True),
    ),
    "idhn": (
        partial(graded_pairs, scale=5.0, soft_weight=0.1),
        looped(oracles.graded_pairs, scale=5.0, soft_weight=0.1),
    ),
    "idhn-soft": (
        partial(graded_pairs, scale=1.0, soft_weight=2.0),
        looped(oracles.graded_pairs, scale=1.0, soft_weight=2.0),
    ),
}
"""Each loss as a function of outputs and labels, and the plain loop that says the same."""


def drawn(*, several, n=7, n_bits=12, n_classes=4, dtype=torch.float64):
    """Return outputs `(n, n_bits)` and labels `(n, n_classes)`; the last image has a class of its own."""
    labels = np.eye(n_classes)[np.arange(n) % (n_classes - 1)]
    labels[-1] = np.eye(n_classes)[-1]
    if several:
        labels[::3, 1] = 1
    values = np.random.default_rng(0).normal(0, 1.5, (n, n_bits))
    return torch.tensor(values, dtype=dtype), torch.tensor(labels, dtype=dtype)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("n_bits", [1, 12, 70])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_equals_its_plain_loop(name, n_bits, several):
    loss, oracle = LOSSES[name]
    outputs, labels = drawn(several=several, n_bits=n_bits)
    found = loss(outputs, labels)
    assert found.shape == ()
    assert found.item() == pytest.approx(oracle(outputs, labels), rel=1e-9)  # torch's softplus is x above 20
    single = loss(outputs.float(), labels.float())
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(found.item(), rel=1e-4)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", [name for name in LOSSES if not name.startswith("dpsh")])
def test_the_gradient_is_that_of_the_values(name, several):
    loss, _ = LOSSES[name]
    outputs, labels = drawn(several=several, n=5)
    assert torch.autograd.gradcheck(lambda u: loss(u, labels), outputs.requires_grad_())


@pytest.mark.parametrize("balanced", [False, True])
def test_the_gradient_of_pairs_with_a_memory_is_that_of_the_values(balanced):
    outputs, labels = drawn(several=True)
    memory = outputs.clone()
    given = outputs[:3].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda u: pair_likelihood(u, labels[:3], memory, labels, balanced=balanced), (given,)
    )


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_bits_and_of_images_does_not_matter(name):
    loss, _ = LOSSES[name]
    outputs, labels = drawn(several=True)
    bits, rows = torch.randperm(12, generator=torch.Generator().manual_seed(1)), torch.arange(6, -1, -1)
    expected = pytest.approx(loss(outputs, labels).item(), rel=1e-12)
    assert loss(outputs[:, bits], labels).item() == expected
    assert loss(outputs[rows], labels[rows]).item() == expected


@pytest.mark.parametrize("classes", [[0, 0], [0, 1], [0, 0, 0, 0], [0, 1, 2, 3]], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_batches_without_similar_or_other_pairs_are_finite(name, classes):
    loss, oracle = LOSSES[name]
    labels = torch.eye(4, dtype=torch.float64)[classes]
    outputs = drawn(several=False, n=len(classes))[0].requires_grad_()
    found = loss(outputs, labels)
    found.backward()
    assert found.item() == pytest.approx(oracle(outputs.detach(), labels), rel=1e-12, abs=0)
    assert bool(torch.isfinite(outputs.grad).all())
    if name.startswith("dtsh"):
        assert found.item() == 0


@pytest.mark.parametrize("value", [0.0, 1e-30, 60.0, -1e4, 1e8])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_are_finite_for_huge_outputs(name, value):
    loss, _ = LOSSES[name]
    outputs, labels = drawn(several=True, dtype=torch.float32)
    outputs = (outputs.sign() * value).requires_grad_()
    found = loss(outputs, labels)
    found.backward()
    assert 0 <= found.item() < float("inf")
    assert bool(torch.isfinite(outputs.grad).all())


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_down_the_gradient_lowers_the_loss(name):
    loss, _ = LOSSES[name]
    outputs, labels = drawn(several=True)
    outputs.requires_grad_()
    before = loss(outputs, labels)
    before.backward()
    assert loss(outputs.detach() - 0.1 * outputs.grad, labels) < before - 1e-5


def test_rows_of_a_memory_that_were_not_seen_are_in_no_pair():
    outputs, labels = drawn(several=False)
    for balanced in (False, True):
        alone = pair_likelihood(outputs, labels, outputs, labels, balanced=balanced)
        memory, known = torch.cat([outputs, 0 * outputs]), torch.cat([labels, 0 * labels])
        assert pair_likelihood(outputs, labels, memory, known, balanced=balanced).item() == alone.item()
        assert pair_likelihood(outputs, labels, outputs, 0 * labels, balanced=balanced).item() == 0


def test_a_triplet_far_on_the_wrong_side_keeps_its_gradient():
    """Others clamp the argument at -100, below which nothing is learnt."""
    outputs = torch.tensor([[30.0, 30.0], [-30.0, -30.0], [30.0, 30.0]], requires_grad=True)
    labels = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    loss = triplet_likelihood(outputs, labels, margin=1.0)
    loss.backward()
    assert loss.item() == pytest.approx((1801 + np.log1p(np.e)) / 2)
    assert float(outputs.grad.abs().min()) > 1


def test_the_margin_of_triplets_counts_bits_of_signs():
    signs = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, -1], [1, -1, -1, -1]])
    labels = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    found = triplet_likelihood(signs, labels, margin=2.0)
    expected = [np.log1p(np.exp(2.0 - more)) for more in (3 - 1, 2 - 1)]  # the other is so many bits further away
    assert found.item() == pytest.approx(np.mean(expected))


def test_the_largest_logit_of_hashnet_and_idhn_does_not_depend_on_the_bits():
    labels = torch.tensor([[1.0, 0], [0, 1]])
    for loss in (partial(tanh_pairs, beta=1.0, scale=10.0), partial(graded_pairs, scale=10.0, soft_weight=0.1)):
        for n_bits in (8, 64):
            assert loss(torch.full((2, n_bits), 1e6), labels).item() == pytest.approx(10, abs=1e-3)


def test_a_steeper_tanh_nears_the_loss_of_the_signs():
    outputs, labels = drawn(several=False)
    of_signs = tanh_pairs(1e6 * outputs, labels, beta=1.0, scale=10.0).item()
    away = [abs(tanh_pairs(outputs, labels, beta=beta, scale=10.0).item() - of_signs) for beta in (1.0, 2.0, 7.0, 50.0)]
    assert away == sorted(away, reverse=True)
    assert away[-1] < 0.1 * away[0]


def test_soft_pairs_are_best_where_the_inner_product_has_the_grade():
    labels = torch.tensor([[1.0, 1, 0, 0], [0, 1, 1, 1]])  # cosine 1 / sqrt(6)
    wanted = 2 / np.sqrt(6) - 1
    values = [torch.full((2, 16), 1e6) for _ in range(2)]
    n_minus = round((1 - wanted) / 2 * 16)
    values[0][1, :n_minus] = -1e6
    near, far = (graded_pairs(value, labels, scale=5.0, soft_weight=0.1).item() for value in values)
    assert near < 0.01 * far


def test_quantization_of_signs_is_the_squared_distance_and_0_at_signs():
    outputs, _ = drawn(several=False)
    values = [(abs(a) - 1) ** 2 for a in outputs.flatten().tolist()]
    assert sign_quantization(outputs).item() == pytest.approx(sum(values) / len(values), rel=1e-12)
    assert sign_quantization(outputs.sign()).item() == 0
    assert sign_quantization(torch.zeros(2, 3)).item() == 1
    gradient = torch.autograd.functional.jacobian(sign_quantization, torch.zeros(1, 1, dtype=torch.float64))
    assert gradient.item() == -2  # the sign of 0 is +1


def test_quantization_of_softsign_by_a_plain_loop():
    outputs, _ = drawn(several=False)
    values = [1 - abs(a) / (1 + abs(a)) for a in outputs.flatten().tolist()]
    assert softsign_quantization(outputs).item() == pytest.approx(sum(values) / len(values), rel=1e-12)
    assert softsign_quantization(1e9 * outputs) < 1e-6 < quantization(outputs)
