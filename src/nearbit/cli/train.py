"""`nearbit train`: from images with labels to a model folder."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.console import (
    Bars,
    data_options,
    device_option,
    json_option,
    list_problems,
    put,
    read_dataset,
    read_images,
    say,
)
from nearbit.cli.split import DIVIDING, build_split, part_sizes, split_options
from nearbit.errors import InputError
from nearbit.progress import Progress

if TYPE_CHECKING:
    from nearbit.bundle import Model
    from nearbit.datasets import Dataset
    from nearbit.training import BaselineRun, TrainingRun

FILE = click.Path(path_type=Path, dir_okay=False)

TRAINING = (
    "backbone",
    "weights",
    "image_size",
    "regime",
    "head",
    "epochs",
    "batch_size",
    "learning_rate",
    "select",
    "augment",
    "views",
    "device",
)


def method_values(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return options of a method from NAME=VALUE texts; values are read as JSON where they can be."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"a method option must read NAME=VALUE, not {pair!r}")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


@click.command("train", epilog="Example: nearbit train photos/ --method crh --bits 64 -o birds.model")
@click.argument("source", metavar="DATA")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The model folder to write.")
@click.option(
    "--method",
    default="crh",
    show_default=True,
    help="crh, shc, csq, mds or orthohash; or, on frozen features, itq, pca, random (these need no labels) or label.",
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
@click.option("--split", "split_path", type=FILE, help="A split that was written before.")
@click.option("--backbone", default="small", show_default=True, help="small, resnet18/34/50, timm:NAME, hf:FOLDER.")
@click.option("--weights", type=FILE, help="Pretrained weights (.safetensors).")
@click.option("--image-size", type=click.IntRange(1), help="Pixels a side. [default: the backbone's own]")
@click.option("--regime", type=click.Choice(["auto", "frozen", "fine-tuned"]), default="auto", show_default=True)
@click.option("--head", type=click.Choice(["auto", "linear", "hidden"]), default="auto", show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="[default: the method's]")
@click.option("--batch-size", type=click.IntRange(2), help="[default: the method's]")
@click.option("--learning-rate", type=float, help="[default: the method's]")
@click.option(
    "--select",
    type=click.Choice(["validation", "last"]),
    default="validation",
    show_default=True,
    help="Keep the best epoch on validation, or the last.",
)
@click.option(
    "--augment", type=click.Choice(["auto", "none", "crop", "crop+mirror"]), default="auto", show_default=True
)
@click.option("--views", type=click.IntRange(1), default=1, show_default=True, help="Cached views an image (frozen).")
@click.option("--overwrite", is_flag=True, help="Replace another model at OUTPUT.")
@device_option
@split_options
@data_options
@json_option
def command(
    source: str,
    output: Path,
    method: str,
    n_bits: int,
    pairs: tuple[str, ...],
    similarity: Path | None,
    centers: Path | None,
    only: str | None,
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
    from nearbit.files import cache_folder, remove_orphans
    from nearbit.training import TrainOptions, plan

    dividing = {name: given.pop(name) for name in DIVIDING}
    options = TrainOptions(seed=seed, **{name: given.pop(name) for name in TRAINING})
    if split_path is not None and any(dividing.values()):
        raise InputError(
            "--split names a split that is made: leave --protocol and the sizes out, and --allow-overlap, too"
        )
    with Bars() as progress:
        dataset = _read(source, method, cache=cache, progress=progress, **given)
        split = load_split(split_path) if split_path is not None else build_split(dataset, seed=seed, **dividing)
        run = plan(
            dataset,
            split,
            method=method,
            n_bits=n_bits,
            options=options,
            method_options=method_values(pairs),
            cache=cache or cache_folder(),
            similarity=_array(similarity),
            centers=_array(centers),
        )
        if only is not None:
            _write_stage(run, only, output, overwrite, progress, as_json)
            return
        finished = _finished(output, run.key(), overwrite)
        errors = list_problems(dataset.problems, output.with_name(output.name + ".errors.jsonl"))
        model = finished or _train(run, output, progress)
        if finished is not None:
            say(f"{output} is this very model already; nothing to train")
            remove_orphans(output.parent, output.name)
        shutil.rmtree(_checkpoint(output), ignore_errors=True)
    _report(model, output, errors, as_json)


def _checkpoint(output: Path) -> Path:
    return output.with_name(output.name + ".checkpoint")


def _train(run: "TrainingRun | BaselineRun", output: Path, progress: Progress) -> "Model":
    """Train and save the model; what was interrupted leaves its checkpoint."""
    checkpoint = _checkpoint(output)
    checkpoint.mkdir(parents=True, exist_ok=True)
    try:
        model = run.train(checkpoint, progress)
    finally:
        _remove_empty(checkpoint)
    model.save(output)
    return model


def _read(source: str, method: str, **given: Any) -> "Dataset":
    """Read a data set; for a method that needs no labels also a folder without any."""
    from nearbit.methods import Baseline, find_method

    chosen = find_method(method)
    if isinstance(chosen, Baseline) and not chosen.needs_labels and given["split_file"] is None:
        images = read_images([source], **{name: value for name, value in given.items() if name != "split_file"})
        if not images.labels.any():
            return images
    return read_dataset(source, **given)


def _array(path: Path | None) -> Any:
    """Return the array in an .npy file; None for no file."""
    if path is None:
        return None
    import numpy as np

    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is not a file of numbers that numpy.save wrote (.npy)") from error


def _write_stage(
    run: "TrainingRun | BaselineRun", only: str, output: Path, overwrite: bool, progress: Progress, as_json: bool
) -> None:
    """Run one stage and write its array; there is no checkpoint, but a classifier's logits are kept in the cache."""
    import numpy as np

    from nearbit.files import write_whole
    from nearbit.training import TrainingRun

    if not isinstance(run, TrainingRun):
        raise InputError(f"this method has no stage {only!r}: leave --only out")
    if output.suffix != ".npy":
        raise InputError(f"--only writes an array: end -o in .npy, not {output.name!r}")
    if output.exists() and not overwrite:
        raise InputError(f"{output} is there already: choose another -o, or pass --overwrite to replace it")
    found = run.similarity(progress=progress) if only == "similarity" else run.centers(progress=progress).centers
    if found is None:
        raise InputError(f"{run.method.name} with these options finds no similarity: leave --only out")

    def save(aside: Path) -> None:
        with open(aside, "wb") as file:
            np.save(file, found, allow_pickle=False)

    write_whole(output, save)
    shape = [int(size) for size in found.shape]
    put({only: str(output), "shape": shape}, as_json=as_json, lines=[f"{output}: {only}, {shape[0]} x {shape[1]}"])


def _remove_empty(folder: Path) -> None:
    """Remove a checkpoint folder that nothing was written to."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _finished(output: Path, key: str, overwrite: bool) -> "Model | None":
    """Return the model at `output` if it is what would be trained; refuse to replace another one unasked."""
    from nearbit.bundle import check_target, load_model

    check_target(output)
    if not output.exists() or overwrite:
        return None
    model = load_model(output)
    if model.record.get("run_key") == key:
        return model
    raise InputError(
        f"{output} holds another model ({model.method}, {model.n_bits} bits): choose another -o, or pass "
        "--overwrite to replace it"
    )


def _report(model: "Model", output: Path, errors: str | None, as_json: bool) -> None:
    record = model.record
    split = model.split
    sizes = part_sizes(split) if split is not None else {}
    score = record["validation_map"]
    about = {
        "model": str(output),
        "model_id": model.model_id,
        "method": model.method,
        "n_bits": model.n_bits,
        "regime": record["regime"],
        "head": model.head["kind"],
        "head_candidates": record["head_candidates"],
        "selected_epoch": record["selected_epoch"],
        "epochs": record["schedule"]["epochs"],
        "validation_map": score,
        "split": sizes,
        "seconds": record["seconds"],
        "errors_file": errors,
    }
    put(
        about,
        as_json=as_json,
        lines=[
            f"{output}: {model.method}, {model.n_bits} bits, {record['regime']}, {model.head['kind']} head "
            f"on {record['options']['backbone']}",
            f"epoch {about['selected_epoch']} of {about['epochs']}"
            + (f", validation mAP {score:.4f} (tie-aware)" if score is not None else ", no validation"),
            f"next: nearbit evaluate {output} DATA, or nearbit index NAME.index DATA --model {output}",
        ],
    )
