"""The pairwise term of MDS against plain loops, at its ends, without pairs, and down its gradient."""

import math

import numpy as np
import pytest
import torch

import oracles
from nearbit.losses import memory_pairs


def drawn(dtype=torch.float64, n_bits=12, n_classes=4, *, several=False):
    """Return outputs and labels of 5 images, and of a memory of 9 one of which was not seen yet."""
    rng = np.random.default_rng(0)
    labels = np.eye(n_classes)[np.arange(14) % n_classes]
    if several:
        labels[::3, 1] = 1
    values = rng.normal(0, 2, (14, n_bits))
    values[13], labels[13] = 0, 0
    tensors = [torch.tensor(array, dtype=dtype) for array in (values, labels)]
    return tensors[0][:5], tensors[1][:5], tensors[0][5:], tensors[1][5:]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(("n_bits", "n_classes"), [(1, 2), (12, 4), (70, 3)])
def test_memory_pairs_equal_the_oracle(dtype, tolerance, several, n_bits, n_classes):
    given = drawn(dtype, n_bits, n_classes, several=several)
    found = memory_pairs(*given)
    assert found.dtype == dtype
    assert found.item() == pytest.approx(oracles.memory_pairs(*(part.tolist() for part in given)), rel=tolerance)


def test_memory_pairs_are_log_two_where_all_agree_and_log_one_and_e_at_worst():
    outputs, label = torch.tensor([[3.0, -1.0]]), torch.ones(1, 1)
    for other, expected in ((outputs, math.log(2)), (-outputs, math.log(1 + math.e))):
        assert memory_pairs(outputs, label, other, label).item() == pytest.approx(expected, rel=1e-6)


def test_images_without_a_common_label_are_no_pair():
    outputs, labels, memory, memory_labels = drawn()
    assert memory_pairs(outputs, labels, memory, torch.zeros_like(memory_labels)).item() == 0
    apart = torch.eye(4, dtype=torch.float64)
    assert memory_pairs(outputs[:1], apart[:1], memory[:1], apart[1:2]).item() == 0


@pytest.mark.parametrize("value", [0.0, 1e-30, 60.0, -1e4])
def test_memory_pairs_and_their_gradient_are_finite(value):
    _, labels, memory, memory_labels = drawn(torch.float32)
    outputs = torch.full((5, 12), value, requires_grad=True)
    loss = memory_pairs(outputs, labels, memory, memory_labels)
    loss.backward()
    assert math.log(2) <= loss.item() <= math.log(1 + math.e)
    assert bool(torch.isfinite(outputs.grad).all())


def test_a_step_down_the_gradient_brings_pairs_together():
    outputs, labels, memory, memory_labels = drawn()
    outputs.requires_grad_()
    before = memory_pairs(outputs, labels, memory, memory_labels)
    before.backward()
    assert memory_pairs(outputs.detach() - outputs.grad, labels, memory, memory_labels) < before - 1e-4
