"""ICS: weights and loss by plain loops, the closed form as the least value, and the critical entropy weight."""

import math

import numpy as np
import pytest
import torch

import oracles
from nearbit.errors import InputError
from nearbit.losses import center_costs, central_similarity, instance_similarity, instance_weights
from nearbit.methods import CSQ, ICS, ICSOptions, Targets, Task


def drawn(n_bits=16, n_classes=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.eye(n_classes)[np.arange(6) % n_classes]
    labels[:, 1] = 1
    labels[3] = 1
    arrays = (rng.normal(0, 1, (6, n_bits)), labels, rng.choice([-1.0, 1.0], (n_classes, n_bits)))
    return [torch.tensor(array) for array in arrays]


def costs_of(outputs, centers):
    return [[oracles.central_similarity([u], [h]) for h in centers] for u in outputs]


def weights_of(costs, labels, entropy_weight):
    rows = []
    for d, y in zip(costs, labels, strict=True):
        powers = [math.exp(-cost / entropy_weight) if has else 0.0 for cost, has in zip(d, y, strict=True)]
        rows.append([power / sum(powers) for power in powers])
    return rows


def test_costs_and_weights_by_plain_loops():
    outputs, labels, centers = drawn()
    costs = costs_of(outputs.tolist(), centers.tolist())
    np.testing.assert_allclose(center_costs(outputs, centers).numpy(), costs, rtol=1e-12)
    for entropy_weight in (0.3, 1.0, 5.0):
        found = instance_weights(torch.tensor(costs, dtype=torch.float64), labels, entropy_weight)
        np.testing.assert_allclose(found.numpy(), weights_of(costs, labels.tolist(), entropy_weight), rtol=1e-10)
        assert bool((found[labels == 0] == 0).all())
        np.testing.assert_allclose(found.sum(dim=1).numpy(), 1, rtol=1e-12)
        moved = instance_weights(torch.tensor(costs, dtype=torch.float64) + 7, labels, entropy_weight)
        np.testing.assert_allclose(moved.numpy(), found.numpy(), rtol=1e-10)


def test_the_closed_form_is_the_least_of_the_problem():
    rng = np.random.default_rng(0)
    costs = torch.tensor(rng.uniform(0, 2, (1, 4)))
    for entropy_weight in (0.1, 1.0, 3.0):
        best = instance_weights(costs, torch.ones(1, 4).double(), entropy_weight)[0].numpy()

        def value(w, entropy_weight=entropy_weight):
            entropy = -sum(p * math.log(p) for p in w if p > 0)
            return float(costs[0].numpy() @ w) - entropy_weight * entropy

        assert all(value(best) <= value(w) + 1e-12 for w in rng.dirichlet(np.ones(4), 1000))


@pytest.mark.parametrize("options", [ICSOptions(), ICSOptions(entropy_weight=0.6, quantization_weight=0.0)])
def test_the_loss_is_a_weighted_sum_of_costs_plus_quantization(options):
    outputs, labels, centers = drawn()
    costs = costs_of(outputs.tolist(), centers.tolist())
    weights = weights_of(costs, labels.tolist(), options.entropy_weight)
    main = sum(w * d for ws, ds in zip(weights, costs, strict=True) for w, d in zip(ws, ds, strict=True)) / 6
    targets = Targets(centers, torch.ones(16).double())
    task = Task(n_classes=5, n_bits=16, multi_label=True)
    expected = main + options.quantization_weight * oracles.quantization(outputs.tolist())
    assert ICS.loss(outputs, labels, targets, task, options).item() == pytest.approx(expected, rel=1e-12)


def test_equal_weights_are_the_soft_centroid_and_the_limit_of_large_entropy_weights():
    outputs, labels, centers = drawn()
    soft = (labels / labels.sum(dim=1, keepdim=True)) @ centers
    expected = central_similarity(outputs, soft).item()
    assert instance_similarity(outputs, labels, centers, entropy_weight=None).item() == pytest.approx(expected)
    assert instance_similarity(outputs, labels, centers, entropy_weight=1e9).item() == pytest.approx(expected)
    assert instance_similarity(outputs, labels, centers).item() < expected  # the nearer center counts more
    task, targets = Task(n_classes=5, n_bits=16, multi_label=True), Targets(centers, torch.ones(16).double())
    alone = ICSOptions(weights="equal", quantization_weight=0.0)
    assert ICS.loss(outputs, labels, targets, task, alone).item() == pytest.approx(expected)


def test_small_entropy_weights_take_the_nearest_center_alone():
    outputs, labels, centers = drawn()
    costs = np.where(labels.numpy() > 0, costs_of(outputs.tolist(), centers.tolist()), np.inf)
    found = instance_similarity(outputs, labels, centers, entropy_weight=1e-6).item()
    assert found == pytest.approx(costs.min(axis=1).mean(), rel=1e-9)


def test_one_label_an_image_is_csq():
    outputs, _, centers = drawn()
    labels, targets = torch.eye(5).double()[torch.arange(6) % 5], Targets(centers, torch.ones(16).double())
    task = Task(n_classes=5, n_bits=16, multi_label=False)
    found, expected = (method.loss(outputs, labels, targets, task, method.options) for method in (ICS, CSQ))
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    assert ICS.schedules == CSQ.schedules
    first = [method.make_centers(task, method.options, np.random.default_rng(2)).centers for method in (ICS, CSQ)]
    assert np.array_equal(*first)


def test_no_gradient_goes_through_the_weights_and_all_is_finite_far_out():
    outputs, labels, centers = drawn()
    weights = instance_weights(center_costs(outputs, centers), labels, 1.0)
    expected = (2 * outputs).sigmoid() - weights @ ((centers + 1) / 2)
    outputs.requires_grad_()
    instance_similarity(outputs, labels, centers).backward()
    np.testing.assert_allclose(outputs.grad.numpy(), (2 * expected / (6 * 16)).numpy(), rtol=1e-10, atol=1e-15)
    far = torch.full((6, 16), 1e4).requires_grad_()
    instance_similarity(far, labels.float(), centers.float()).backward()
    assert bool(torch.isfinite(far.grad).all())


@pytest.mark.parametrize(("entropy_weight", "collapses"), [(0.3, True), (0.42, True), (0.6, False), (1.0, False)])
def test_below_the_share_of_bits_that_differ_one_label_takes_all(entropy_weight, collapses):
    """Two labels whose centers differ in half of the bits; the code moves freely, to where its loss is least."""
    centers = torch.tensor(np.array([[1.0] * 16, [1.0] * 8 + [-1.0] * 8]))
    labels = torch.ones(1, 2).double()
    first = torch.tensor([[0.55, 0.45]]).double()
    for _ in range(400):
        goal = (first @ ((centers + 1) / 2)).clamp(1e-9, 1 - 1e-9)
        first = instance_weights(center_costs(torch.logit(goal) / 2, centers), labels, entropy_weight)
    assert (float(first.max()) > 0.99) == collapses
    if not collapses:
        assert float(first.max()) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(("given", "match"), [
    ({"entropy_weight": 0}, "entropy_weight must be a number above 0, not 0: at 0 one label"),
    ({"weights": "soft"}, "weights must be one of instance, equal, not 'soft'"),
])  # fmt: skip
def test_options_that_make_no_sense_are_refused(given, match):
    with pytest.raises(InputError, match=match):
        ICSOptions(**given)
