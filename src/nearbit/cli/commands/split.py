"""`nearbit split`: divide a data set and write the split as JSON."""

from pathlib import Path
from typing import Any

import click

from nearbit.cli.console import Bars, Data, data_options, emit, json_option, list_problems, read_dataset, say_notes
from nearbit.cli.split_options import (
    DIVIDING,
    build_split,
    part_sizes,
    say_few_images,
    say_split_notes,
    split_options,
)
from nearbit.reading import ReadingOptions


@click.command("split", epilog="Example: nearbit split photos/ -o split.json --query 5 --validation 0.1 --seed 1")
@click.argument("source", metavar="DATA", type=Data())
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The JSON file to write."
)
@split_options
@data_options
@json_option
def command(source: str, output: Path, as_json: bool, **options: Any) -> None:
    """Divide DATA into train, validation, query and database and write the row numbers with their content hashes."""
    dividing = {name: options.pop(name) for name in ("seed", *DIVIDING)}
    with Bars() as progress:
        dataset = read_dataset(source, ReadingOptions(progress=progress, **options))
    say_notes(dataset)
    split = build_split(dataset, **dividing)
    split.save(output)
    errors = list_problems(dataset.problems, output.with_name(output.name + ".errors.jsonl"))
    sizes = part_sizes(split)
    emit(
        {"split": str(output), "hash": split.hash, "recipe": split.recipe, **sizes, "errors_file": errors}
        | {"notes": list(split.notes)},
        as_json=as_json,
        lines=[
            f"{output}: " + ", ".join(f"{number} {part}" for part, number in sizes.items()),
            *([f"unseen classes: {', '.join(split.recipe['unseen'])}"] if "unseen" in split.recipe else []),
            f"hash {split.hash}",
        ],
    )
    say_split_notes(split)
    say_few_images(dataset, split)
