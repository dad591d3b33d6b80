"""The options of training that `nearbit train` and `nearbit compare` have in common."""

from pathlib import Path
from typing import Any

import click

from nearbit.cli.backbone_options import backbone_options
from nearbit.cli.console import device_option

FILE = click.Path(path_type=Path, dir_okay=False)

TRAINING = (
    "backbone",
    "weights",
    "image_size",
    "regime",
    "epochs",
    "batch_size",
    "learning_rate",
    "optimizer",
    "weight_decay",
    "backbone_factor",
    "batch_norm",
    "select",
    "patience",
    "validate_against",
    "augment",
    "views",
    "device",
    "workers",
    "keep_decoded",
    "precision",
    "compile",
    "candidate_weight",
    "radius_weight",
    "adversarial",
    "adversarial_steps",
    "adversarial_step_size",
    "adversarial_weight",
    "adversarial_relevance",
)
"""Parameters of `training_options`: fields of `TrainOptions`."""

_OPTIONS = (
    *backbone_options(
        "auto: a pretrained one for images above 64 pixels, small for others; model:FOLDER: that of a trained model; "
    ),
    click.option("--weights", type=FILE, help="Pretrained weights (.safetensors)."),
    click.option("--image-size", type=click.IntRange(1), help="Pixels a side. [default: the backbone's own]"),
    click.option(
        "--regime",
        type=click.Choice(["auto", "frozen", "fine-tuned", "two-step"]),
        default="auto",
        show_default=True,
        help="What is trained: a head on frozen features; all of it; or first the backbone, as a classifier, then a "
        "head on its features (two-step).",
    ),
    click.option("--epochs", type=click.IntRange(1), help="[default: the method's]"),
    click.option("--batch-size", type=click.IntRange(2), help="[default: the method's]"),
    click.option("--learning-rate", type=float, help="[default: the method's]"),
    click.option(
        "--optimizer",
        type=click.Choice(["adam", "sgd", "rmsprop"]),
        help="Give a --learning-rate with it. [default: the method's, adam]",
    ),
    click.option("--weight-decay", type=click.FloatRange(0), help="[default: the method's]"),
    click.option(
        "--backbone-factor",
        type=click.FloatRange(0),
        help="Learning rate of a backbone that is trained, relative to the head's. [default: the method's]",
    ),
    click.option(
        "--batch-norm",
        type=click.Choice(["auto", "fixed", "batch"]),
        default="auto",
        show_default=True,
        help="What batch normalisation of a trained backbone goes by: the statistics of its pretrained weights "
        "(fixed), or those of each batch; auto: fixed where pretrained weights are fine-tuned.",
    ),
    click.option(
        "--select",
        type=click.Choice(["validation", "last"]),
        default="validation",
        show_default=True,
        help="Keep the best epoch on validation, or the last.",
    ),
    click.option(
        "--patience",
        type=click.IntRange(0),
        help="End where validation has not gained for so many epochs; 0: never. "
        "[default: 15; 0 on frozen features and for a preset]",
    ),
    click.option(
        "--validate-against",
        type=click.Choice(["auto", "train", "validation"]),
        default="auto",
        show_default=True,
        help="What validation images search; auto: each other, where less than half of the database is trained on.",
    ),
    click.option(
        "--augment", type=click.Choice(["auto", "none", "crop", "crop+mirror"]), default="auto", show_default=True
    ),
    click.option(
        "--views", type=click.IntRange(1), default=1, show_default=True, help="Cached views an image (frozen)."
    ),
    click.option(
        "--workers",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Processes that decode images (all of the network trained); 0: threads. No bit of the result changes.",
    ),
    click.option(
        "--keep-decoded",
        type=click.IntRange(0),
        metavar="MB",
        help="Keep decoded images in the cache while all of the network is trained; 0: decode them in each epoch. "
        "[default: up to 2000 where there is room]",
    ),
    click.option(
        "--precision",
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        default="auto",
        show_default=True,
        help="Of the forward pass while training; auto: bfloat16 for images on a GPU that has it.",
    ),
    click.option(
        "--compile",
        is_flag=True,
        help="Let torch compile the passes of training on images (minutes at the start); for GPUs: a CPU gets slower.",
    ),
    click.option(
        "--candidate-weight",
        type=click.FloatRange(0),
        default=0.0,
        show_default=True,
        help="Of a term against false candidates of a search in parts of codes; try 0.05.",
    ),
    click.option(
        "--radius-weight",
        type=click.FloatRange(0),
        default=0.0,
        show_default=True,
        help="Of a term that draws far neighbors nearer; try 0.1.",
    ),
    click.option(
        "--adversarial",
        type=click.FloatRange(0),
        metavar="EPS",
        help="Also train on images whose pixels are perturbed by at most EPS of 255 to mislead the network.",
    ),
    click.option(
        "--adversarial-steps",
        type=click.IntRange(1),
        default=7,
        show_default=True,
        help="Gradients a perturbation follows.",
    ),
    click.option(
        "--adversarial-step-size", type=float, default=2.0, show_default=True, help="How far, of 255, each of them."
    ),
    click.option(
        "--adversarial-weight", type=float, default=1.0, show_default=True, help="Of the term beside the method's loss."
    ),
    click.option(
        "--adversarial-relevance",
        type=click.Choice(["shared", "jaccard", "cosine"]),
        default="shared",
        show_default=True,
        help="How images with several labels weigh in a center code.",
    ),
    device_option,
)


def training_options(command: Any) -> Any:
    """Add the options of training."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
