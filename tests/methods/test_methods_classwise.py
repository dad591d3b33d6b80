"""GreedyHash, DCWH, IDCWH and LTHNet: losses by plain loops, what is moved by what, weights of rare classes."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nearbit.errors import InputError
from nearbit.methods import CRH, CSQ, DCWH, GREEDYHASH, IDCWH, LTHNET, Targets, Task
from nearbit.methods.class_balance import prepare_balance

TASK = Task(n_classes=4, n_bits=6, multi_label=True)
RNG = np.random.default_rng(3)
OUTPUTS = RNG.normal(0, 1.5, (5, 6))
LABELS = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 0], [0, 0, 0, 1]], float)


def none_but(**given):
    """Return targets without centers, with what is given."""
    empty = torch.ones(0, 6, dtype=torch.float64)
    return Targets(empty, torch.ones(6, dtype=torch.float64))._replace(**given)


def module_of(method, options=None):
    torch.manual_seed(0)
    return method.module(TASK, options or method.options).double()


def softmax_loss(logits, labels, weights=(1, 1, 1, 1)):
    total = 0.0
    for row, own in zip(logits, labels, strict=True):
        norm = math.log(sum(math.exp(value) for value in row))
        total -= sum(w * y / sum(own) * (x - norm) for x, y, w in zip(row, own, weights, strict=True))
    return total / len(logits)


def test_greedyhash_classifies_the_signs_and_pays_for_outputs_off_them():
    module = module_of(GREEDYHASH)
    weight = module.linear.weight.detach().numpy()
    assert weight.shape == (4, 6)
    assert module.linear.bias is None
    signs = np.where(OUTPUTS >= 0, 1, -1)
    penalty = sum(abs(abs(u) - 1) ** 3 for u in OUTPUTS.flat) / OUTPUTS.size
    expected = softmax_loss(signs @ weight.T, LABELS) + 0.1 * penalty
    outputs = torch.tensor(OUTPUTS, requires_grad=True)
    found = GREEDYHASH.loss(outputs, torch.tensor(LABELS), none_but(module=module), TASK, GREEDYHASH.options)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_the_gradient_of_greedyhash_is_that_of_its_classifier_at_the_signs():
    module = module_of(GREEDYHASH)
    options = GREEDYHASH.with_options({"penalty_weight": 0})
    outputs = torch.tensor(OUTPUTS, requires_grad=True)
    GREEDYHASH.loss(outputs, torch.tensor(LABELS), none_but(module=module), TASK, options).backward()
    logits = np.where(OUTPUTS >= 0, 1.0, -1.0) @ module.linear.weight.detach().numpy().T
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    at_signs = (chance - LABELS / LABELS.sum(axis=1, keepdims=True)) @ module.linear.weight.detach().numpy() / 5
    assert outputs.grad.numpy() == pytest.approx(at_signs, rel=1e-10)


def test_dcwh_is_a_softmax_over_distances_with_its_two_constraints():
    state = DCWH.make_centers(TASK, DCWH.options, np.random.default_rng(0))
    means = state.class_means.astype(float)
    sigma = DCWH.options.sigma
    logits = [[-sigma / 2 * ((u - m) ** 2).sum() for m in means] for u in OUTPUTS]
    outside = sum(max(abs(u) - 1.1, 0) for u in OUTPUTS.flat) / 5
    vertex = sum((u - (1 if u >= 0 else -1)) ** 2 for u in OUTPUTS.flat) / 5
    targets = none_but(class_means=torch.tensor(means))
    found = DCWH.loss(torch.tensor(OUTPUTS), torch.tensor(LABELS), targets, TASK, DCWH.options).item()
    assert found == pytest.approx(softmax_loss(logits, LABELS) + 10 * outside + 0.01 * vertex, rel=1e-12)


def test_the_means_of_dcwh_are_taken_every_so_many_epochs_and_their_signs_are_the_centers():
    state = DCWH.make_centers(TASK, DCWH.options, np.random.default_rng(0))
    means, rng = RNG.normal(size=(4, 6)), np.random.default_rng(1)
    assert DCWH.means_of == "outputs"
    assert DCWH.reassign(state, means, 0, DCWH.options, rng) is state
    new = DCWH.reassign(state, means, 1, DCWH.options, rng)
    assert np.array_equal(new.class_means, means.astype(np.float32))
    assert np.array_equal(new.centers, np.where(means >= 0, 1, -1))
    assert np.array_equal(new.tie_break, state.tie_break)
    often = DCWH.with_options({"update_every": 1})
    assert DCWH.reassign(state, means, 0, often, rng) is not state


def two_steps(outputs, labels, centers, options):
    """Return the loss of IDCWH as its two steps: the network's with fixed centers, then the centers' own."""

    def class_wise_loss(u, m):
        logits = -options.sigma / 2 * ((u[:, None] - m) ** 2).sum(dim=2)
        return -(labels / labels.sum(dim=1, keepdim=True) * logits.log_softmax(dim=1)).sum(dim=1).mean()

    units = centers / centers.norm(dim=1, keepdim=True)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    push = sum(torch.nn.functional.softplus(3 * units[i] @ units[j]) for i, j in pairs) / len(pairs)
    vertex = ((outputs - outputs.detach().sign()) ** 2).sum(dim=1).mean()
    network = class_wise_loss(outputs, centers.detach()) + options.vertex_weight * vertex
    return network + class_wise_loss(outputs.detach(), centers) + options.push_weight * push


@pytest.mark.parametrize("given", [{}, {"sigma": 1.0, "push_weight": 2.0, "vertex_weight": 5.0}], ids=str)
def test_the_gradients_of_idcwh_are_those_of_its_two_steps(given):
    options, labels = IDCWH.with_options(given), torch.tensor(LABELS)
    module = module_of(IDCWH, options)
    ours, theirs = (torch.tensor(OUTPUTS, requires_grad=True) for _ in range(2))
    centers = module.centers.detach().clone().requires_grad_()
    IDCWH.loss(ours, labels, none_but(module=module), TASK, options).backward()
    two_steps(theirs, labels, centers, options).backward()
    assert ours.grad.numpy() == pytest.approx(theirs.grad.numpy(), rel=1e-10)
    assert module.centers.grad.numpy() == pytest.approx(centers.grad.numpy(), rel=1e-10)


def test_the_centers_of_idcwh_feel_nothing_of_the_vertices_and_the_outputs_nothing_of_the_push():
    def gradients(**given):
        options = IDCWH.with_options(given)
        module, outputs = module_of(IDCWH, options), torch.tensor(OUTPUTS, requires_grad=True)
        IDCWH.loss(outputs, torch.tensor(LABELS), none_but(module=module), TASK, options).backward()
        return outputs.grad, module.centers.grad

    plain, vertex, push = gradients(), gradients(vertex_weight=50.0), gradients(push_weight=50.0)
    assert torch.equal(plain[1], vertex[1])
    assert not torch.allclose(plain[0], vertex[0])
    assert torch.equal(plain[0], push[0])
    assert not torch.allclose(plain[1], push[1])


def test_the_words_of_idcwh_are_the_signs_of_its_centers():
    module = module_of(IDCWH)
    state = IDCWH.make_centers(TASK, IDCWH.options, np.random.default_rng(0))
    learnt = IDCWH.centers_of(module, state)
    assert np.array_equal(learnt.centers, np.where(module.centers.detach().numpy() >= 0, 1, -1))
    assert learnt.centers.dtype == np.int8
    assert np.array_equal(learnt.tie_break, state.tie_break)
    assert module.rate_factor == 10
    assert module_of(IDCWH, IDCWH.with_options({"center_rate": 2.0})).rate_factor == 2


def test_lthnet_classifies_tanh_outputs():
    module = module_of(LTHNET)
    weight, bias = (value.detach().numpy() for value in (module.linear.weight, module.linear.bias))
    expected = softmax_loss(np.tanh(OUTPUTS) @ weight.T + bias, LABELS)
    found = LTHNET.loss(torch.tensor(OUTPUTS), torch.tensor(LABELS), none_but(module=module), TASK, LTHNET.options)
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("method", [GREEDYHASH, LTHNET, CSQ, CRH], ids=lambda method: method.name)
def test_rare_classes_weigh_more_where_that_is_asked_for(method):
    images = SimpleNamespace(labels=np.repeat(np.eye(4, dtype=bool), [100, 10, 3, 1], axis=0))
    assert method.prepare(images, TASK, method.options, None) == {}
    options = method.with_options({"class_balance": 0.9})
    weights = method.prepare(images, TASK, options, None)["class_weights"]
    plain = [0.1 / (1 - 0.9**n) for n in (100, 10, 3, 1)]
    assert weights == pytest.approx([w / max(plain) for w in plain], rel=1e-6)
    targets = _targets_of(method)
    task, labels = replace(TASK, multi_label=False), torch.eye(4, dtype=torch.float64)
    zero = {"quantization_weight": 0} if method in (CSQ, CRH) else {}
    zero |= {"penalty_weight": 0} if method is GREEDYHASH else {}
    off = replace(options, **zero)
    prepared = targets._replace(prepared={"class_weights": torch.tensor(weights).double()})
    for number in range(4):
        given = (torch.tensor(OUTPUTS[:1]), labels[number : number + 1])
        whole, part = (method.loss(*given, one, task, off).item() for one in (targets, prepared))
        assert part == pytest.approx(whole * float(weights[number]), rel=1e-9)


def _targets_of(method):
    if method.module is not None:
        return none_but(module=module_of(method))
    state = method.make_centers(replace(TASK, multi_label=False), method.options, np.random.default_rng(0))
    return none_but(centers=torch.tensor(state.centers).double())


@pytest.mark.parametrize("bad", [1, 1.5])
def test_a_balance_of_one_or_more_is_refused(bad):
    for method in (GREEDYHASH, LTHNET, CSQ, CRH):
        with pytest.raises(InputError, match=r"class_balance must be a number of at least 0 and below 1, not"):
            method.with_options({"class_balance": bad})


def test_a_sigma_of_zero_and_a_crowd_of_prototypes_are_refused():
    for method in (DCWH, IDCWH):
        with pytest.raises(InputError, match="sigma must be a number above 0, not 0: a sigma of 0"):
            method.with_options({"sigma": 0})
    with pytest.raises(InputError, match="prototypes must be at most 64 a class, not 65"):
        LTHNET.with_options({"prototypes": 65})


def test_no_weights_are_prepared_of_nothing():
    images = SimpleNamespace(labels=np.eye(3, dtype=bool))
    assert prepare_balance(images, TASK, SimpleNamespace(class_balance=0), None) == {}
