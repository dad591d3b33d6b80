"""Backbones by name: the small one of ours, pretrained ones, or rebuilt from what a model folder says."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from nearbit.encoding.preprocessing import AnyInput, FeatureInput, Preprocessing
from nearbit.errors import BundleError, InputError, did_you_mean
from nearbit.files.writing import json_digest
from nearbit.given import path_of
from nearbit.networks.external import build_hugging_face, load_hugging_face, load_timm
from nearbit.networks.resnet import LAYOUTS, ResNet
from nearbit.networks.thumbnail import THUMBNAIL_SIZE, Thumbnail, plain_pixels
from nearbit.networks.weights import load_weights

BUILT_IN = ("small", *LAYOUTS, "thumbnail")
SMALL_SIZE = 64
OWN = "module:"
"""What the name of a backbone begins with that is a module of the user's."""
FEATURES = "features"
"""The name of the backbone that is none: features are given in the place of images."""
WIDTHS = (24, 48, 96, 192)
"""Channels of the stages of the small network."""


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """What is needed to build the same backbone again, without its weights.

    Attributes:
        name: "small", "thumbnail", "resnet18", …, "timm:NAME", "hf:SOURCE", "module:NAME" for one of the user's, or
            "features" where there is none.
        feature_dim: features of an image.
        pretrained: whether its weights came from elsewhere.
        source: where the weights came from, in words.
        config: the configuration of a transformers model, empty for others.
    """

    name: str
    feature_dim: int
    pretrained: bool
    source: str
    config: dict[str, Any]


NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
"""Layers of batch normalisation; what derives from them is one, too."""


class Backbone(nn.Module):
    """A feature extractor together with its preprocessing: uint8 pixels in, features out.

    With a `FeatureInput` in the place of a preprocessing nothing is extracted: features in, the same features out.

    Attributes:
        keeps_statistics: whether batch normalisation goes by what it remembers while the backbone is trained, too, and
            remembers nothing new: its scales and offsets are trained, its means and variances are not.
    """

    mean: Tensor
    std: Tensor
    keeps_statistics = False

    def __init__(self, module: nn.Module, preprocessing: AnyInput, spec: BackboneSpec) -> None:
        super().__init__()
        self.module = module
        self.preprocessing = preprocessing
        self.spec = spec
        self._turns = _turns(module, spec)
        if isinstance(preprocessing, Preprocessing):
            self.register_buffer("mean", _of_bytes(preprocessing.mean), persistent=False)
            self.register_buffer("std", _of_bytes(preprocessing.std), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map uint8 pixels `(n, 3, size, size)`, or features, to float features `(n, feature_dim)`."""
        if isinstance(self.preprocessing, FeatureInput):
            return pixels.float()
        images = (pixels.float() - self.mean) / self.std
        if (self.training or images.is_cuda) and self._turns:
            images = images.contiguous(memory_format=torch.channels_last)
        features: Tensor = self.module(images)
        return features

    def train(self, mode: bool = True) -> Self:
        """Set the module into training or evaluation mode; batch normalisation that keeps its statistics stays."""
        super().train(mode)
        for layer in self.module.modules() if mode and self.keeps_statistics else ():
            if isinstance(layer, NORMS):
                layer.eval()
        return self

    def fingerprint(self) -> str:
        """Return a SHA-256 over weights, configuration and preprocessing: equal fingerprints give equal features."""
        about = {"name": self.spec.name, "config": self.spec.config, "preprocessing": self.preprocessing.to_dict()}
        written = json.loads(json.dumps(about))  # as a model folder keeps it: keys are texts there
        digest = hashlib.sha256(json_digest(written).encode())
        for name, value in sorted(self.module.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def _turns(module: nn.Module, spec: BackboneSpec) -> bool:
    """Tell whether channels lie last while a network trains: then convolutions need not turn their maps around.

    A module of the user's is left alone, since it may take for granted how its maps lie.
    """
    n_convolutions = sum(isinstance(layer, nn.Conv2d) for layer in module.modules())
    return n_convolutions > 1 and not spec.name.startswith(OWN)


def _of_bytes(numbers: tuple[float, float, float]) -> Tensor:
    """Return numbers for white = 1 as those for white = 255: float32 `(3, 1, 1)`."""
    return torch.from_numpy(np.float32(255) * np.asarray(numbers, np.float32)).view(3, 1, 1)


class SmallCNN(nn.Module):
    """A small network, trained from scratch on small images in seconds on a laptop: 384 features.

    Four 3×3 convolutions, three of which halve the image, then mean and maximum over positions. The maximum keeps what
    stands in one place only, which counts where an image holds several things.
    """

    feature_dim = 2 * WIDTHS[-1]

    def __init__(self) -> None:
        super().__init__()
        before = (3, *WIDTHS)
        self.stages = nn.Sequential(
            *[_stage(before[place], width, 1 if place == 0 else 2) for place, width in enumerate(WIDTHS)]
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images float `(n, 3, h, w)` to features `(n, 384)`."""
        maps: Tensor = self.stages(images)
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


def _stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def make_backbone(name: str, *, weights: str | Path | None = None, image_size: int | None = None) -> Backbone:
    """Return a backbone by name.

    Args:
        name: "small" (from scratch), "resnet18", "resnet34", "resnet50" (from scratch, or with `weights`),
            "thumbnail" (see `Thumbnail`), "timm:NAME" (with timm's pretrained weights, or `weights`), "hf:FOLDER",
            "hf:ORG/NAME" or "hf:ORG/NAME@REVISION".
        weights: a safetensors file of pretrained weights, for ResNet and timm names.
        image_size: side of the square that the backbone sees, in pixels; by default 64 for "small" and the size that
            the weights expect for others. Random weights come from torch's global generator.

    Raises:
        InputError: an unknown name, `weights` for a backbone that takes none, or an image size that it cannot take.
        DataError: the weights cannot be used.
        MissingExtraError: the library behind the name is not installed.
    """
    kind, _, rest = name.partition(":")
    file = None if weights is None else path_of("weights", weights)
    if name == FEATURES:
        raise InputError(
            "the backbone 'features' is that of a data set of features (nb.from_features), and this one has images"
        )
    if kind == "hf" and rest:
        return _from_hugging_face(rest, file, image_size)
    if kind == "timm" and rest:
        return _from_timm(name, rest, file, image_size)
    if name == "thumbnail":
        return _thumbnail(file, image_size)
    if name in BUILT_IN:
        return _built_in(name, file, image_size)
    raise InputError(
        f"unknown backbone {name!r}; known: {', '.join(BUILT_IN)}, timm:NAME and hf:FOLDER."
        f"{did_you_mean(name, BUILT_IN)}"
    )


def features_backbone(width: int) -> Backbone:
    """Return what stands in the place of a backbone where features are given: it takes and gives `width` numbers."""
    source = "the features that were given"
    spec = BackboneSpec(name=FEATURES, feature_dim=width, pretrained=True, source=source, config={})
    return Backbone(nn.Identity(), FeatureInput(width=width), spec)


def _built_in(name: str, weights: Path | None, image_size: int | None) -> Backbone:
    if name == "small" and weights is not None:
        raise InputError("the backbone 'small' is trained from scratch and takes no weights: use resnet18, for example")
    module: SmallCNN | ResNet = SmallCNN() if name == "small" else ResNet(name)
    size = SMALL_SIZE if name == "small" else 224
    resize = size if weights is None else 256
    source = "random"
    if weights is not None:
        load_weights(module, weights)
        source = weights.name
    spec = BackboneSpec(
        name=name, feature_dim=module.feature_dim, pretrained=weights is not None, source=source, config={}
    )
    return Backbone(module, _of_size(Preprocessing(size=size, resize=resize), image_size), spec)


def _thumbnail(weights: Path | None, image_size: int | None) -> Backbone:
    if weights is not None:
        raise InputError(
            "the backbone 'thumbnail' has nothing to train and takes no weights: use resnet18, for example"
        )
    spec = BackboneSpec(
        name="thumbnail", feature_dim=Thumbnail.feature_dim, pretrained=True, source="built in, no weights", config={}
    )
    return Backbone(Thumbnail(), plain_pixels(image_size or THUMBNAIL_SIZE), spec)


def _from_timm(name: str, model_name: str, weights: Path | None, image_size: int | None) -> Backbone:
    module, preprocessing = load_timm(model_name, pretrained=weights is None)
    if weights is not None:
        load_weights(module, weights)
    source = weights.name if weights is not None else "timm"
    spec = BackboneSpec(name=name, feature_dim=0, pretrained=True, source=source, config={})
    return measured_backbone(module, _of_size(preprocessing, image_size), spec)


def _from_hugging_face(source: str, weights: Path | None, image_size: int | None) -> Backbone:
    if weights is not None:
        raise InputError("a backbone named hf:… brings its own weights: leave --weights out")
    module, preprocessing, config, origin = load_hugging_face(source)
    folder = Path(source).is_dir()
    repository = source.partition("@")[0]
    spec = BackboneSpec(
        name=f"hf:{Path(source).name}" if folder else f"hf:{repository}",
        feature_dim=0,
        pretrained=True,
        source=Path(source).name if folder else origin,
        config=config,
    )
    return measured_backbone(module, _of_size(preprocessing, image_size), spec)


def _of_size(preprocessing: Preprocessing, image_size: int | None) -> Preprocessing:
    return preprocessing if image_size is None else preprocessing.with_size(image_size)


def measured_backbone(module: nn.Module, preprocessing: Preprocessing, spec: BackboneSpec) -> Backbone:
    """Return the backbone with its number of features found by one forward pass of a black image."""
    module.eval()
    size = preprocessing.size
    try:
        with torch.no_grad():
            features = module(torch.zeros(1, 3, size, size))
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"the backbone {spec.name} cannot take images of {size} x {size} pixels: {reason}") from error
    if not isinstance(features, Tensor) or features.dim() != 2:
        came = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise InputError(f"the backbone {spec.name} must give features (n, feature_dim), not {came}")
    return Backbone(module, preprocessing, replace(spec, feature_dim=int(features.shape[1])))


def rebuild_backbone(spec: BackboneSpec, preprocessing: AnyInput) -> Backbone:
    """Return the backbone that a model folder describes, with random weights for `load_state_dict` to replace.

    Nothing is fetched and no name is imported: only the built-in networks, timm's and transformers' own classes.

    Raises:
        BundleError: the name is none of ours, or transformers cannot build what the configuration describes.
    """
    kind, _, rest = spec.name.partition(":")
    module: nn.Module
    if (spec.name == FEATURES) != isinstance(preprocessing, FeatureInput):
        raise BundleError(f"a backbone {spec.name!r} does not go with {preprocessing.to_dict()}")
    if isinstance(preprocessing, FeatureInput):
        if preprocessing.width != spec.feature_dim:
            raise BundleError(f"the head takes {spec.feature_dim} features, and the input has {preprocessing.width}")
        return features_backbone(preprocessing.width)
    if spec.name.startswith(OWN):
        raise BundleError(
            f"its backbone is a module of its maker's ({spec.config.get('class')}), which no model holds the code of: "
            "open it in Python with load_model(path, backbone=module), or export it to ONNX there"
        )
    if spec.name == "small":
        module = SmallCNN()
    elif spec.name == "thumbnail":
        module = Thumbnail()
    elif spec.name in LAYOUTS:
        module = ResNet(spec.name)
    elif kind == "hf" and rest:
        module = build_hugging_face(spec.config)
    elif kind == "timm" and rest:
        module, _ = load_timm(rest, pretrained=False)
    else:
        raise BundleError(f"the model was made with an unknown backbone {spec.name!r}: update nearbit")
    return Backbone(module, preprocessing, spec)
