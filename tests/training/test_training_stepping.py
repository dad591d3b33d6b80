"""One step by value: Adam in plain numbers beside ours, so that no part of a schedule can be left out unseen."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nearbit.methods import METHODS, Schedule
from nearbit.training import stepping, train
from nearbit.training.distributed.processes import Processes
from nearbit.training.stepping import Stepper
from tiny_data import tiny_dataset, tiny_split

PLAIN = {"epochs": 4, "batch_size": 5, "learning_rate": 0.1, "weight_decay": 0.0, "clip_norm": 1e9}
CHANGES = {
    "plain": {},
    "clipped": {"clip_norm": 0.05},
    "weight decay": {"weight_decay": 0.5},
    "betas": {"betas": (0.5, 0.9)},
    "slow backbone": {"backbone_factor": 0.01},
    "all": {"clip_norm": 0.05, "weight_decay": 0.5, "betas": (0.5, 0.9), "backbone_factor": 0.25},
}


class Net(nn.Module):
    """A backbone and a head with fixed weights."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(3)
        self.backbone, self.head = nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False)
        for layer in (self.backbone, self.head):
            layer.weight = nn.Parameter(torch.from_numpy(rng.normal(size=layer.weight.shape)).float())

    def forward(self, inputs):
        return self.head(self.backbone(inputs))


def batches(n):
    rng = np.random.default_rng(4)
    return [(rng.normal(size=(5, 4)), rng.normal(size=(5, 2)) * size) for size in np.geomspace(1, 20, n)]


def stepped(schedule, steps=3, epoch=1):
    """Return the weights after steps of one epoch, and the norms of the gradients that Adam was given."""
    module, norms = Net(), []
    stepper = Stepper(module, schedule, torch.device("cpu"), "float32", Processes())
    assert stepper.begin(epoch) == pytest.approx(rate_of(schedule, epoch))
    for inputs, wanted in batches(steps):
        goal = torch.from_numpy(wanted).float()
        stepper.step(torch.from_numpy(inputs).float(), lambda out, goal=goal: ((out - goal) ** 2).mean(), 1.0, epoch)
        norms.append(math.sqrt(sum(float((value.grad**2).sum()) for value in module.parameters())))
    return [module.backbone.weight.detach().numpy(), module.head.weight.detach().numpy()], norms


def rate_of(schedule, epoch):
    return schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / schedule.epochs))


def by_hand(schedule, steps=3, epoch=1):
    """The same weights in float64: the gradients of the squared error, clipped together, decayed, then Adam."""
    net = Net()
    weights = [net.backbone.weight.detach().numpy().astype(float), net.head.weight.detach().numpy().astype(float)]
    firsts, seconds = ([np.zeros_like(weight) for weight in weights] for _ in range(2))
    (first, second), rate = schedule.betas, rate_of(schedule, epoch)
    for t, (inputs, wanted) in enumerate(batches(steps), start=1):
        inner = inputs @ weights[0].T
        error = 2 * (inner @ weights[1].T - wanted) / wanted.size
        gradients = [(error @ weights[1]).T @ inputs, error.T @ inner]
        norm = math.sqrt(sum((gradient**2).sum() for gradient in gradients))
        for at, factor in enumerate((schedule.backbone_factor, 1.0)):
            gradient = gradients[at] * min(1, schedule.clip_norm / norm) + schedule.weight_decay * weights[at]
            firsts[at] = first * firsts[at] + (1 - first) * gradient
            seconds[at] = second * seconds[at] + (1 - second) * gradient**2
            mean, square = firsts[at] / (1 - first**t), seconds[at] / (1 - second**t)
            weights[at] = weights[at] - rate * factor * mean / (np.sqrt(square) + 1e-8)
    return weights


@pytest.mark.parametrize("change", CHANGES)
def test_steps_are_those_of_adam_by_plain_numbers(change):
    schedule = Schedule(**PLAIN | CHANGES[change])
    found, _ = stepped(schedule)
    for weights, expected in zip(found, by_hand(schedule), strict=True):
        np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("change", list(CHANGES)[1:])
def test_each_part_of_the_schedule_moves_the_weights_by_far_more_than_rounding(change):
    plain, changed = by_hand(Schedule(**PLAIN)), by_hand(Schedule(**PLAIN | CHANGES[change]))
    assert max(np.abs(one - other).max() for one, other in zip(plain, changed, strict=True)) > 0.01


def test_no_gradient_is_longer_than_the_schedule_allows():
    _, norms = stepped(Schedule(**PLAIN | {"clip_norm": 0.05}))
    assert norms == pytest.approx([0.05] * 3, rel=1e-3)
    assert min(stepped(Schedule(**PLAIN))[1]) > 0.5


def test_a_linear_head_learns_at_its_own_rate(run):
    method = METHODS["shc"]
    schedule = method.schedules["frozen"]
    assert schedule.linear_factor < 1
    for head, factor in (("linear", schedule.linear_factor), ("hidden", 1)):
        model = run("shc", "frozen", head=head, learning_rate=None, epochs=1, select="last")
        assert model.record["history"][0]["learning_rate"] == pytest.approx(schedule.learning_rate * factor)


def test_fine_tuning_moves_the_backbone_at_its_own_rate(frozen, monkeypatch):
    seen, make = [], stepping.make_optimizer

    def kept(module, schedule, loss_module):
        seen.append((make(module, schedule, loss_module), schedule))
        return seen[-1][0]

    monkeypatch.setattr(stepping, "make_optimizer", kept)
    dataset = tiny_dataset()
    options = replace(frozen, regime="fine-tuned", learning_rate=None, epochs=1, select="last")
    train(dataset, tiny_split(dataset), method="csq", n_bits=12, options=options)
    optimizer, schedule = seen[-1]
    own = METHODS["csq"].schedules["fine-tuned"]
    assert (schedule.backbone_factor, schedule.learning_rate) == (own.backbone_factor, own.learning_rate)
    head, backbone = optimizer.param_groups
    assert head["lr"] == pytest.approx(own.learning_rate)
    assert backbone["lr"] == pytest.approx(own.learning_rate * own.backbone_factor)
    assert backbone["lr"] < head["lr"]
    assert len(backbone["params"]) > len(head["params"])
    assert optimizer.defaults["betas"] == own.betas
    assert optimizer.defaults["weight_decay"] == own.weight_decay
