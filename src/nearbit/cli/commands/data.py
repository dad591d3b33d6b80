"""`nearbit data`: read images with labels and say what is there."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.console import (
    Bars,
    Data,
    data_options,
    emit,
    json_option,
    list_problems,
    read_dataset,
    read_images,
)
from nearbit.errors import DataError, NearbitError
from nearbit.names import counted
from nearbit.reading import ReadingOptions

if TYPE_CHECKING:
    from nearbit.datasets import Dataset


@click.command("data", epilog="Example: nearbit data photos/ --errors skipped.jsonl")
@click.argument("source", metavar="DATA", type=Data())
@click.option(
    "--errors",
    type=click.Path(path_type=Path),
    default=Path("nearbit-errors.jsonl"),
    show_default=True,
    help="Where skipped images are listed.",
)
@data_options
@json_option
def command(source: str, errors: Path, as_json: bool, **reading: Any) -> None:
    """Read DATA: a folder with one folder a class, a labels file (CSV, JSONL, COCO), a CIFAR folder, digits or shapes.

    Every image is decoded once; what cannot be read is skipped and listed with the reason. It is said how the folders
    are understood, and by which option they are read otherwise. Images without labels are counted too.
    """
    with Bars() as progress:
        dataset = _read(source, ReadingOptions(progress=progress, **reading))
    listed = list_problems(dataset.problems, errors)
    about = dataset.summary() | {"fingerprint": dataset.fingerprint, "errors_file": listed}
    about |= {"read_as": dataset.read_as, "notes": list(dataset.notes)}
    emit(about, as_json=as_json, lines=_lines(about, source))


def _read(source: str, options: ReadingOptions) -> "Dataset":
    """Read images with labels; where there is not one label, the images alone."""
    try:
        return read_dataset(source, options)
    except DataError:
        if options.split_file is not None or options.download:
            raise
        try:
            images = read_images([source], options)
        except NearbitError:
            images = None
        if images is None or images.labels.any():
            raise
        return images


def _lines(about: dict[str, Any], source: str) -> list[str]:
    images = counted(about["images"], "image", "images")
    read = [f"read: {about['read_as']}"] if about["read_as"] else []
    if not about["classes"]:
        return [
            f"{about['name']}: {images} without labels, {about['skipped']} skipped",
            f"without labels there are itq, pca and random: nearbit train {source} --method itq -o NAME.model",
            "the other methods and `nearbit evaluate` need one folder a class, or a labels file",
            *about["notes"],
        ]
    spread = about["images_per_class"]
    return [
        f"{about['name']}: {images}, {counted(about['classes'], 'class', 'classes')}, {about['skipped']} skipped",
        f"images a class: {spread['min']} to {spread['max']}, median {spread['median']:g}",
        f"labels an image: {about['labels_per_image']:g}",
        *read,
        *about["notes"],
    ]
