"""LBHC: what each surrogate trains, the order of the bits, options."""

import numpy as np
import pytest
import torch

from nearbit.errors import InputError
from nearbit.methods import LBHC, LBHCOptions, Targets, Task

TASK = Task(n_classes=4, n_bits=20, multi_label=False)


def gradients(surrogate, n_bits=20, outputs_at=None, **options):
    """Return the loss, the gradient of the outputs, and that of the surrogate's weights."""
    torch.manual_seed(0)
    task = Task(n_classes=4, n_bits=n_bits, multi_label=False)
    chosen = LBHCOptions(surrogate=surrogate, dropout=0.0, **options)
    module = LBHC.module(task, chosen).double()
    state = LBHC.first_centers(task, chosen, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    outputs = torch.tensor(rng.normal(size=(4, n_bits)) if outputs_at is None else outputs_at).requires_grad_()
    targets = Targets(torch.tensor(state.centers).double(), torch.ones(n_bits), module=module)
    before = outputs.detach().clone()
    loss = LBHC.loss(outputs, torch.eye(4).double(), targets, task, chosen)
    loss.backward()
    assert torch.equal(outputs.detach(), before)
    return loss.item(), outputs.grad, [weight.grad for weight in module.parameters()], (module, targets, chosen)


@pytest.mark.parametrize("n_bits", [20, 40, 2])
def test_the_joint_surrogate_learns_from_both_losses_the_random_one_from_none(n_bits):
    _, moved, joint, _ = gradients("joint", n_bits)
    _, alike, alternating, _ = gradients("alternating", n_bits)
    _, _, random, _ = gradients("random", n_bits)
    _, _, independent, _ = gradients("independent", n_bits)
    assert all(gradient is not None for gradient in joint + alternating)
    assert any(not torch.allclose(one, other) for one, other in zip(joint, alternating, strict=True))
    assert torch.allclose(moved, alike)  # the outputs feel the same pull, whoever trains the surrogate
    assert random
    assert all(gradient is None for gradient in random)
    assert independent == []


def test_the_alternating_surrogate_gets_no_gradient_of_the_loss_towards_centers():
    _, _, _, (module, targets, options) = gradients("alternating")
    module.zero_grad(set_to_none=True)
    module.kind = "random"  # leaves the surrogate's own loss out
    frozen = [value.requires_grad_(False) for value in module.parameters()]
    outputs = torch.zeros(4, 20, dtype=torch.float64, requires_grad=True)
    LBHC.loss(outputs, torch.eye(4).double(), targets, TASK, options).backward()
    assert all(value.grad is None for value in frozen)
    assert float(outputs.grad.abs().sum()) > 0


def test_bits_in_another_order_with_their_centers_cost_the_same_where_bits_are_independent():
    plain, _, _, (module, targets, options) = gradients("independent")
    outputs = torch.tensor(np.random.default_rng(1).normal(size=(4, 20)))
    module.begin(1, np.random.default_rng(5))
    assert module.order.tolist() != list(range(20))
    assert sorted(module.order.tolist()) == list(range(20))
    again = LBHC.loss(outputs, torch.eye(4).double(), targets, TASK, options).item()
    assert again == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize(("every", "changes"), [(0, []), (1, [1, 2, 3, 4]), (2, [2, 4]), (4, [4])])
def test_the_order_changes_after_so_many_epochs(every, changes):
    module = LBHC.module(TASK, LBHCOptions(permute_every=every))
    found = []
    for epoch in range(5):
        before = module.order.clone()
        module.begin(epoch, np.random.default_rng(epoch))
        found += [epoch] if not torch.equal(before, module.order) else []
    assert found == changes


@pytest.mark.parametrize(("n_bits", "flips"), [(16, 0), (24, 0), (32, 1), (48, 1), (64, 4), (128, 16)])
def test_there_are_as_many_flips_as_in_the_authors_code(n_bits, flips):
    task = Task(n_classes=4, n_bits=n_bits, multi_label=False)
    assert LBHC.module(task, LBHCOptions()).n_flips == flips
    assert LBHC.module(task, LBHCOptions(flips=2)).n_flips == 2


def test_the_entropy_joins_with_its_weight():
    plain, *_ = gradients("random")
    weighed, *_ = gradients("random", entropy_weight=0.5)
    whole, *_ = gradients("random", entropy_weight=1.0)
    assert plain > weighed > whole  # minus an entropy is at most 0
    assert plain - whole == pytest.approx(2 * (plain - weighed), rel=1e-9)


def test_wrong_options_are_refused():
    for given, match in (
        ({"surrogate": "none"}, "surrogate must be one of joint, alternating, random, independent, not 'none'"),
        ({"centers": "shc"}, "centers must be one of csq, mds, not 'shc'"),
        ({"block_bits": 13}, "block_bits must be at most 12, not 13: b bits have"),
        ({"block_bits": 0}, "block_bits must be a whole number of at least 1, not 0"),
        ({"dropout": 1.0}, r"dropout must be a number of at least 0 and below 1, not 1\.0"),
        ({"flips": -1}, "flips must be a whole number of at least 0, not -1"),
        ({"hidden": 0}, "hidden must be a whole number of at least 1, not 0"),
    ):
        with pytest.raises(InputError, match=match):
            LBHC.with_options(given)
