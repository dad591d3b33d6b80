"""`nearbit index`: images into a searchable index."""

from pathlib import Path
from typing import Any

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
)
from nearbit.errors import InputError


@click.command("index", epilog="Example: nearbit index birds.index photos/ --model birds.model")
@click.argument("index_path", metavar="INDEX", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("sources", metavar="IMAGES...", nargs=-1, required=True)
@click.option(
    "--model",
    "model_path",
    type=click.Path(path_type=Path),
    help="The model folder. [default: the one that the index names]",
)
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "query", "database"]),
    help="Only this part of the split that the model records.",
)
@device_option
@data_options
@json_option
def command(
    index_path: Path,
    sources: tuple[str, ...],
    model_path: Path | None,
    part: str | None,
    device: str,
    as_json: bool,
    cache: Path | None,
    split_file: Path | None,
    **reading: Any,
) -> None:
    """Encode IMAGES (a folder, a labels file, a known data set, or image files) and put them into INDEX.

    INDEX is made where it is missing. Images that it holds already are passed over, changed ones are replaced, so the
    same command takes in what is new, and an interrupted one goes on where it stopped. Items of images that are gone
    stay.
    """
    from nearbit.bundle import load_model
    from nearbit.files import cache_folder, path_seen_from
    from nearbit.index import create_index
    from nearbit.indexing import index_dataset

    folder = model_path or recorded_model(index_path)
    model = load_model(folder)
    kept = cache or cache_folder()
    if index_path.exists():
        create_index(index_path, model.n_bits, model_id=model.model_id, exist_ok=True).close()
    with Bars() as progress:
        rows: Any = None
        if part is None:
            dataset = read_images(sources, cache=kept, progress=progress, **reading)
        else:
            only = _only(sources)
            dataset = read_dataset(only, split_file=split_file, cache=kept, progress=progress, **reading)
            rows = part_rows(model, dataset, part)
        with create_index(index_path, model.n_bits, model_id=model.model_id, exist_ok=True) as index:
            index.set_notes({"model_path": path_seen_from(index_path.absolute().parent, folder)})
            done = index_dataset(index, model, dataset, rows, device=device, cache=kept, progress=progress)
            total = len(index)
    errors = list_problems(dataset.problems + done.problems, index_path.with_name(index_path.name + ".errors.jsonl"))
    about = {
        "index": str(index_path),
        "items": total,
        "added": done.added,
        "replaced": done.replaced,
        "unchanged": done.unchanged,
        "absent": done.absent,
        "n_bits": model.n_bits,
        "model_id": model.model_id,
        "errors_file": errors,
    }
    put(
        about,
        as_json=as_json,
        lines=[
            f"{index_path}: {total} items of {model.n_bits} bits ({done.added} added, {done.replaced} replaced, "
            f"{done.unchanged} unchanged)",
            *(
                [f"{done.absent} items are of images that are no longer there; they stay in the index"]
                * (done.absent > 0)
            ),
            f"next: nearbit search {index_path} QUERY.jpg",
        ],
    )


def recorded_model(index_path: Path) -> Path:
    """Return the model folder that an index names, or raise an error that asks for --model."""
    from nearbit.index import open_index

    if not index_path.exists():
        raise InputError(f"{index_path} is a new index: name the model that makes its codes (--model FOLDER)")
    with open_index(index_path, read_only=True) as index:
        note = index.notes().get("model_path")
    if note is None:
        raise InputError(f"{index_path} names no model: give it (--model FOLDER)")
    folder = Path(index_path.absolute().parent, note).resolve()
    if not folder.is_dir():
        raise InputError(f"{index_path} names the model {note} beside it, which is not there: give it (--model FOLDER)")
    return folder


def part_rows(model: Any, dataset: Any, part: str) -> Any:
    """Return the rows of one part of the split that a model records, after checking that it belongs to the data."""
    if model.split is None:
        raise InputError(f"the model records no split: leave --part {part} out")
    model.split.check(dataset)
    return getattr(model.split, part)


def _only(sources: tuple[str, ...]) -> str:
    if len(sources) != 1:
        raise InputError(f"--part needs the one data set that the model was trained on, not {len(sources)} sources")
    return sources[0]
