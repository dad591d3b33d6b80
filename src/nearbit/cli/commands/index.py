"""`nearbit index`: images into a searchable index."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearbit.cli.console import (
    Bars,
    Data,
    data_options,
    device_option,
    emit,
    json_option,
    list_problems,
    read_dataset,
    read_images,
)
from nearbit.cli.index_actions import Action, action_options
from nearbit.errors import InputError

if TYPE_CHECKING:
    from nearbit.indexing_places import Gone

HOW_TO_FIND = (
    "--sync of the folder where they are now gives their items the new paths, --remove-missing removes the items"
)


@click.command("index", epilog="Example: nearbit index birds.index photos/ --model birds.model")
@click.argument("index_path", metavar="INDEX", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("sources", metavar="[IMAGES]...", nargs=-1, type=Data())
@click.option(
    "--model",
    "model_path",
    type=click.Path(path_type=Path),
    help="The model folder, or one that `nearbit export --onnx` wrote. [default: the one that the index names]",
)
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "query", "database"]),
    help="Only this part of the split that the model records.",
)
@click.option(
    "--sync", is_flag=True, help="Mirror the folder IMAGES: moved images keep their ids, items of lost ones go."
)
@click.option(
    "--keep-outputs",
    type=click.Choice(["int8", "float16"]),
    help="Keep real-valued outputs too, which order results of one distance; when INDEX is made.",
)
@action_options
@device_option
@data_options
@json_option
def command(
    index_path: Path,
    sources: tuple[str, ...],
    model_path: Path | None,
    part: str | None,
    sync: bool,
    keep_outputs: str | None,
    device: str,
    as_json: bool,
    cache: Path | None,
    split_file: Path | None,
    n_bits: int | None,
    vacuum: bool,
    remove: str | None,
    remove_where: str | None,
    verify: bool,
    compact: bool,
    stats: bool,
    missing: bool,
    only_count: bool,
    force: bool,
    export: Path | None,
    import_: Path | None,
    replace_with: Path | None,
    **reading: Any,
) -> None:
    """Encode IMAGES (a folder, a labels file, a known data set, or image files) and put them into INDEX.

    INDEX is made where it is missing. Images that it holds already are passed over, changed ones are replaced, so the
    same command takes in what is new, new labels of known images too, and an interrupted one goes on where it stopped.
    Items of images that are gone stay, unless --sync is given; images that lie elsewhere now keep their ids with it.

    Without IMAGES, one of --remove, --remove-where, --remove-missing, --verify, --compact, --stats, --export,
    --import and --replace-with.
    """
    action = Action(
        index_path, model_path, n_bits, vacuum, remove, remove_where, verify, compact, stats, missing, only_count,
        force, export, import_, replace_with,
    )  # fmt: skip
    if action.is_asked(sources):
        about, lines = action.run()
        emit(about, as_json=as_json, lines=lines)
        return
    if split_file is not None and part is None:
        raise InputError("--split-file goes with --part: without it all images are taken")
    kept = cache or _default_cache()
    request = _Request(index_path, sources, model_path, part, sync, keep_outputs, device, kept, split_file, reading)
    about, gone = _index_images(request)
    emit(about, as_json=as_json, lines=_lines(index_path, about, gone))


@dataclass(frozen=True)
class _Request:
    """What the options ask for."""

    index_path: Path
    sources: tuple[str, ...]
    model_path: Path | None
    part: str | None
    sync: bool
    keep_outputs: str | None
    device: str
    cache: Path
    split_file: Path | None
    reading: dict[str, Any]


def _index_images(asked: _Request) -> "tuple[dict[str, Any], Gone]":
    """Put images into an index and return what was done, and which files of the index are gone."""
    from nearbit.files.writing import path_seen_from
    from nearbit.index import create_index
    from nearbit.indexing import index_dataset
    from nearbit.indexing_places import look_for_files
    from nearbit.model.load import load_any_model

    index_path = asked.index_path
    if asked.sync:
        _check_mirror(asked)
    folder = asked.model_path or recorded_model(index_path)
    model = load_any_model(folder)
    make = partial(
        create_index, index_path, model.n_bits, model_id=model.model_id, outputs=asked.keep_outputs, exist_ok=True
    )
    if index_path.exists():
        make().close()
    with Bars() as progress:
        dataset, rows = _read(asked, model, progress)
        with make() as index:
            index.set_notes({"model_path": path_seen_from(index.path.absolute().parent, folder)})
            done = index_dataset(
                index, model, dataset, rows, sync=asked.sync, device=asked.device, cache=asked.cache, progress=progress
            )
            total, gone = len(index), look_for_files(index)
    errors = list_problems(dataset.problems + done.problems, index_path.with_name(index_path.name + ".errors.jsonl"))
    about = {
        "index": str(index_path),
        "items": total,
        "added": done.added,
        "replaced": done.replaced,
        "unchanged": done.unchanged,
        "absent": done.absent,
        "relabelled": done.relabelled,
        "moved": done.moved,
        "removed": done.removed,
        "missing": len(gone.ids),
        "files_looked_at": gone.looked_at,
        "n_bits": model.n_bits,
        "model_id": model.model_id,
        "errors_file": errors,
    }
    return about, gone


def _lines(index_path: Path, about: dict[str, Any], gone: "Gone") -> list[str]:
    counts = [f"{about[name]} {name}" for name in ("added", "replaced", "unchanged")]
    counts += [f"{about[name]} {name}" for name in ("relabelled", "moved", "removed") if about[name]]
    lines = [f"{index_path}: {about['items']} items of {about['n_bits']} bits ({', '.join(counts)})"]
    if about["absent"]:
        lines.append(
            f"{about['absent']} items are of images that are no longer there; they stay in the index (--sync removes)"
        )
    if about["missing"] > about["absent"]:
        lines.append(f"{gone.words}: {HOW_TO_FIND}")
    return [*lines, f"next: nearbit search {index_path} QUERY.jpg"]


def _read(asked: _Request, model: Any, progress: Any) -> tuple[Any, Any]:
    """Return the data set that is asked for, and the rows of its part, None for all."""
    reading = asked.reading | {"cache": asked.cache, "progress": progress}
    if asked.part is None:
        return read_images(asked.sources, **reading), None
    dataset = read_dataset(_only(asked.sources), split_file=asked.split_file, **reading)
    return dataset, part_rows(model, dataset, asked.part)


def _check_mirror(asked: _Request) -> None:
    """Refuse to take a few image files for all that a folder holds."""
    if asked.part is not None:
        raise InputError("--sync needs all images: leave --part out")
    if len(asked.sources) != 1 or not (
        Path(asked.sources[0]).is_dir() or Path(asked.sources[0]).suffix.lower() in (".csv", ".tsv", ".jsonl", ".json")
    ):
        raise InputError("--sync needs one folder or labels file, of which INDEX is to be the mirror")


def _default_cache() -> Path:
    from nearbit.files.writing import cache_folder

    return cache_folder()


def recorded_model(index_path: Path) -> Path:
    """Return the model folder that an index names, or raise an error that asks for --model."""
    from nearbit.index import open_index

    if not index_path.exists():
        raise InputError(f"{index_path} is a new index: name the model that makes its codes (--model FOLDER)")
    with open_index(index_path, read_only=True) as index:
        note, own_folder = index.notes().get("model_path"), index.path.absolute().parent
    if note is None:
        raise InputError(f"{index_path} names no model: give it (--model FOLDER)")
    folder = Path(own_folder, note).resolve()
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
