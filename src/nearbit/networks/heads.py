"""Heads, from features to one real-valued output a bit, and the hash network: a backbone with a head."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import InputError
from nearbit.given import check_number
from nearbit.networks.backbones import Backbone
from nearbit.networks.head_kinds import HEADS, HeadKind, HeadSizes, make_layers

MOST_MEMBERS = 64
"""The most classifiers beside a head."""
HEAD_BATCH = 8192
"""Rows that go through a head at once."""


class Head(nn.Module):
    """Standardised features, then one linear layer, or two with a hidden layer in between.

    The papers use one linear layer on a backbone that is trained with it. On frozen features a linear map cannot reach
    centers that were drawn at random, and a hidden layer can. With `normalized` the last layer has no bias and batch
    normalisation behind it. With `unit_length`, standardised features are scaled to length 1, whose inner products are
    cosines. The head "label" has one hidden unit a class, and its outputs are the word of the class
    whose unit is largest. Other kinds are those of methods that need them, made with `own` besides; see
    `nearbit.networks.head_kinds`. With an `ExpectedCenter`, what its classifiers say joins the outputs, except in
    training mode: a loss moves the head's own outputs. `spec` holds what it was made with.
    """

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(
        self,
        feature_dim: int,
        n_bits: int,
        kind: HeadKind,
        *,
        hidden: int = 1024,
        dropout: float = 0.5,
        normalized: bool = False,
        unit_length: bool = False,
        expected_center: dict[str, Any] | None = None,
        own: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.n_outputs = n_bits
        self.spec: dict[str, Any] = {"kind": kind, "hidden": hidden, "dropout": dropout, "normalized": normalized}
        if unit_length:
            self.spec["unit_length"] = True
        self.expected_center: ExpectedCenter | None = None
        self.register_buffer("feature_mean", torch.zeros(feature_dim))
        self.register_buffer("feature_std", torch.ones(feature_dim))
        if own:
            self.spec["own"] = dict(own)
        sizes = HeadSizes(
            feature_dim=feature_dim, n_bits=n_bits, hidden=hidden, dropout=dropout, normalized=normalized, own=own or {}
        )
        self.layers = make_layers(kind, sizes)
        if expected_center is not None:
            self.expect(_described(feature_dim, n_bits, **expected_center))

    def expect(self, expected_center: "ExpectedCenter") -> None:
        """Let what classifiers say of an image join the outputs."""
        self.expected_center = expected_center
        self.spec["expected_center"] = expected_center.spec

    def standardize(self, features: Tensor) -> None:
        """Take the mean and the standard deviation of training features `(n, feature_dim)` for what follows."""
        deviation = features.std(dim=0, correction=0)
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_std.copy_(torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)))

    def forward(self, features: Tensor) -> Tensor:
        """Map features float `(n, feature_dim)` to outputs `(n, n_bits)`, before tanh."""
        outputs = self.own_outputs(features)
        if self.expected_center is None or self.training:
            return outputs
        joined: Tensor = self.expected_center(outputs, features)
        return joined

    def own_outputs(self, features: Tensor) -> Tensor:
        """Return the outputs `(n, n_bits)` without what classifiers say."""
        outputs: Tensor = self.layers(self.standardized(features))
        return outputs

    def standardized(self, features: Tensor) -> Tensor:
        """Return what the first layer is given for features `(n, feature_dim)`: of the same shape."""
        standardized = (features - self.feature_mean).div_(self.feature_std)  # in place: half of the memory's work
        return normalize(standardized, dim=1) if self.spec.get("unit_length") else standardized

    def inner(self, features: Tensor) -> Tensor:
        """Return what the last linear layer is given for features `(n, feature_dim)`: `(n, width)`.

        Raises:
            InputError: the outputs are no linear function of anything (the head "label").
        """
        self.check_linear()
        values: Tensor = self.layers[: -2 if self.spec["normalized"] else -1](self.standardized(features))
        return values

    def shifted(self, weight: Tensor, bias: Tensor) -> "Head":
        """Return a copy whose outputs, when not in training, are larger by `inner @ weight.T + bias`.

        Args:
            weight: `(n_bits, width)`.
            bias: `(n_bits,)`.
        """
        self.check_linear()
        head = copy.deepcopy(self).eval()
        state = head.state_dict()
        last = f"layers.{len(head.layers) - 1}"
        if self.spec["normalized"]:
            linear, scale = f"layers.{len(head.layers) - 2}", state[f"{last}.weight"] / _deviation(head.layers[-1])
            weight = weight / scale[:, None]
        else:
            linear = last
        state[f"{linear}.weight"] += weight.to(state[f"{linear}.weight"])
        state[f"{last}.bias"] += bias.to(state[f"{last}.bias"])
        return head

    def shortened(self, n_bits: int) -> "Head":
        """Return a head of the first outputs alone, of any kind; classifiers beside it stay whole.

        Its outputs are those of this head but for the rounding of a sum in another order.

        Args:
            n_bits: how many, at least 1 and below `n_outputs`.

        Raises:
            InputError: another number.
        """
        if not isinstance(n_bits, int) or not 1 <= n_bits < self.n_outputs:
            raise InputError(f"{n_bits!r} bits are not the first of {self.n_outputs}: take 1 to {self.n_outputs - 1}")
        head = Head(len(self.feature_mean), n_bits, **copy.deepcopy(self.spec)).to(self.feature_mean.device)
        wanted = head.state_dict()
        head.load_state_dict(
            {name: value[tuple(map(slice, wanted[name].shape))].clone() for name, value in self.state_dict().items()}
        )
        return head.train(self.training)

    def check_linear(self) -> None:
        """Raise `InputError` for a head whose outputs follow no last linear layer."""
        if self.spec["kind"] not in HEADS:
            raise InputError(
                f"a head of the kind {self.spec['kind']!r} has no last linear layer: take a method that has one"
            )
        if self.expected_center is not None:
            raise InputError(
                "the outputs of this head are joined with what classifiers say, which know the trained classes alone: "
                "take a model of another method (crh, shc)"
            )


class ExpectedCenter(nn.Module):
    """A committee of classifiers, the centers of their classes, and how their answer joins the outputs of a head.

    With z the mean logits of the committee, P = softmax(z / T) the posteriors at a temperature and H the centers, the
    expected center is V = P H; H may also be the mean words of the images of each class. (Trained on targets y / |y|₁,
    P is for several labels the expected share of each.) A head with it has the outputs a · tanh(u) + w · V, u its own
    outputs: where the classifiers are sure this is nearly a center, and where they waver between two classes the bits
    on which the two agree outweigh the others.

    What neither knows, such as a class that they were not trained on, is ordered by the features alone: with a
    `projection`, r · R is added, a linear map of unit-length features turned so that its signs agree with the codes.

    Attributes:
        committee: heads with one output a class.
        projection: a linear head with n_bits outputs, or None.
        centers: float `(n_classes, n_bits)`, each in [-1, 1].
        temperature: T.
        weights: a, w and r.
    """

    centers: Tensor
    temperature: Tensor
    weights: Tensor

    def __init__(self, committee: list[Head], n_bits: int, projection: Head | None = None) -> None:
        super().__init__()
        if not 1 <= len(committee) <= MOST_MEMBERS:
            raise InputError(f"an expected center has 1 to {MOST_MEMBERS} classifiers, not {len(committee)}")
        self.committee = nn.ModuleList(committee)
        self.projection: Head | None = None
        n_classes = committee[0].n_outputs
        self.spec: dict[str, Any] = {"members": [head.spec for head in committee], "n_classes": n_classes}
        self.register_buffer("centers", torch.ones(n_classes, n_bits))
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("weights", torch.tensor([1.0, 1.0, 0.0]))
        if projection is not None:
            self.project(projection)
        for value in self.committee.parameters():
            value.requires_grad_(False)

    def project(self, projection: Head) -> None:
        """Let a linear map of the features join the outputs, with the weight r, which is 0 until it is set."""
        if projection.n_outputs != self.centers.shape[1]:
            raise InputError(f"a projection must have {self.centers.shape[1]} outputs, not {projection.n_outputs}")
        self.projection = projection.requires_grad_(False)
        self.spec["projection"] = projection.spec

    def logits(self, features: Tensor) -> Tensor:
        """Return the committee's mean logits of features `(n, feature_dim)`: `(n, n_classes)`."""
        return torch.stack([head(features) for head in self.committee]).mean(dim=0)

    def projected(self, features: Tensor) -> Tensor | None:
        """Return the projection of features `(n, feature_dim)`: `(n, n_bits)`; None without one."""
        if self.projection is None:
            return None
        outputs: Tensor = self.projection(features)
        return outputs

    def of_logits(self, logits: Tensor) -> Tensor:
        """Return the expected centers of logits `(n, n_classes)`: float `(n, n_bits)`, each in [-1, 1]."""
        return torch.softmax(logits / self.temperature, dim=1) @ self.centers

    def joined(self, outputs: Tensor, logits: Tensor, projected: Tensor | None = None) -> Tensor:
        """Return the outputs of a head, the expected center and the projection as one: float `(n, n_bits)`."""
        both = self.weights[0] * torch.tanh(outputs) + self.weights[1] * self.of_logits(logits)
        return both if projected is None else both + self.weights[2] * projected

    def forward(self, outputs: Tensor, features: Tensor) -> Tensor:
        """Return `joined` for the outputs `(n, n_bits)` of a head and the features that it was given."""
        return self.joined(outputs, self.logits(features), self.projected(features))

    def set_centers(self, centers: Tensor) -> None:
        """Take other centers `(n_classes, n_bits)`, each in [-1, 1]."""
        self.centers.copy_(centers)

    def set_mixture(self, temperature: float, weights: tuple[float, ...]) -> None:
        """Take another temperature, and other weights: of tanh(u), of the expected center and, else 0, of R."""
        check_number("the temperature", temperature, is_positive=True)
        if len(weights) not in (2, 3):
            raise InputError(f"a mixture has two or three weights, not {len(weights)}")
        self.temperature.fill_(temperature)
        self.weights.copy_(torch.tensor([*weights, 0.0][:3]))


class HashNetwork(nn.Module):
    """Pixels to outputs: uint8 `(n, 3, size, size)` to float `(n, n_bits)`, before tanh."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, pixels: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.backbone(pixels))
        return outputs


def _described(
    feature_dim: int, n_bits: int, *, members: Any, n_classes: int, projection: Any = None
) -> ExpectedCenter:
    """Return the expected center that a description names, with random weights."""
    if not isinstance(members, list) or len(members) > MOST_MEMBERS or not all(type(spec) is dict for spec in members):
        raise InputError(f"the members of an expected center must be at most {MOST_MEMBERS} descriptions of heads")
    if projection is not None and type(projection) is not dict:
        raise InputError("the projection of an expected center must be the description of a head")
    if any("expected_center" in spec for spec in [*members, projection or {}]):
        raise InputError("a classifier of an expected center has none of its own")
    committee = [Head(feature_dim, n_classes, **spec) for spec in members]
    return ExpectedCenter(committee, n_bits, None if projection is None else Head(feature_dim, n_bits, **projection))


def _deviation(norm: nn.Module) -> Tensor:
    assert isinstance(norm, nn.BatchNorm1d)  # noqa: S101 - `_last` puts it there
    assert norm.running_var is not None  # noqa: S101
    return torch.sqrt(norm.running_var + norm.eps)


def apply_head(head: Head, features: FloatRows, n_bits: int) -> FloatRows:
    """Return the outputs float32 `(n, n_bits)` of a head for features `(n, feature_dim)`, block by block."""
    device = next(head.parameters()).device
    head.eval()
    outputs = np.empty((len(features), n_bits), np.float32)
    with torch.no_grad():
        for start in range(0, len(features), HEAD_BATCH):
            block = np.ascontiguousarray(features[start : start + HEAD_BATCH])
            outputs[start : start + HEAD_BATCH] = head(torch.from_numpy(block).to(device)).float().cpu().numpy()
    return outputs
