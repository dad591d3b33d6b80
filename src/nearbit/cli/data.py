"""`nearbit data`: read images with labels and say what is there."""

from pathlib import Path
from typing import Any

import click

from nearbit.cli.console import Bars, data_options, json_option, list_problems, put, read_dataset


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

    Every image is decoded once; what cannot be read is skipped and listed with the reason.
    """
    with Bars() as progress:
        dataset = read_dataset(source, progress=progress, **reading)
    listed = list_problems(dataset.problems, errors)
    about = dataset.summary() | {"fingerprint": dataset.fingerprint, "errors_file": listed}
    spread = about["images_per_class"]
    put(
        about,
        as_json=as_json,
        lines=[
            f"{about['name']}: {about['images']} images, {about['classes']} classes, {about['skipped']} skipped",
            f"images a class: {spread['min']} to {spread['max']}, median {spread['median']:g}",
            f"labels an image: {about['labels_per_image']:g}",
        ],
    )
