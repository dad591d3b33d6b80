"""Options of `nearbit train` that contradict one another, or would do nothing for the method."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearbit.cli.console import refuse_options
from nearbit.errors import InputError

if TYPE_CHECKING:
    from nearbit.training import AnyRun, TrainOptions


def check_preset(options: "TrainOptions") -> None:
    """Refuse a recipe without the weights that it tunes."""
    if options.preset is not None and options.backbone == "resnet34" and options.weights is None:
        raise InputError(
            f"the preset {options.preset} fine-tunes a pretrained network: give the weights of resnet34 (--weights "
            "FILE.safetensors), or another --backbone"
        )


def check_stage(only: str | None, tensorboard: Path | None, final: bool) -> None:
    """Refuse what a training that stops before its network has no use for."""
    if only is not None and tensorboard is not None:
        raise InputError(f"--tensorboard shows a whole training, and --only {only} stops before: leave it out")
    if only is not None and final:
        raise InputError(f"--only {only} stops before there is a model to train again: leave --final out")


def is_baseline(method: str) -> bool:
    """Return whether a method makes codes of frozen features, which only a pretrained backbone gives."""
    from nearbit.methods import Baseline, find_method
    from nearbit.training import AUTO

    return method != AUTO and isinstance(find_method(method), Baseline)


def refuse_unused(method: str, regime: str) -> None:
    """Refuse options that would do nothing for a baseline."""
    from nearbit.methods import Baseline, find_method
    from nearbit.training import AUTO, unused_options

    if method == AUTO:
        return
    chosen = find_method(method)
    if isinstance(chosen, Baseline):
        names = {str(option.name) for option in click.get_current_context().command.params}
        unused = {*unused_options(chosen, regime=regime)}
        refuse_options(names - unused, f"would do nothing for {method}, which trains no hash network")


def refuse_unshown(run: "AnyRun", tensorboard: Path | None) -> None:
    """Refuse a folder for figures of epochs where closed forms alone are made, which have none."""
    from nearbit.training import FinalRun
    from nearbit.training.runs.auto import AutoRun
    from nearbit.training.runs.baseline import BaselineRun

    chooser = run.chooser if isinstance(run, FinalRun) else run
    planned = [*chooser.runs.values()] if isinstance(chooser, AutoRun) else [chooser]
    closed = [one.baseline for one in planned if isinstance(one, BaselineRun) and not one.baseline.trains_classifier]
    if tensorboard is not None and len(closed) == len(planned):
        names, train = " and ".join(one.name for one in closed), "trains" if len(closed) == 1 else "train"
        raise InputError(f"--tensorboard would do nothing for {names}, which {train} no hash network: leave it out")
