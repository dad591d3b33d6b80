"""Published recipes by name: the method, its options, and how the network was trained, as the papers have it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nearbit.errors import InputError, did_you_mean
from nearbit.methods.hash_centers.crh import CRH
from nearbit.methods.hash_centers.shc import SHC


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A recipe.

    Attributes:
        name: by which it is asked for.
        method: of `METHODS`.
        method_options: options of the method that are not its defaults.
        options: fields of `TrainOptions`.
        citation: the paper, as its method cites it, and where else the recipe is from.
        differs: what of the published recipe is not in it, a line each.
    """

    name: str
    method: str
    options: Mapping[str, Any]
    citation: str
    method_options: Mapping[str, Any] = field(default_factory=dict)
    differs: tuple[str, ...] = ()


_RESNET34: dict[str, Any] = {
    "backbone": "resnet34", "image_size": 224, "regime": "fine-tuned", "head": "linear", "augment": "crop+mirror",
    "validate_every": 5, "select": "validation", "published_selection": True,
    "batch_norm": "batch",
}  # fmt: skip
_SELECTION = "the paper keeps the epoch that is best on the query images; here they choose nothing"
_CLIPPED = "gradients are clipped to norm 1"
_CROP = "the random square has 70 to 100 % of the shorter side, where the paper cuts 224 of 256 pixels"


def _shc(name: str, learning_rate: float) -> Preset:
    return Preset(
        name=name,
        method=SHC.name,
        method_options={"centers": "paper", "order": "paper"},
        options=_RESNET34
        | {
            "epochs": 300, "batch_size": 64, "learning_rate": learning_rate, "optimizer": "rmsprop",
            "weight_decay": 1e-5, "backbone_factor": 1.0,
        },
        citation=SHC.citation,
        differs=(_SELECTION, _CLIPPED, _CROP, "the learning rate falls to 0 and not to 1e-7"),
    )  # fmt: skip


PRESETS = {
    preset.name: preset
    for preset in (
        _shc("shc-paper", 1e-4),
        _shc("shc-paper-cifar100", 7e-5),
        Preset(
            name="crh-paper",
            method=CRH.name,
            options=_RESNET34
            | {
                "batch_size": 128, "learning_rate": 1e-4, "optimizer": "adam", "weight_decay": 1e-5,
                "backbone_factor": 1.0,
            },
            citation=f"{CRH.citation}; the recipe by a third party that read the released code",
            differs=(
                _SELECTION, "the learning rate falls to 0 and not to 1e-7",
                "image size and augmentation are those of SHC, since the paper's were not found",
            ),
        ),
    )
}  # fmt: skip
"""Every recipe by its name. Epochs of CRH are those of its schedule: 300, and 30 where images have several labels."""


def preset_named(name: str) -> Preset:
    """Return a recipe; raise `InputError` for an unknown name."""
    if name not in PRESETS:
        raise InputError(
            f"the preset must be one of {', '.join(PRESETS)}, not {name!r}.{did_you_mean(name, [*PRESETS])}"
        )
    return PRESETS[name]


def preset_of_method(name: str, method: str) -> Preset:
    """Return a recipe for a training of a method; raise `InputError` where it is of another one, or unknown."""
    preset = preset_named(name)
    if preset.method != method:
        raise InputError(
            f"the preset {name} is of the method {preset.method}, not of {method}: leave one of them out (--preset, "
            "--method)"
        )
    return preset
