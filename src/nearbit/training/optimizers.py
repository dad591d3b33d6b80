"""The optimizers: Adam, SGD with momentum and RMSprop, at two speeds for head and backbone."""

from typing import Any

import torch
from torch import nn

from nearbit.methods import LossModule, Schedule

MOMENTUM = 0.9
"""Of SGD, as Nesterov has it."""


def make_optimizer(
    module: nn.Module, schedule: Schedule, loss_module: LossModule | None = None
) -> torch.optim.Optimizer:
    """Return the optimizer of a schedule over the weights of a module, and of its loss where that has some.

    Its groups have a "factor" each, by which their learning rate differs from that of the schedule.
    """
    rate = schedule.learning_rate
    named = list(module.named_parameters())
    head = [value for name, value in named if not name.startswith("backbone.")]
    backbone = [value for name, value in named if name.startswith("backbone.")]
    groups: list[dict[str, Any]] = [{"params": head, "lr": rate, "factor": 1.0}]
    if backbone:
        factor = schedule.backbone_factor
        groups.append({"params": backbone, "lr": rate * factor, "factor": factor})
    if loss_module is not None:
        factor = loss_module.rate_factor
        groups.append({"params": [*loss_module.parameters()], "lr": rate * factor, "factor": factor})
    decay = schedule.weight_decay
    if schedule.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=MOMENTUM, nesterov=True, weight_decay=decay)
    if schedule.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, weight_decay=decay)
    return torch.optim.Adam(groups, lr=rate, betas=schedule.betas, weight_decay=decay, fused=True)
