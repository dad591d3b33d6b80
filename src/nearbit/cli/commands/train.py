"""`nearbit train`: from images with labels to a model folder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.backbone_options import with_backbone
from nearbit.cli.console import (
    Bars,
    Data,
    NewPath,
    data_options,
    echo,
    json_option,
    read_dataset,
    read_images,
    say_notes,
)
from nearbit.cli.split_options import (
    DIVIDING,
    build_split,
    refuse_dividing,
    say_few_images,
    say_split_notes,
    split_options,
)
from nearbit.cli.train_outcome import finished_model, list_skipped, report
from nearbit.cli.train_refusals import check_preset, check_stage, is_baseline, refuse_unshown, refuse_unused
from nearbit.cli.train_stage import write_stage
from nearbit.cli.train_told import printing_callbacks
from nearbit.cli.training_options import FILE, TRAINING, training_options
from nearbit.errors import DataError, InputError
from nearbit.json_text import json_or_text
from nearbit.progress import Progress, silent
from nearbit.reading import ReadingOptions

if TYPE_CHECKING:
    from nearbit.datasets import Dataset
    from nearbit.model.bundle import Model
    from nearbit.training import AnyRun


OPTIONS = (*TRAINING, "head", "published_selection")
"""Parameters of this command: fields of `TrainOptions`."""


def method_values(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return options of a method from NAME=VALUE texts; values are read as JSON where they can be."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"a method option must read NAME=VALUE, not {pair!r}")
        if name in values:
            raise InputError(f"the option {name} of the method is given twice: leave one --option {name}=… out")
        values[name] = json_or_text(text, f"the value of --option {name}", InputError)
    return values


def _take_preset(context: click.Context, _: click.Parameter, name: str | None) -> str | None:
    """Let the options of a recipe be the defaults of this command."""
    if name is None or context.resilient_parsing:
        return name
    from nearbit.methods.presets import preset_named

    preset = preset_named(name)
    context.default_map = {**(context.default_map or {}), **preset.options, "method": preset.method}
    return name


@click.command("train", epilog="Example: nearbit train photos/ --method crh --bits 64 -o birds.model")
@click.argument("source", metavar="DATA", type=Data())
@click.option("-o", "--output", type=NewPath(), required=True, help="The model folder to write.")
@click.option(
    "--method",
    default="auto",
    show_default=True,
    help="auto: on frozen features ech, ridge and itq are trained, and the best on validation is kept; else crh. Or "
    "crh, shc, csq, mds, orthohash, dpn, hclm, ics, dsah; on frozen features ech, itq, pca, random (the last three "
    "need no labels), ridge, label, rslh or sslh; or one that an installed package adds.",
)
@click.option(
    "--preset",
    is_eager=True,
    expose_value=True,
    callback=_take_preset,
    help="A published recipe: shc-paper, shc-paper-cifar100, crh-paper. What else is given takes the place of its own.",
)
@click.option("--bits", "n_bits", type=click.IntRange(1), default=64, show_default=True, help="Code length.")
@click.option("--option", "pairs", multiple=True, metavar="NAME=VALUE", help="An option of the method; repeatable.")
@click.option("--similarity", type=FILE, help="A similarity of classes (.npy): leaves out the first stage of shc.")
@click.option("--centers", type=FILE, help="Centers to train towards (.npy): leaves out all before the network.")
@click.option(
    "--only",
    type=click.Choice(["similarity", "centers"]),
    help="Stop after this stage, and write what it found to OUTPUT (.npy).",
)
@click.option(
    "--final",
    is_flag=True,
    help="Train what was chosen once more, on the images of all parts: a model to ship, which these cannot measure.",
)
@click.option("--split", "split_path", type=FILE, help="A split that was written before.")
@training_options
@click.option("--head", type=click.Choice(["auto", "linear", "hidden"]), default="auto", show_default=True)
@click.option(
    "--published-selection/--no-published-selection",
    default=False,
    help="Measure the queries, too, at each look at validation, and write down the epoch that is best on them, as "
    "papers report it; it chooses nothing. [default: off; on for a preset]",
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the figures of each epoch, to look at in TensorBoard.",
)
@click.option("--overwrite", is_flag=True, help="Replace another model at OUTPUT.")
@split_options
@data_options
@json_option
def command(
    source: str,
    output: Path,
    method: str,
    preset: str | None,
    n_bits: int,
    pairs: tuple[str, ...],
    similarity: Path | None,
    centers: Path | None,
    only: str | None,
    final: bool,
    tensorboard: Path | None,
    split_path: Path | None,
    overwrite: bool,
    as_json: bool,
    seed: int,
    cache: Path | None,
    **given: Any,
) -> None:
    """Train a hash network on DATA. Interrupted, it goes on from its checkpoint when the same command is repeated.

    The same seed divides the data, makes the centers and trains the network.
    """
    from nearbit.datasets import load_split
    from nearbit.files.writing import cache_folder
    from nearbit.training import TrainOptions, joined_processes, plan

    with joined_processes(given["device"]) as processes, Bars() as bars:
        progress = bars if processes.is_main else silent
        dividing = {name: given.pop(name) for name in DIVIDING}
        options = TrainOptions(seed=seed, preset=preset, **{name: given.pop(name) for name in OPTIONS})
        agreed = given.pop("yes")
        check_preset(options)
        refuse_dividing(split_path, dividing)
        refuse_unused(method, options.regime)
        check_stage(only, tensorboard, final)
        with processes.main_first():
            dataset = _read(source, method, ReadingOptions(cache=cache, progress=progress, **given))
            wants_pretrained = is_baseline(method) and options.regime != "two-step"
            options = with_backbone(options, None if wants_pretrained else dataset.source, agreed=agreed)
        if processes.is_main:
            say_notes(dataset)
            _say_recipe(preset)
        split = load_split(split_path) if split_path is not None else build_split(dataset, seed=seed, **dividing)
        if processes.is_main:
            say_split_notes(split)
        run = plan(
            dataset,
            split,
            method=method,
            n_bits=n_bits,
            options=options,
            method_options=_method_options(preset, method, pairs),
            cache=cache or cache_folder(),
            similarity=_array_in(similarity),
            centers=_array_in(centers),
            final=final,
        )
        refuse_unshown(run, tensorboard)
        if processes.is_main:
            _say_hurried(run)
        if only is not None:
            write_stage(run, only, output, overwrite, progress, as_json)
        else:
            _train(run, output, overwrite, tensorboard, progress, as_json)
            if processes.is_main and split_path is None:
                say_few_images(dataset, split)


def _say_recipe(preset: str | None) -> None:
    """Say which paper a recipe is of, and what of the paper's it has not."""
    if preset is None:
        return
    from nearbit.methods.presets import preset_named

    recipe = preset_named(preset)
    echo(f"recipe {recipe.name}: {recipe.citation}")
    for line in recipe.differs:
        echo(f"  differs: {line}")


def _say_hurried(run: "AnyRun") -> None:
    """Say where few epochs are asked for at a learning rate that is meant for many."""
    from nearbit.training import FinalRun, TrainingRun, hurried

    chooser = run.chooser if isinstance(run, FinalRun) else run
    if isinstance(chooser, TrainingRun):
        note = hurried(chooser.method, chooser.context.options, chooser.context.regime)
        if note is not None:
            echo(f"nearbit: note: {note}")


def _method_options(preset: str | None, method: str, pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return the options of the method: those of the recipe, where it is its method, and those given."""
    if preset is None:
        return method_values(pairs)
    from nearbit.methods.presets import preset_of_method

    return {**preset_of_method(preset, method).method_options, **method_values(pairs)}


def _train(
    run: "AnyRun",
    output: Path,
    overwrite: bool,
    tensorboard: Path | None,
    progress: Progress,
    as_json: bool,
) -> None:
    """Train and save the model unless it is there, and report it; of several processes the main one writes."""
    from nearbit.files.locking import alone
    from nearbit.training.checkpoint_folder import checkpoints_of, lock_of, remove_own
    from nearbit.training.inputs.decoded import remove_left

    processes, checkpoint = run.context.processes, output.with_name(output.name + ".checkpoint")
    with ExitStack() as stack:
        stack.enter_context(checkpoints_of(run.key()))
        if processes.is_main:
            with suppress(OSError):  # whoever writes there says so
                output.parent.mkdir(parents=True, exist_ok=True)
            busy = f"{output} is being trained by another command: repeat this one after it, or name another output"
            stack.enter_context(alone(lock_of(checkpoint), DataError(busy)))
        model = finished_model(output, run, overwrite) if processes.is_main else None
        is_there = processes.broadcast_bytes(None if model is None else b"") is not None
        errors = list_skipped(run, output) if processes.is_main else None
        with _going_on_from(checkpoint):
            if not is_there:
                model = _trained(run, checkpoint, tensorboard, progress)
            if model is None or not processes.is_main:
                return
            _keep(model, output, is_there)
            if is_there and run.context.cache is not None:
                remove_left(run.context.cache)
        remove_own(checkpoint)
    report(model, output, errors, as_json)


def _keep(model: "Model", output: Path, is_there: bool) -> None:
    """Save a model with its card; one that is there already stays as it is."""
    from nearbit.encoding.fast import network_of
    from nearbit.files.writing import remove_orphans
    from nearbit.model.card import write_card
    from nearbit.model.hub import CARD

    if is_there:
        echo(f"{output} is this very model already; nothing to train")
        remove_orphans(output.parent, output.name)
    else:
        model.save(output, network=network_of(model.network, model.preprocessing))
    if not (output / CARD).exists():  # what stands there may be someone's own words
        write_card(output)


@contextmanager
def _going_on_from(checkpoint: Path) -> Iterator[None]:
    """Let an error within the block say that what was trained so far is kept, where it is and can be gone on from."""
    from nearbit.training.checkpoint import UnusableCheckpoint
    from nearbit.training.checkpoint_folder import has_own

    try:
        yield
    except Exception as error:
        if has_own(checkpoint) and not isinstance(error, UnusableCheckpoint):
            error.add_note(f"(What was trained so far stays in {checkpoint}: the same command goes on from there.)")
        raise


def _trained(run: "AnyRun", checkpoint: Path, tensorboard: Path | None, progress: Progress) -> "Model":
    """Train the model; what was interrupted leaves its checkpoint."""
    from nearbit.training import NO_CALLBACKS
    from nearbit.training.checkpoint_folder import remove_empty

    if not run.context.processes.is_main:
        return run.train(checkpoint, progress, NO_CALLBACKS)
    checkpoint.mkdir(parents=True, exist_ok=True)
    try:
        with printing_callbacks(tensorboard, progress) as callbacks:
            return run.train(checkpoint, progress, callbacks)
    finally:
        remove_empty(checkpoint)


def _array_in(path: Path | None) -> Any:
    """Return the array in an .npy file; None for no file."""
    if path is None:
        return None
    import numpy as np

    from nearbit.files.arrays import UNREADABLE

    try:
        return np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise InputError(f"{path} is not a file of numbers that numpy.save wrote (.npy)") from error


def _read(source: str, method: str, options: ReadingOptions) -> "Dataset":
    """Read a data set; for a method that needs no labels also a folder without any."""
    from nearbit.methods import Baseline, find_method
    from nearbit.training import AUTO

    chosen = None if method == AUTO else find_method(method)
    if isinstance(chosen, Baseline) and not chosen.needs_labels and options.split_file is None:
        images = read_images([source], options)
        if not images.labels.any():
            return images
    return read_dataset(source, options)
