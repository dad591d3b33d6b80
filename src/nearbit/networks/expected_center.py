"""The expected center: what classifiers say of an image, as the mean of the centers of the classes that it may be."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nearbit.errors import InputError

if TYPE_CHECKING:
    from nearbit.networks.heads import Head

MOST_MEMBERS = 64


class ExpectedCenter(nn.Module):
    """A committee of classifiers, the centers of their classes, and how their answer joins the outputs of a head.

    With z the mean logits of the committee, P = softmax(z / T) the posteriors at a temperature and H the centers, the
    expected center is V = P H. (Trained on targets y / |y|₁, P is for several labels the expected share of each, and V
    the expected mean of their centers, whose signs are the majority.) A head with it has the outputs
    a · tanh(u) + w · V, u its own outputs: where the classifiers are sure this is nearly a center, and where they
    waver between two classes the bits on which the two agree outweigh the others.

    Attributes:
        committee: heads with one output a class.
        centers: float `(n_classes, n_bits)`, -1 or +1.
        temperature: T.
        weights: a and w.
    """

    centers: Tensor
    temperature: Tensor
    weights: Tensor

    def __init__(self, committee: "list[Head]", n_bits: int) -> None:
        super().__init__()
        if not 1 <= len(committee) <= MOST_MEMBERS:
            raise InputError(f"an expected center has 1 to {MOST_MEMBERS} classifiers, not {len(committee)}")
        self.committee = nn.ModuleList(committee)
        n_classes = committee[0].n_outputs
        self.spec: dict[str, Any] = {"members": [head.spec for head in committee], "n_classes": n_classes}
        self.register_buffer("centers", torch.ones(n_classes, n_bits))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("weights", torch.ones(2))
        for value in self.committee.parameters():
            value.requires_grad_(False)

    def logits(self, features: Tensor) -> Tensor:
        """Return the committee's mean logits of features `(n, feature_dim)`: `(n, n_classes)`."""
        return torch.stack([head(features) for head in self.committee]).mean(dim=0)

    def of_logits(self, logits: Tensor) -> Tensor:
        """Return the expected centers of logits `(n, n_classes)`: float `(n, n_bits)`, each in [-1, 1]."""
        return torch.softmax(logits / self.temperature, dim=1) @ self.centers

    def joined(self, outputs: Tensor, logits: Tensor) -> Tensor:
        """Return the outputs of a head and the expected center as one: float `(n, n_bits)`."""
        return self.weights[0] * torch.tanh(outputs) + self.weights[1] * self.of_logits(logits)

    def forward(self, outputs: Tensor, features: Tensor) -> Tensor:
        """Return `joined` for the outputs `(n, n_bits)` of a head and the features that it was given."""
        return self.joined(outputs, self.logits(features))

    def set_centers(self, centers: Tensor) -> None:
        """Take other centers `(n_classes, n_bits)` of -1 and +1."""
        self.centers.copy_(centers)

    def set_mixture(self, temperature: float, weights: tuple[float, float]) -> None:
        """Take another temperature, and other weights of tanh(u) and of the expected center."""
        if not (math.isfinite(temperature) and temperature > 0):
            raise InputError(f"the temperature must be above 0, not {temperature}")
        self.temperature.fill_(temperature)
        self.weights.copy_(torch.tensor(weights))
