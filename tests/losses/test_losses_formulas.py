"""Losses against plain loops, over types and labels; gradients are finite and point downhill."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy

import oracles
from nearbit.errors import InputError
from nearbit.losses import center_softmax, central_similarity, crh_scale, cross_entropy, margin_cosine, quantization

DTYPES = [(torch.float32, 1e-5), (torch.float64, 1e-12)]


def inputs(dtype, n_bits=12, n_classes=5, *, several, seed=0):
    rng = np.random.default_rng(seed)
    outputs = rng.normal(0, 2, (6, n_bits))
    outputs[0, :] = np.linspace(-8, 8, n_bits)
    labels = np.eye(n_classes)[np.arange(6) % n_classes]
    if several:
        labels[:, 0] = 1
        labels[5] = 1
    centers = rng.choice([-1.0, 1.0], (n_classes, n_bits))
    return [torch.tensor(array, dtype=dtype) for array in (outputs, labels, centers)]


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(("n_bits", "n_classes"), [(1, 2), (12, 5), (48, 3)])
def test_margin_cosine_equals_the_oracle(dtype, tolerance, several, n_bits, n_classes):
    outputs, labels, centers = inputs(dtype, n_bits, n_classes, several=several)
    for scale, margin in ((6.5, 0.2), (1.0, 0.0)):
        found = margin_cosine(outputs, labels, centers, scale=scale, margin=margin)
        expected = oracles.margin_cosine(outputs.tolist(), labels.tolist(), centers.tolist(), scale, margin)
        assert found.dtype == dtype
        assert found.item() == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_the_margin_is_a_fifth_unless_told_otherwise():
    outputs, labels, centers = inputs(torch.float64, several=False)
    chosen = [margin_cosine(outputs, labels, centers, scale=6.0, **given) for given in ({}, {"margin": 0.2})]
    assert chosen[0] == chosen[1]
    assert margin_cosine(outputs, labels, centers, scale=6.0, margin=0.3) > chosen[0]


def test_margin_cosine_does_not_see_the_length_of_outputs():
    outputs, labels, centers = inputs(torch.float64, several=True)
    long = margin_cosine(1e3 * outputs, labels, centers, scale=6.5)
    assert long.item() == pytest.approx(margin_cosine(outputs, labels, centers, scale=6.5).item(), rel=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("n_bits", [1, 12, 48])
def test_central_similarity_equals_cross_entropy_of_tanh(dtype, tolerance, n_bits):
    outputs, _, _ = inputs(dtype, n_bits, several=False)
    outputs = outputs.clamp(-4, 4)
    targets = torch.tensor(np.random.default_rng(1).choice([-1.0, 1.0], outputs.shape), dtype=dtype)
    found = central_similarity(outputs, targets).item()
    assert found == pytest.approx(oracles.central_similarity(outputs.tolist(), targets.tolist()), rel=tolerance)
    naive = binary_cross_entropy((outputs.double().tanh() + 1) / 2, (targets.double() + 1) / 2)
    assert found == pytest.approx(naive.item(), rel=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_quantization_equals_the_oracle(dtype, tolerance):
    outputs, _, _ = inputs(dtype, several=False)
    assert quantization(outputs).item() == pytest.approx(oracles.quantization(outputs.tolist()), rel=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(("n_bits", "n_classes"), [(1, 2), (12, 5), (48, 3)])
def test_center_softmax_equals_the_oracle(dtype, tolerance, several, n_bits, n_classes):
    outputs, labels, centers = inputs(dtype, n_bits, n_classes, several=several)
    for scale in (n_bits**0.5, 1.0):
        found = center_softmax(outputs, labels, centers, scale=scale)
        expected = oracles.center_softmax(outputs.tolist(), labels.tolist(), centers.tolist(), scale)
        assert found.dtype == dtype
        assert found.item() == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_center_softmax_is_finite_where_a_probability_is_one_in_floating_point():
    centers = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    for sign in (1.0, -1.0):
        outputs = torch.tensor([[sign, sign]], requires_grad=True)
        loss = center_softmax(outputs, torch.tensor([[1.0, 0.0]]), centers, scale=40.0)
        loss.backward()
        assert loss.item() == pytest.approx(0.0 if sign > 0 else 80.0, abs=1e-5)
        assert bool(torch.isfinite(outputs.grad).all())


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("several", [False, True])
def test_cross_entropy_equals_the_oracle(dtype, tolerance, several):
    outputs, labels, _ = inputs(dtype, 5, 5, several=several)
    expected = oracles.cross_entropy(outputs.tolist(), labels.tolist())
    assert cross_entropy(outputs, labels).item() == pytest.approx(expected, rel=tolerance)


def test_quantization_is_one_at_zero_and_nothing_for_saturated_outputs():
    assert quantization(torch.zeros(2, 3)).item() == 1
    assert quantization(torch.tensor([[40.0, -40.0]])).item() == 0


@pytest.mark.parametrize("value", [0.0, 1e-30, 1.0, -60.0, 60.0, 1e4])
@pytest.mark.parametrize("name", ["margin_cosine", "center_softmax", "central_similarity", "quantization"])
def test_losses_and_gradients_are_finite(name, value):
    _, labels, centers = inputs(torch.float32, several=True)
    outputs = torch.full((6, 12), value, requires_grad=True)
    loss = {
        "margin_cosine": lambda: margin_cosine(outputs, labels, centers, scale=6.5),
        "center_softmax": lambda: center_softmax(outputs, labels, centers, scale=6.5),
        "central_similarity": lambda: central_similarity(outputs, centers[torch.arange(6) % 5]),
        "quantization": lambda: quantization(outputs),
    }[name]()
    loss.backward()
    assert math.isfinite(loss.item())
    assert bool(torch.isfinite(outputs.grad).all())


@pytest.mark.parametrize("name", ["margin_cosine", "center_softmax", "central_similarity"])
def test_a_step_down_the_gradient_turns_outputs_towards_their_centers(name):
    outputs, labels, centers = inputs(torch.float64, several=False)
    outputs.requires_grad_()
    targets = labels @ centers

    def loss_at(values):
        if name == "margin_cosine":
            return margin_cosine(values, labels, centers, scale=6.5)
        if name == "center_softmax":
            return center_softmax(values, labels, centers, scale=6.5)
        return central_similarity(values, targets)

    before = loss_at(outputs)
    before.backward()
    assert loss_at(outputs.detach() - 0.1 * outputs.grad) < before
    assert loss_at(9 * targets) < before


@pytest.mark.parametrize(
    ("n_classes", "expected"), [(196, 7.457), (555, 8.934), (80, 6.179), (100, 6.499), (2, 1.0), (3, 1.0), (4, 1.554)]
)
def test_scales_of_the_published_data_sets_and_of_few_classes(n_classes, expected):
    assert crh_scale(n_classes) == pytest.approx(expected, abs=1e-3)


def test_a_scale_needs_two_classes():
    with pytest.raises(InputError, match="at least 2 classes, not 1"):
        crh_scale(1)
