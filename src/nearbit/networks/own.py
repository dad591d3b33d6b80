"""A backbone of one's own: any module that maps normalised images to features, with its preprocessing."""

import copy
import hashlib
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from nearbit.encoding.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from nearbit.errors import BundleError, InputError
from nearbit.given import check_number, plain
from nearbit.keywords import suggesting
from nearbit.networks.backbones import OWN, Backbone, BackboneSpec, measured_backbone
from nearbit.networks.external import MOST_OF_A_BATCH

Channels = tuple[float, float, float]

PROBED = 32
"""So many features of one drawn image tell a module from another of equal weights."""
NEAR = 0.02
"""How far such a feature may be from what it was, relative to the largest: other processors round otherwise."""


@suggesting
def backbone_of(
    module: nn.Module,
    *,
    image_size: int,
    resize: int | None = None,
    mean: Channels = IMAGENET_MEAN,
    std: Channels = IMAGENET_STD,
    interpolation: str = "bilinear",
    pretrained: bool = True,
    name: str | None = None,
) -> Backbone:
    """Return a module as a backbone, for `TrainOptions(backbone=…)`.

    The module is copied as it is now. A saved model holds its weights, and no code: it is opened by
    `load_model(path, backbone=module)` with a module of the same class, or exported to ONNX, where it needs none.

    Args:
        module: maps images float32 `(n, 3, image_size, image_size)`, normalised, to features `(n, feature_dim)`.
        image_size: side of the square that it sees, in pixels.
        resize: the shorter side before the square is cut from the middle; by default `image_size`.
        mean: subtracted from pixel values of 0 to 1, a channel each.
        std: what they are divided by.
        interpolation: how images are scaled.
        pretrained: whether its weights mean something: then it is frozen, unless the options say otherwise.
        name: in words; by default that of its class.

    Raises:
        InputError: no module, a preprocessing that makes no sense, images that it cannot take, or features of another
            shape or that are not finite.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"a backbone must be a torch module (torch.nn.Module), not {type(module).__name__}")
    kind = type(module)
    size = check_number("image_size", image_size, at_least=1, whole=True)
    preprocessing = Preprocessing(
        size=size,
        resize=size if resize is None else check_number("resize", resize, at_least=1, whole=True),
        mean=cast(Channels, tuple(map(plain, mean))),
        std=cast(Channels, tuple(map(plain, std))),
        interpolation=interpolation,
    )
    spec = BackboneSpec(
        name=f"{OWN}{name or kind.__name__}",
        feature_dim=0,
        pretrained=pretrained,
        source="a module of one's own",
        config={},
    )
    backbone = measured_backbone(copy.deepcopy(module).cpu(), preprocessing, spec)
    backbone.spec.config.update(
        {
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "structure": hashlib.sha256(repr(module).encode()).hexdigest(),
            "probe": probe_of(backbone),
        }
    )
    return backbone


def warn_of_norms(module: nn.Module) -> None:
    """Warn of a module that is about to be trained, and whose batch normalisation remembers the last batch alone."""
    momenta = [
        layer.momentum
        for layer in module.modules()
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.momentum
    ]
    if momenta and max(momenta) > MOST_OF_A_BATCH:
        warnings.warn(
            f"batch normalisation of the module has momentum {max(momenta):g}, in torch the share of the last batch: a "
            "network that is trained so is measured by that batch alone. Perhaps the number comes from TensorFlow: set "
            "layer.momentum to 0.1 before training",
            stacklevel=2,
        )


def probe_of(backbone: Backbone) -> list[float]:
    """Return the first features of one drawn image, rounded: what tells modules of equal weights apart."""
    size = backbone.preprocessing.takes.shape
    pixels = np.random.default_rng(0).integers(0, 256, (1, *size), dtype=np.uint8)
    place = next(iter(backbone.module.state_dict().values()), torch.zeros(1)).device
    was_training = backbone.training
    with torch.no_grad():
        features = backbone.eval().to(place)(torch.from_numpy(pixels).to(place))[0, :PROBED].float().cpu()
    backbone.train(was_training)
    if not bool(features.isfinite().all()):
        raise InputError(f"the backbone {backbone.spec.name} gives features that are not finite")
    return [float(f"{value:.3g}") for value in features.tolist()]


def rebuilt_own(given: nn.Module, spec: BackboneSpec, preprocessing: Preprocessing) -> Backbone:
    """Return a backbone of a module that was given to open a model, whose weights are put into it next."""
    module = given.module if isinstance(given, Backbone) else given
    return Backbone(copy.deepcopy(module).cpu(), preprocessing, spec)


def check_probe(backbone: Backbone, expected: list[float]) -> None:
    """Raise `BundleError` where a module with the weights of a model computes other features than it did there."""
    found, wanted = np.array(probe_of(backbone)), np.array(expected, np.float64)
    allowed = NEAR * max(float(np.abs(wanted).max(initial=0.0)), 1e-6)
    if found.shape != wanted.shape or np.abs(found - wanted).max() > allowed:
        raise BundleError(
            f"the module that was given computes other features than {backbone.spec.name} did "
            "when the model was saved: give the module that it was trained with"
        )


def check_given(folder: Path, description: dict[str, Any], backbone: nn.Module) -> None:
    """Raise `InputError` where a backbone is given that is no module, or to a model that builds its own."""
    if not isinstance(backbone, nn.Module):
        raise InputError(f"backbone must be a torch module, not {type(backbone).__name__}")
    spec = description.get("backbone")
    name = spec.get("name") if isinstance(spec, dict) else None
    if isinstance(name, str) and not name.startswith(OWN):
        raise InputError(f"{folder} builds its backbone {name} itself: leave backbone out")
