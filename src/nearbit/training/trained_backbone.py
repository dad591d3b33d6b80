"""The backbone of a trained model as the start of another run: fine-tuned once, then frozen for other methods."""

from dataclasses import replace
from pathlib import Path

from nearbit.datasets import Split
from nearbit.errors import InputError
from nearbit.model.bundle import Model, load_model
from nearbit.networks import Backbone, Preprocessing

MODEL = "model:"
"""What the name of a backbone begins with that is a trained model's; the folder follows, or hf:ORG/NAME."""


def backbone_of_model(name: str, split: Split, *, image_size: int | None = None) -> Backbone:
    """Return the backbone of a trained model, as pretrained weights.

    Args:
        name: "model:FOLDER" or "model:hf:ORG/NAME".
        split: of the run that is to begin. What the model was trained on must not measure or choose anything in it.
        image_size: side of the square that the backbone sees, in pixels; None for the model's own.

    Raises:
        InputError: the model was trained on images that are query or validation images here, or it is one of features.
        BundleError, MissingExtraError: see `load_model`.
    """
    place = name.removeprefix(MODEL)
    model = load_model(place)
    backbone = model.network.backbone
    if not isinstance(backbone.preprocessing, Preprocessing):
        raise InputError(f"{place} takes features and has no backbone: give a model of images")
    _check_unseen(place, model, split)
    preprocessing = backbone.preprocessing if image_size is None else backbone.preprocessing.with_size(image_size)
    spec = replace(backbone.spec, pretrained=True, source=f"the model {Path(place).name} ({model.method})")
    return Backbone(backbone.module, preprocessing, spec)


def _check_unseen(place: str, model: Model, split: Split) -> None:
    """Refuse a backbone that has been trained on images which are to measure or to choose.

    Images with a double among the training images of this run, which its split was allowed to have, are none the worse.
    """
    if model.split is None:
        return
    here = {split.digests[row] for row in split.train}
    trained_on = {model.split.digests[row] for row in model.split.train} - here
    for part in ("query", "validation"):
        seen = sum(split.digests[row] in trained_on for row in getattr(split, part))
        if seen:
            raise InputError(
                f"the backbone of {place} was trained on {seen:,} of the {len(getattr(split, part)):,} {part} images: "
                "figures would be too good; train it on the same split (the same --protocol, --seed and sizes, or "
                "--split)"
            )
