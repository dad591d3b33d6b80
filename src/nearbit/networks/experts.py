"""The head "experts": linear hash experts that two branches share, each with a gate of its own."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nearbit.errors import InputError
from nearbit.networks.head_kinds import HeadSizes, head_kind

MOST_EXPERTS = 64
"""The most experts of a head."""


class Experts(nn.Module):
    """Features to the outputs of two branches, each a mixture of the same linear experts; or of one expert each.

    Expert e gives f_e(v) = W_e v + a_e. A branch's gate is the softmax over its `active` largest logits G v, 0 for the
    other experts, and its outputs are Σ_e gate_e f_e(v). With 0 experts nothing is shared: each branch is a linear
    layer. Where it is `normalized` there is batch normalisation behind each branch, and the experts have no shift.

    In evaluation mode it gives the first branch, in training mode both: `(n, 2 · n_bits)`, the first branch first. The
    parameters are single tensors, whatever the number of experts.
    """

    def __init__(self, width: int, n_bits: int, n_experts: int, active: int, *, normalized: bool) -> None:
        super().__init__()
        self.active = active
        self.weight = nn.Parameter(torch.empty(n_experts or 2, n_bits, width))
        self.bias = None if normalized else nn.Parameter(torch.zeros(n_experts or 2, n_bits))
        self.gates = nn.Parameter(torch.empty(2, n_experts, width)) if n_experts else None
        self.norms = nn.ModuleList(nn.BatchNorm1d(n_bits) for _ in range(2)) if normalized else None
        for value in (self.weight, self.gates):
            if value is not None:
                nn.init.normal_(value, std=0.01)

    def gate(self, features: Tensor, branch: int) -> Tensor:
        """Return how much of each expert a branch takes: `(n, n_experts)`, rows that add up to 1."""
        if self.gates is None:
            own = torch.arange(2, device=features.device) == branch
            return own.to(features.dtype).expand(len(features), 2)
        logits = features @ self.gates[branch].T
        largest, places = logits.topk(self.active, dim=1)
        shares = largest.softmax(dim=1)  # in float32 where autocast has the logits shorter
        return shares.new_zeros(logits.shape).scatter(1, places, shares)

    def branch(self, features: Tensor, number: int) -> Tensor:
        """Return the outputs `(n, n_bits)` of a branch, 0 or 1."""
        weighed = self.gate(features, number)
        flat = features @ self.weight.flatten(0, 1).T
        given = flat.reshape(len(features), *self.weight.shape[:2])
        if self.bias is not None:
            given = given + self.bias
        outputs: Tensor = (weighed[:, :, None] * given).sum(dim=1)
        if self.norms is not None:
            outputs = self.norms[number](outputs)
        return outputs

    def forward(self, features: Tensor) -> Tensor:
        """Map features `(n, width)` to the outputs of both branches in training mode, else of the first."""
        first = self.branch(features, 0)
        return torch.cat([first, self.branch(features, 1)], dim=1) if self.training else first


@head_kind("experts")
def _experts_head(sizes: HeadSizes) -> nn.Sequential:
    n_experts, active, trunk = _checked(sizes.own)
    width = sizes.hidden if trunk else sizes.feature_dim
    layers: list[nn.Module] = []
    if trunk:
        layers = [
            nn.Linear(sizes.feature_dim, sizes.hidden, bias=False),
            nn.BatchNorm1d(sizes.hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(sizes.dropout),
        ]
    return nn.Sequential(*layers, Experts(width, sizes.n_bits, n_experts, active, normalized=sizes.normalized))


def _checked(own: Mapping[str, Any]) -> tuple[int, int, bool]:
    """Return experts, active ones and whether there is a hidden layer; raise `InputError` where a folder says else."""
    if set(own) != {"experts", "active", "trunk"}:
        raise InputError(f"a head of the kind 'experts' is made with experts, active and trunk, not {sorted(own)[:5]}")
    n_experts, active, trunk = own["experts"], own["active"], own["trunk"]
    if type(n_experts) is not int or not 0 <= n_experts <= MOST_EXPERTS:
        raise InputError(f"experts must be a whole number from 0 to {MOST_EXPERTS}, not {str(n_experts)[:20]}")
    if type(active) is not int or not 1 <= active <= max(n_experts, 1):
        raise InputError(f"active must be a whole number from 1 to the {n_experts} experts, not {str(active)[:20]}")
    if type(trunk) is not bool:
        raise InputError(f"trunk must be true or false, not {str(trunk)[:20]}")
    return n_experts, active, trunk
