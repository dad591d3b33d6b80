"""What a run begins with: the backbone that the options name, and which images it has seen before."""

import copy

from torch import nn

from nearbit.datasets import Dataset, FeatureRows, Split
from nearbit.errors import InputError
from nearbit.model.seen import NONE_SEEN, SeenImages
from nearbit.networks import Backbone, backbone_of, features_backbone, make_backbone
from nearbit.networks.image_size import fitting_size
from nearbit.training.options import TrainOptions
from nearbit.training.trained_backbone import MODEL, backbone_of_model

FOR_IMAGES = ("backbone", "weights", "image_size", "augment", "views")
"""Options that say what becomes of images."""


def starting_backbone(dataset: Dataset, split: Split, options: TrainOptions) -> tuple[Backbone, SeenImages]:
    """Return the backbone of the options, and the images that models it comes from have seen.

    For a data set of features it is what stands in the place of one.

    Raises:
        InputError: an option that does nothing for features, or that the backbone cannot take; see `backbone_of_model`.
        DataError, MissingExtraError: see `make_backbone`.
    """
    if isinstance(dataset.source, FeatureRows):
        _refuse_images(dataset, options)
        return features_backbone(dataset.source.width), NONE_SEEN
    if isinstance(options.backbone, nn.Module):
        return _own(options.backbone, options), NONE_SEEN
    if options.backbone.startswith(MODEL):
        if options.weights is not None:
            raise InputError("the backbone of a model brings its own weights: leave --weights out")
        return backbone_of_model(options.backbone, split, image_size=options.image_size)
    size = options.image_size
    if size is None and options.backbone == "small":
        size = fitting_size(dataset.source)
    return make_backbone(options.backbone, weights=options.weights, image_size=size), NONE_SEEN


def _own(module: nn.Module, options: TrainOptions) -> Backbone:
    if options.weights is not None:
        raise InputError("a module has its weights already: load them into it, and leave weights out")
    if not isinstance(module, Backbone):
        if options.image_size is None:
            raise InputError("a module needs an image_size; backbone_of(module, image_size=…) takes mean and std, too")
        return backbone_of(module, image_size=options.image_size)
    if options.image_size not in (None, module.preprocessing.takes.shape[-1]):
        raise InputError("the image_size of a backbone is that of backbone_of: leave it out of the options")
    return copy.deepcopy(module)


def _refuse_images(dataset: Dataset, options: TrainOptions) -> None:
    usual = TrainOptions()
    allowed = {"backbone": ("features",), "augment": ("none",)}
    for name in FOR_IMAGES:
        value = getattr(options, name)
        if value != getattr(usual, name) and value not in allowed.get(name, ()):
            shown = type(value).__name__ if isinstance(value, nn.Module) else repr(value)
            raise InputError(
                f"{name}={shown} is for images, and {dataset.name} is features, which are trained on as they are: "
                "leave it out"
            )
    if options.regime in ("fine-tuned", "two-step"):
        raise InputError(
            f"{dataset.name} is features, and there is no backbone to fine-tune: leave regime out, or give the images"
        )
