"""The backbone of a trained model as the start of another run: fine-tuned once, then frozen for other methods."""

from dataclasses import replace
from pathlib import Path

from nearbit.datasets import Split
from nearbit.errors import InputError
from nearbit.model.bundle import load_model
from nearbit.model.seen import SeenImages, seen_in
from nearbit.networks import Backbone, Preprocessing

MODEL = "model:"
"""What the name of a backbone begins with that is a trained model's; the folder follows, or hf:ORG/NAME."""


def backbone_of_model(name: str, split: Split, *, image_size: int | None = None) -> tuple[Backbone, SeenImages]:
    """Return the backbone of a trained model, as pretrained weights, and the images that it has seen.

    Args:
        name: "model:FOLDER" or "model:hf:ORG/NAME".
        split: of the run that is to begin. What the model and those it comes from were trained on must not measure
            or choose anything in it, and what chose their epochs must not measure anything.
        image_size: side of the square that the backbone sees, in pixels; None for the model's own.

    Raises:
        InputError: the model has seen images that are query or validation images here, or it is one of features.
        BundleError, MissingExtraError: see `load_model`.
    """
    place = name.removeprefix(MODEL)
    model = load_model(place)
    backbone = model.network.backbone
    if not isinstance(backbone.preprocessing, Preprocessing):
        raise InputError(f"{place} takes features and has no backbone: give a model of images")
    own = seen_in(model.split)
    _check_unseen(place, own, model.seen_before, split)
    preprocessing = backbone.preprocessing if image_size is None else backbone.preprocessing.with_size(image_size)
    spec = replace(backbone.spec, pretrained=True, source=f"the model {Path(place).name} ({model.method})")
    return Backbone(backbone.module, preprocessing, spec), own | model.seen_before


def _check_unseen(place: str, own: SeenImages, before: SeenImages, split: Split) -> None:
    """Refuse a backbone that has seen images which are to measure, or was trained on such as are to choose.

    Images with a double among those that this run trains on or validates with, which its split was allowed to have, are
    none the worse.

    Args:
        place: names the model.
        own: what the model itself has seen.
        before: what its backbone had seen before.
        split: of the run that is to begin.
    """
    here, both = seen_in(split), own | before
    hidden = {"query": here.trained | here.validated, "validation": here.trained}
    for part, seen, how in (
        ("query", both.trained, "trained on"),
        ("validation", both.trained, "trained on"),
        ("query", both.validated, "chosen by"),
    ):
        known = seen - hidden[part]
        rows = [row for row in split.rows(part).tolist() if split.digests[row] in known]
        if rows:
            of_own = split.digests[rows[0]] in (own.trained if how == "trained on" else own.validated)
            through = "" if of_own else ", in a model that it comes from,"
            raise InputError(
                f"the backbone of {place} was{through} {how} {len(rows):,} of the {len(split.rows(part)):,} {part} "
                f"images, the first {split.keys[rows[0]]!r}: figures would be too good; train it on the same split "
                "(the same --protocol, --seed and sizes, or --split)"
            )
