"""Backbones of other libraries, behind extras: `timm:NAME` and `hf:FOLDER-or-ORG/NAME`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from nearbit.encoding.preprocessing import INTERPOLATIONS, Preprocessing
from nearbit.errors import BundleError, DataError, InputError, MissingExtraError
from nearbit.files.checkpoints import HUB_FILES, PROJECTED, download_command, fetched_before
from nearbit.files.hub import ADDRESS, PREFIX, is_offline, snapshot
from nearbit.json_text import read_json
from nearbit.networks.weights import COUNTERS

Triple = tuple[float, float, float]
WHOLE_FROM = 384
"""From this size on, image processors that name a `crop_pct` show the whole image."""
SHARED = ("clip", "siglip", "chinese_clip", "metaclip_2")
"""Types of models of images and text whose features lie in one space; the image part is taken with its projection."""
MOST_OF_A_BATCH = 0.5
"""A momentum of batch normalisation above it is no share of a batch that anybody means."""
BATCH_NORM_MOMENTUM = 0.1
"""The share of a batch in what batch normalisation remembers, torch's own: in place of the .99 to .9997 that MobileNets
and EfficientNets of transformers have, which were shares of the past in TensorFlow. With them a network that is trained
remembers its last batch alone, and is measured by that."""
NOT_OF_THE_LIBRARY = ("model_type", "add_pooling_layer", PROJECTED)
PLACE = "_name_or_path"
"""Where a configuration was read from: no part of the network, so models do not depend on it or give it away."""


class HuggingFaceBackbone(nn.Module):
    """A transformers vision model as a backbone: its pooled output, or the mean of its last hidden states.

    `has_other_norms` says whether layers of batch normalisation have another momentum than the library gives them.
    """

    has_other_norms = False

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images float `(n, 3, h, w)` to features `(n, feature_dim)`."""
        result = self.model(pixel_values=images)
        pooled = getattr(result, "pooler_output", None)
        features: Tensor = result.last_hidden_state if pooled is None else pooled
        if pooled is None:
            features = features.mean(dim=(2, 3)) if features.dim() == 4 else features.mean(dim=1)
        return features.flatten(1)


class ImageTower(nn.Module):
    """The image part of a model of images and text: features of length 1 in the space that both share.

    `has_other_norms` as in `HuggingFaceBackbone`.
    """

    has_other_norms = False

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model.vision_model
        self.projection: nn.Module = getattr(
            model, "visual_projection", nn.Identity()
        )  # some project within their pooling

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images float `(n, 3, h, w)` to features `(n, feature_dim)` of length 1."""
        result: Any = self.model(pixel_values=images)
        return normalize(self.projection(result.pooler_output), dim=1)


def transformers_library(extra: str = "hf", purpose: str = "a backbone named hf:…") -> Any:
    """Return the library; raise `MissingExtraError` where it is not installed."""
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", extra, purpose) from error
    return transformers


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Keep transformers from printing a bar, and the classifier that a backbone leaves out; then all is as before."""
    logging = transformers.utils.logging
    wordiness, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(wordiness)
        if bars:
            logging.enable_progress_bar()


def load_hugging_face(source: str) -> tuple[nn.Module, Preprocessing, dict[str, Any], str]:
    """Return a backbone of the transformers library with its weights, its preprocessing, its configuration and origin.

    Weights are held in float32, whatever the file holds. Of a model of images and text the image part is taken: one of
    `SHARED` with its projection, of which the configuration says "projected": true. A pooling layer for which the file
    has no weights is left out, and features are then the mean of the last hidden states; the configuration says so with
    "add_pooling_layer": false. The origin is `source`, with the commit where it came from the hub.

    Args:
        source: a folder, or ORG/NAME or ORG/NAME@REVISION on the Hugging Face hub, which is fetched once. Only
            safetensors weights are read, and no code of the model's own is run.

    Raises:
        MissingExtraError: transformers is not installed.
        DataError: nothing usable lies there, or the file does not hold all weights of the backbone.
    """
    if source.startswith(("/", "./", "../", "~")) and not Path(source).expanduser().is_dir():
        raise DataError(f"there is no folder {source}: hf: takes a folder, or ORG/NAME on the Hugging Face hub")
    transformers = transformers_library()
    try:
        folder = _folder(source)
        with quiet(transformers):
            model, config = _load_complete(transformers.AutoModel, folder)
        settings = _image_settings(source, folder)
    except (OSError, ValueError, KeyError, RuntimeError, BundleError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"no backbone could be loaded from hf:{source}: {first}") from error
    return _image_backbone(model, config), _hugging_face_preprocessing(settings), config, _pinned(source, folder)


def _pinned(source: str, folder: str) -> str:
    """Return ORG/NAME@COMMIT for what came from the hub, whose client names folders by commits; else `source`."""
    commit = Path(folder).name
    is_of_hub = folder != source and re.fullmatch("[0-9a-f]{40}", commit)
    return f"{source.partition('@')[0]}@{commit}" if is_of_hub else source


def _folder(source: str) -> str:
    """Return the folder that holds a backbone: the one named, or that of the hub's files."""
    found = ADDRESS.fullmatch(PREFIX + source)
    if Path(source).is_dir() or found is None:
        return source
    return str(
        fetched_before(found) or snapshot(found, HUB_FILES, f"the backbone {found[0]}", get=download_command(found))
    )


def _load_complete(auto: Any, source: str) -> tuple[nn.Module, dict[str, Any]]:
    """Return a model all of whose image weights lie in `source`, and its configuration."""
    given = {"use_safetensors": True, "trust_remote_code": False, "dtype": torch.float32, "output_loading_info": True}
    model, report = auto.from_pretrained(source, **given)
    config = {name: value for name, value in model.config.to_dict().items() if name != PLACE}
    if config.get("model_type") in SHARED:
        config[PROJECTED] = True
    missing = _missing(model, report)
    if missing and all(name.startswith("pooler.") for name in missing):
        model, report = auto.from_pretrained(source, add_pooling_layer=False, **given)
        config["add_pooling_layer"] = False
        missing = _missing(model, report)
    if missing:
        raise ValueError(f"{len(missing)} parameters are missing (first: {missing[:3]})")
    return model, config


def _missing(model: nn.Module, report: dict[str, Any]) -> list[str]:
    image_part = ("vision_model.", "visual_projection.") if hasattr(model, "vision_model") else ("",)
    return sorted(
        name for name in report["missing_keys"] if name.startswith(image_part) and not name.endswith(COUNTERS)
    )


def _image_backbone(model: nn.Module, config: dict[str, Any]) -> nn.Module:
    module = (
        ImageTower(model)
        if config.get(PROJECTED) is True
        else HuggingFaceBackbone(getattr(model, "vision_model", model))
    )
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and (layer.momentum or 0) > MOST_OF_A_BATCH:
            layer.momentum, module.has_other_norms = BATCH_NORM_MOMENTUM, True
    return module


def build_hugging_face(config: dict[str, Any]) -> nn.Module:
    """Return the backbone that a saved configuration describes, with random weights.

    Raises:
        MissingExtraError: transformers is not installed.
        BundleError: it cannot build what the configuration describes.
    """
    transformers = transformers_library()
    values = {name: value for name, value in config.items() if name not in NOT_OF_THE_LIBRARY}
    given = {"add_pooling_layer": False} if config.get("add_pooling_layer") is False else {}
    try:
        kind = transformers.AutoConfig.for_model(config.get("model_type", ""), **values)
        model = transformers.AutoModel.from_config(kind, trust_remote_code=False, dtype=torch.float32, **given)
        return _image_backbone(model, config)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BundleError(
            f"transformers cannot build the backbone of this model: {error}; update transformers"
        ) from error


def _image_settings(source: str, folder: str) -> dict[str, Any]:
    path = Path(folder) / "preprocessor_config.json"
    settings = read_json(path, f"no backbone could be loaded from hf:{source}: its preprocessing", DataError)
    if not isinstance(settings, dict):
        raise DataError(f"{path}: expected a JSON object with the preprocessing, came {type(settings).__name__}")
    return settings


def _hugging_face_preprocessing(settings: dict[str, Any]) -> Preprocessing:
    kind = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "").lower()
    if settings.get("do_flip_channel_order", kind.startswith("mobilevit")):
        raise DataError(
            "preprocessor_config.json wants blue before green and red, and nearbit gives red first: take another "
            "backbone, perhaps a like one of timm's"
        )
    resize = _side(settings.get("size", 224))
    cut = settings.get("do_center_crop") and settings.get("crop_size")
    size = _side(settings["crop_size"]) if cut else resize
    if settings.get("crop_pct") and size < WHOLE_FROM:
        resize = int(size / settings["crop_pct"])
    if kind.startswith("levit") and "height" not in str(settings.get("size")):
        resize = int(resize * 256 / 224)
    mean, std = _normalization(settings)
    if kind.startswith("efficientnet") and settings.get("include_top", True):
        red, green, blue = std
        std = (red * red, green * green, blue * blue)  # its processor divides twice
    return Preprocessing(size=size, resize=max(size, resize), mean=mean, std=std, interpolation=_filter(settings))


def _normalization(settings: dict[str, Any]) -> tuple[Triple, Triple]:
    if not settings.get("do_rescale", True) or abs(255 * settings.get("rescale_factor", 1 / 255) - 1) > 1e-3:
        raise DataError("preprocessor_config.json must scale pixels to 0 to 1 (rescale_factor 1/255); it does not")
    if settings.get("rescale_offset"):
        raise DataError("preprocessor_config.json must scale pixels to 0 to 1, and its rescale_offset moves them by -1")
    if not settings.get("do_normalize", True):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    try:
        (red, green, blue), (red_std, green_std, blue_std) = settings["image_mean"], settings["image_std"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("preprocessor_config.json must hold three values each of image_mean and image_std") from error
    return (red, green, blue), (red_std, green_std, blue_std)


def _filter(settings: dict[str, Any]) -> str:
    names = {value.value: name for name, value in INTERPOLATIONS.items()}
    number = settings.get("resample", INTERPOLATIONS["bilinear"].value)
    if number not in names:
        raise DataError(f"preprocessor_config.json: resample must be one of {sorted(names)}, not {number!r}")
    return names[number]


def _side(value: int | dict[str, int]) -> int:
    if isinstance(value, int):
        return value
    for name in ("shortest_edge", "height"):
        if name in value:
            return int(value[name])
    raise InputError(f"an image size must name shortest_edge or height, not {sorted(value)}")


def _timm() -> Any:
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        raise MissingExtraError(
            "timm", "timm", "a backbone named timm:… (with a torchvision that fits torch)"
        ) from error
    return timm


def load_timm(name: str, *, pretrained: bool) -> tuple[nn.Module, Preprocessing]:
    """Return a backbone of the timm library and the preprocessing that its weights expect.

    Raises:
        MissingExtraError: timm, or a torchvision that fits torch, is not installed.
        InputError: timm knows no model of that name.
        DataError: the pretrained weights could not be had.
    """
    timm = _timm()
    if not timm.is_model(name):
        raise InputError(f"timm has no model named {name!r}; timm.list_models() lists them (hub names are not taken)")
    if pretrained and is_offline():
        raise InputError(f"timm may ask for the weights of {name!r} elsewhere: offline, give them with --weights FILE")
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0)
    except (OSError, RuntimeError) as error:
        raise DataError(f"timm could not load the weights of {name!r}: {error}; give a file with --weights") from error
    settings = timm.data.resolve_model_data_config(model)
    size = int(settings["input_size"][-1])
    resize = max(size, round(size / float(settings.get("crop_pct", 1.0))))
    return model, Preprocessing(
        size=size,
        resize=resize,
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
        interpolation=settings["interpolation"],
    )
