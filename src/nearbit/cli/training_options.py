"""The options of training that `nearbit train` and `nearbit compare` have in common."""

from pathlib import Path
from typing import Any

import click

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
    "select",
    "validate_against",
    "augment",
    "views",
    "device",
    "precision",
    "candidate_weight",
    "radius_weight",
)
"""Parameters of `training_options`: fields of `TrainOptions`."""

_OPTIONS = (
    click.option("--backbone", default="small", show_default=True, help="small, resnet18/34/50, timm:NAME, hf:FOLDER."),
    click.option("--weights", type=FILE, help="Pretrained weights (.safetensors)."),
    click.option("--image-size", type=click.IntRange(1), help="Pixels a side. [default: the backbone's own]"),
    click.option("--regime", type=click.Choice(["auto", "frozen", "fine-tuned"]), default="auto", show_default=True),
    click.option("--epochs", type=click.IntRange(1), help="[default: the method's]"),
    click.option("--batch-size", type=click.IntRange(2), help="[default: the method's]"),
    click.option("--learning-rate", type=float, help="[default: the method's]"),
    click.option(
        "--select",
        type=click.Choice(["validation", "last"]),
        default="validation",
        show_default=True,
        help="Keep the best epoch on validation, or the last.",
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
        "--precision",
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        default="auto",
        show_default=True,
        help="Of the forward pass while training; auto: bfloat16 for images on a GPU that has it.",
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
    device_option,
)


def training_options(command: Any) -> Any:
    """Add the options of training."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
