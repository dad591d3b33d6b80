"""The backbone where none is named: which one, and whether it may be fetched."""

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from nearbit.cli.console import Command, echo
from nearbit.errors import BundleError, InputError
from nearbit.extras import install_hint
from nearbit.files.hub import OFFLINE, is_offline

if TYPE_CHECKING:
    from collections.abc import Callable

    from nearbit.datasets import ImageSource
    from nearbit.training import TrainOptions

AUTO = "auto"
SMALL = "--backbone small trains a small network from scratch, which sees little in photographs"
THUMBNAIL = "as a last resort --backbone thumbnail compares colors and edges alone"
NAMES = "small, thumbnail, resnet18/34/50, timm:NAME, hf:FOLDER, hf:ORG/NAME."


def _set_offline(context: click.Context, _: click.Parameter, value: bool) -> None:
    """Let nothing be fetched by this command and the processes that it starts."""
    if value and not context.resilient_parsing:
        before = os.environ.get(OFFLINE)
        os.environ[OFFLINE] = "1"
        context.call_on_close(lambda: _restore(before))


def _restore(before: str | None) -> None:
    if before is None:
        os.environ.pop(OFFLINE, None)
    else:
        os.environ[OFFLINE] = before


def backbone_options(auto: str) -> "tuple[Callable[[Command], Command], ...]":
    """Return --backbone, --yes and --offline; `auto` is what the help says of the default."""
    return (
        click.option("--backbone", default=AUTO, show_default=True, help=auto + NAMES),
        click.option("--yes", "-y", is_flag=True, help="Fetch that pretrained backbone without asking."),
        click.option(
            "--offline",
            is_flag=True,
            expose_value=False,
            callback=_set_offline,
            help="Fetch nothing; also by NEARBIT_OFFLINE=1.",
        ),
    )


def with_backbone(options: "TrainOptions", source: "ImageSource | None", *, agreed: bool) -> "TrainOptions":
    """Return options whose backbone has a name: of "auto" the one that `chosen_backbone` returns."""
    if options.backbone != AUTO:
        return options
    if options.weights is not None:
        raise InputError("--weights are those of a network that you name: give --backbone, such as resnet50")
    return replace(options, backbone=chosen_backbone(source, agreed=agreed))


def chosen_backbone(source: "ImageSource | None", *, agreed: bool, last_resort: str = SMALL) -> str:
    """Return the name of the backbone for images: "small" for small ones, else the pretrained one, which is here then.

    Args:
        source: the images; None where only a pretrained one will do.
        agreed: whether it may be fetched; else whoever is at the terminal is asked.
        last_resort: what can be done without it, for the message.

    Raises:
        InputError: it is not here and cannot be had; the message says what gets it.
    """
    from nearbit.networks.image_size import is_small
    from nearbit.networks.pretrained import DEFAULT, can_open

    if source is not None and is_small(source):
        return "small"
    if not can_open():
        hint = install_hint("hf", "transformers")
        raise InputError(
            f"photographs want a pretrained backbone, and transformers, which opens {DEFAULT.name}, is not installed: "
            f"{hint}, then the same command again; {last_resort}"
        )
    if not DEFAULT.is_here():
        _fetch(agreed, last_resort)
    return DEFAULT.address


def _fetch(agreed: bool, last_resort: str) -> None:
    """Fetch the pretrained backbone if that is agreed to, now or by an option."""
    from nearbit.networks.pretrained import DEFAULT

    missing = f"photographs want a pretrained backbone, and {DEFAULT.words} is not here yet"
    folder = DEFAULT.name.rpartition("/")[2]
    elsewhere = (
        f"where there is a connection `{DEFAULT.command(folder)}` fetches it into a folder, which "
        f"--backbone hf:{folder} names; {last_resort}"
    )
    if is_offline():
        raise InputError(f"{missing}, and nothing is fetched offline: {elsewhere}")
    if not agreed:
        if not is_a_terminal():
            raise InputError(
                f"{missing}: add --yes to fetch it once from the Hugging Face hub; {last_resort}; --backbone names "
                "another"
            )
        echo(f"Photographs want a pretrained backbone: {DEFAULT.words}, from the Hugging Face hub.")
        if not click.confirm("Fetch it, once?", default=True, err=True):
            raise InputError(f"{missing}: {elsewhere}")
    echo(f"fetching {DEFAULT.words}")
    try:
        DEFAULT.fetch()
    except BundleError as error:
        raise InputError(f"{error}; {elsewhere}") from error


def is_a_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
