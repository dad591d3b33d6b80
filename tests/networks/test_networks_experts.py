"""The head of experts: gates, mixtures by plain loops, permutations, both branches, bounds, and the model's folder."""

import math

import pytest
import torch

from nearbit.errors import InputError
from nearbit.networks import Head
from nearbit.networks.experts import Experts

OWN = {"experts": 4, "active": 2, "trunk": False}


def made(n_experts=4, active=2, *, normalized=False, n_bits=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        experts = Experts(5, n_bits, n_experts, active, normalized=normalized).double()
        for value in experts.parameters():
            value.data.normal_()
    return experts


def features(n=6):
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(("n_experts", "active"), [(4, 2), (4, 1), (4, 4), (1, 1), (7, 3)])
@pytest.mark.parametrize("branch", [0, 1])
def test_gates_add_up_to_one_and_as_many_as_are_active_are_above_zero(n_experts, active, branch):
    gates = made(n_experts, active).gate(features(), branch)
    assert gates.shape == (6, n_experts)
    assert torch.allclose(gates.sum(dim=1), torch.ones(6, dtype=torch.float64), rtol=1e-12)
    assert ((gates > 0).sum(dim=1) == active).all()


def test_gates_of_short_numbers_are_what_softmax_makes_of_them(monkeypatch):
    plain = torch.Tensor.softmax
    monkeypatch.setattr(torch.Tensor, "softmax", lambda self, dim: plain(self.float(), dim))  # as a GPU's autocast does
    gates = made().bfloat16().gate(features().bfloat16(), 0)
    assert gates.dtype == torch.float32
    assert torch.allclose(gates.sum(dim=1), torch.ones(6), rtol=1e-6)


def test_equal_gates_leave_as_many_active_as_asked_for():
    experts = made()
    experts.gates.data.zero_()
    assert ((experts.gate(features(), 0) > 0).sum(dim=1) == 2).all()


def test_a_branch_by_plain_loops():
    experts = made()
    for branch in (0, 1):
        expected = []
        for row in features().tolist():
            logits = [sum(a * b for a, b in zip(g, row, strict=True)) for g in experts.gates[branch].tolist()]
            chosen = sorted(range(4), key=lambda one: -logits[one])[:2]
            whole = sum(math.exp(logits[one]) for one in chosen)
            outputs = [0.0, 0.0, 0.0]
            for one in chosen:
                for bit in range(3):
                    value = sum(a * b for a, b in zip(experts.weight[one, bit].tolist(), row, strict=True))
                    outputs[bit] += math.exp(logits[one]) / whole * (value + experts.bias[one, bit].item())
            expected.append(outputs)
        found = experts.branch(features(), branch)
        assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-10)


@pytest.mark.parametrize("normalized", [False, True])
def test_training_gives_both_branches_and_evaluation_the_first(normalized):
    experts = made(normalized=normalized)
    both = experts(features())
    assert both.shape == (6, 6)
    first, second = (experts.branch(features(), branch) for branch in (0, 1))
    assert torch.equal(both, torch.cat([first, second], dim=1))
    experts.eval()
    assert torch.equal(experts(features()), experts.branch(features(), 0))
    assert experts(features()).shape == (6, 3)


def test_one_expert_is_one_linear_layer_for_both_branches():
    experts = made(1, 1)
    expected = features() @ experts.weight[0].T + experts.bias[0]
    both = experts(features())
    assert torch.allclose(both[:, :3], expected, rtol=1e-12)
    assert torch.allclose(both[:, 3:], expected, rtol=1e-12)


def test_without_experts_each_branch_is_a_linear_layer_of_its_own():
    experts = made(0, 1)
    both = experts(features())
    for branch in (0, 1):
        expected = features() @ experts.weight[branch].T + experts.bias[branch]
        assert torch.allclose(both[:, 3 * branch : 3 * branch + 3], expected, rtol=1e-12)


def test_experts_in_another_order_give_the_same():
    experts, other = made(), made()
    order = torch.tensor([2, 0, 3, 1])
    for name in ("weight", "bias"):
        getattr(other, name).data.copy_(getattr(experts, name)[order])
    other.gates.data.copy_(experts.gates[:, order])
    assert torch.allclose(experts(features()), other(features()), rtol=1e-10)


def test_the_gradient_of_either_branch_reaches_the_features():
    for branch in (0, 1):
        given = features().requires_grad_()
        made()(given)[:, 3 * branch : 3 * branch + 3].square().sum().backward()
        assert (given.grad.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("trunk", [False, True])
def test_a_head_of_experts_is_shortened_to_its_first_bits(trunk, normalized):
    head = Head(5, 12, "experts", hidden=6, normalized=normalized, own=OWN | {"trunk": trunk})
    with torch.no_grad():
        head(features(8).float())  # moves what batch normalisation remembers
    head.eval()
    short = head.shortened(7)
    assert torch.allclose(short(features().float()), head(features().float())[:, :7], atol=1e-6)


def test_the_number_of_tensors_does_not_depend_on_that_of_experts():
    tensors = {len(Head(5, 12, "experts", own=OWN | {"experts": many}).state_dict()) for many in (2, 8, 64)}
    assert len(tensors) == 1


@pytest.mark.parametrize(
    ("own", "match"),
    [
        ({"experts": 65}, "experts must be a whole number from 0 to 64, not 65"),
        ({"experts": 10**30}, "experts must be a whole number from 0 to 64, not 1000"),
        ({"experts": -1}, "experts must be a whole number from 0 to 64, not -1"),
        ({"experts": 4.0}, r"experts must be a whole number from 0 to 64, not 4\.0"),
        ({"experts": True}, "experts must be a whole number from 0 to 64, not True"),
        ({"experts": "9" * 99}, "experts must be a whole number from 0 to 64, not 99999999999999999999$"),
        ({"active": 5}, "active must be a whole number from 1 to the 4 experts, not 5"),
        ({"active": 0}, "active must be a whole number from 1 to the 4 experts, not 0"),
        ({"trunk": 1}, "trunk must be true or false, not 1"),
        ({"more": 1}, "is made with experts, active and trunk, not "),
    ],
)
def test_a_folder_that_asks_for_another_head_is_refused(own, match):
    with pytest.raises(InputError, match=match):
        Head(5, 12, "experts", own=OWN | own)
