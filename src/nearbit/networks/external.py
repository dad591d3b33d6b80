"""Backbones of other libraries, behind extras: `timm:NAME` and `hf:FOLDER-or-ORG/NAME`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nearbit.errors import DataError, InputError, MissingExtraError
from nearbit.networks.preprocessing import IMAGENET_MEAN, IMAGENET_STD, INTERPOLATIONS, Preprocessing


class HuggingFaceBackbone(nn.Module):
    """A transformers vision model as a backbone: its pooled output, or the mean of its last hidden states."""

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


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", "hf", "a backbone named hf:…") from error
    return transformers


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep transformers from reporting the classifier that a backbone leaves out; then its wordiness is as before."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)


def load_hugging_face(source: str) -> tuple[nn.Module, Preprocessing, dict[str, Any]]:
    """Return a backbone of the transformers library with its weights, its preprocessing and its configuration.

    Args:
        source: a folder, or ORG/NAME on the Hugging Face hub. Only safetensors weights are read, and no code of the
            model's own is run.

    Raises:
        MissingExtraError: transformers is not installed.
        DataError: nothing usable lies there.
    """
    transformers = _transformers()
    try:
        with _quiet(transformers):
            model = transformers.AutoModel.from_pretrained(source, use_safetensors=True, trust_remote_code=False)
        settings = _image_settings(source)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"no backbone could be loaded from hf:{source}: {first}") from error
    return HuggingFaceBackbone(model), _hugging_face_preprocessing(settings), model.config.to_dict()


def build_hugging_face(config: dict[str, Any]) -> nn.Module:
    """Return the backbone that a saved configuration describes, with random weights."""
    transformers = _transformers()
    kind = config.get("model_type", "")
    values = {name: value for name, value in config.items() if name != "model_type"}
    model_config = transformers.AutoConfig.for_model(kind, **values)
    return HuggingFaceBackbone(transformers.AutoModel.from_config(model_config, trust_remote_code=False))


def _image_settings(source: str) -> dict[str, Any]:
    path = Path(source) / "preprocessor_config.json"
    if not Path(source).is_dir():
        from huggingface_hub import hf_hub_download

        path = Path(hf_hub_download(source, "preprocessor_config.json"))
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return settings


def _hugging_face_preprocessing(settings: dict[str, Any]) -> Preprocessing:
    resize = _side(settings.get("size", 224))
    size = _side(settings["crop_size"]) if settings.get("do_center_crop") and "crop_size" in settings else resize
    names = {value.value: name for name, value in INTERPOLATIONS.items()}
    return Preprocessing(
        size=size,
        resize=max(size, resize),
        mean=tuple(settings.get("image_mean", IMAGENET_MEAN)),
        std=tuple(settings.get("image_std", IMAGENET_STD)),
        interpolation=names.get(int(settings.get("resample", 2)), "bilinear"),
    )


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
    if not timm.is_model(name.removeprefix("hf_hub:").split("/")[-1]) and not name.startswith("hf_hub:"):
        raise InputError(f"timm has no model named {name!r}; timm.list_models() lists them")
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
