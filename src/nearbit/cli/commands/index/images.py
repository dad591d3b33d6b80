"""`nearbit index add` and `sync`: images into a searchable index."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.commands.index.start import Start, begun_model, model_folder_of, start_lines, start_options
from nearbit.cli.console import (
    Bars,
    Data,
    data_options,
    device_option,
    echo,
    emit,
    image_options,
    index_argument,
    json_option,
    list_problems,
    model_of_index_option,
    read_dataset,
    read_images,
)
from nearbit.errors import InputError
from nearbit.names import counted
from nearbit.reading import ReadingOptions

if TYPE_CHECKING:
    from nearbit.datasets import Dataset
    from nearbit.index import Home, Place
    from nearbit.indexing_places import Gone
    from nearbit.model.bundle import Model
    from nearbit.model.onnx import OnnxModel

HOW_TO_FIND = (
    "nearbit index sync with the folder where they are now gives their items the new paths, nearbit index remove "
    "--missing removes the items"
)
COUNTS = ("added", "replaced", "unchanged", "absent", "relabelled", "moved", "removed")

keep_outputs_option = click.option(
    "--keep-outputs",
    type=click.Choice(["int8", "float16"]),
    help="Keep real-valued outputs too, which order results of one distance; when INDEX is made.",
)
part_option = click.option(
    "--part",
    type=click.Choice(["train", "validation", "query", "database"]),
    help="Only this part of the split that the model records.",
)


@click.command("add", epilog="Example: nearbit index add birds.index photos/ --model birds.model")
@index_argument
@click.argument("sources", metavar="IMAGES...", nargs=-1, required=True, type=Data())
@model_of_index_option
@start_options
@part_option
@keep_outputs_option
@device_option
@data_options
@json_option
def add(index_path: "Place", sources: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Encode IMAGES and put them into INDEX.

    IMAGES are a folder, a labels file, a known data set, or image files. INDEX is made where it is missing. Images
    that it holds already are passed over, changed ones are replaced, so the same command takes in what is new, new
    labels of known images too, and an interrupted one goes on where it stopped. Items of
    images that are gone stay; `nearbit index sync` removes them.

    A new INDEX needs no model: without --model one is made without training, of a pretrained backbone, and lies in
    INDEX.model.
    """
    about, gone = put_images(index_path, sources, **options)
    emit(about, as_json=as_json, lines=lines_of(about, gone))


@click.command("sync", epilog="Example: nearbit index sync birds.index photos/")
@index_argument
@click.argument("source", metavar="IMAGES", type=Data())
@model_of_index_option
@start_options
@keep_outputs_option
@device_option
@image_options
@json_option
def sync(index_path: "Place", source: str, as_json: bool, **options: Any) -> None:
    """Make INDEX the mirror of one folder or labels file.

    New images are added and changed ones replaced, as `nearbit index add` does; an image that lies elsewhere now keeps
    its item with the id, and items of images that are gone from the folder are removed.
    """
    check_mirror(source, "sync")
    about, gone = put_images(index_path, (source,), is_mirror=True, **options)
    emit(about, as_json=as_json, lines=lines_of(about, gone))


def check_mirror(source: str, word: str) -> None:
    """Refuse to take one image for all that a folder holds."""
    from nearbit.datasets.formats import file_endings

    if not (Path(source).is_dir() or Path(source).suffix.lower() in file_endings()):
        raise InputError(f"{word} needs one folder or labels file, of which INDEX is to be the mirror, not {source}")


def put_images(
    index_path: "Place",
    sources: Sequence[str],
    *,
    model_path: Path | None,
    keep_outputs: str | None,
    device: str,
    cache: Path | None,
    part: str | None = None,
    is_mirror: bool = False,
    **given: Any,
) -> "tuple[dict[str, Any], Gone]":
    """Put images into an index; return what was done, for JSON, and which files of the index are gone."""
    from nearbit.files.writing import cache_folder
    from nearbit.index.homes import exists
    from nearbit.indexing import index_dataset
    from nearbit.indexing_places import look_for_files
    from nearbit.model.load import load_any_model, note_of_model

    start, kept = Start.taken_from(given), cache or cache_folder()
    if given.get("split_file") is not None and part is None:
        raise InputError("--split-file goes with --part: without it all images are taken")
    folder, dataset = model_folder_of(index_path, model_path), None
    with Bars() as progress:
        options = ReadingOptions(cache=kept, progress=progress, **given)
        if folder is None:
            dataset = _read_new(sources, part, index_path, options)
            folder = begun_model(index_path, dataset, start, keep_outputs, device=device, cache=kept, progress=progress)
        else:
            start.refuse(folder)
        model = load_any_model(folder)
        make = opener(index_path, model, keep_outputs)
        if exists(index_path):
            make().close()
        dataset, rows = _read(sources, model, part, options) if dataset is None else (dataset, None)
        with make() as index:
            index.set_notes(note_of_model(index, folder))
            done = index_dataset(
                index, model, dataset, rows, sync=is_mirror, device=device, cache=kept, progress=progress
            )
            total, gone = len(index), look_for_files(index)
            warnings = _warnings(index, index_path, model, done.added + done.replaced)
    errors = list_problems(dataset.problems + done.problems, _errors_file(index_path))
    about = {
        "index": str(index_path),
        "items": total,
        **{name: getattr(done, name) for name in COUNTS},
        "missing": len(gone.ids),
        "files_looked_at": gone.looked_at,
        "n_bits": model.n_bits,
        "model_id": model.model_id,
        "model": str(folder),
        "untrained": start_lines(index_path, sources, model),
        "warnings": warnings,
        "errors_file": errors,
    }
    return about, gone


def _warnings(index: "Home", place: "Place", model: "Model | OnnxModel", n_new: int) -> list[str]:
    """Say that codes collapse, of an index that is a file and in which at least half of the items are new."""
    from nearbit.grouping.same_codes import collapse_lines

    warnings = collapse_lines(index, model.classes) if isinstance(place, Path) and 2 * n_new >= len(index) else []
    for line in warnings:
        echo(f"nearbit: warning: {line}")
    return warnings


def opener(index_path: "Place", model: "Model | OnnxModel", keep_outputs: str | None) -> "Callable[[], Home]":
    """Return what makes the index of a model, or opens it."""
    from nearbit.index import create_index

    return partial(create_index, index_path, model.n_bits, model_id=model.model_id, outputs=keep_outputs, exist_ok=True)


def _errors_file(place: "Place") -> Path:
    """Return where it is written which images were skipped: beside the index, of one in a server in this folder."""
    if isinstance(place, Path):
        return place.with_name(place.name + ".errors.jsonl")
    return Path(f"{place.name}.errors.jsonl")


def _read_new(sources: Sequence[str], part: str | None, index_path: "Place", options: ReadingOptions) -> "Dataset":
    """Return the images of a new index without a model: all that there are."""
    if part is not None:
        raise InputError(
            f"--part {part} is of the split that a model records, and {index_path} is a new index without one: name "
            "the model (--model FOLDER), or leave --part out"
        )
    return read_images(sources, options)


def _read(
    sources: Sequence[str],
    model: "Model | OnnxModel",
    part: str | None,
    options: ReadingOptions,
) -> "tuple[Dataset, Any]":
    """Return the data set that is asked for, and the rows of its part, None for all."""
    if part is None:
        return read_images(sources, options), None
    if len(sources) != 1:
        raise InputError(f"--part needs the one data set that the model was trained on, not {len(sources)} sources")
    dataset = read_dataset(sources[0], options)
    if model.split is None:
        raise InputError(f"the model records no split: leave --part {part} out")
    model.split.check(dataset)
    rows = model.split.rows(part)
    if not len(rows):
        raise InputError(f"the split that the model records has no {part} images: leave --part {part} out")
    return dataset, rows


def lines_of(
    about: dict[str, Any], gone: "Gone", *, remove: str = "nearbit index sync removes them", find: str = HOW_TO_FIND
) -> list[str]:
    """Return the lines for people of what was done, with how absent items are removed and missing files found."""
    counts = [f"{about[name]} {name}" for name in ("added", "replaced", "unchanged")]
    counts += [f"{about[name]} {name}" for name in ("relabelled", "moved", "removed") if about[name]]
    lines = [f"{about['index']}: {about['items']} items of {about['n_bits']} bits ({', '.join(counts)})"]
    if about["absent"]:
        lines.append(
            counted(
                about["absent"],
                "item is of an image that is no longer there; it stays",
                "items are of images that are no longer there; they stay",
            )
            + f" in the index ({remove})"
        )
    if about["missing"] > about["absent"]:
        lines.append(f"{gone.words}: {find}")
    return [*lines, *about["untrained"], f"next: nearbit search {about['index']} QUERY.jpg"]
