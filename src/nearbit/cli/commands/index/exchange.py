"""`nearbit index export` and `import`: the items of an index as files of other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearbit.cli.commands.index.images import keep_outputs_option
from nearbit.cli.console import Bars, emit, index_argument, json_option, model_option
from nearbit.errors import InputError
from nearbit.progress import Progress

if TYPE_CHECKING:
    from nearbit.index import Home, Place
    from nearbit.index.exchange.folder import FolderOfCodes
    from nearbit.index.exchange.items import Exchanged


@click.command("export", epilog="Example: nearbit index export birds.index birds.faiss")
@index_argument
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def export(index_path: "Place", file: Path, as_json: bool) -> None:
    """Write the items of INDEX to FILE, for another program.

    FILE ends in .npz, .parquet, .arrow, .faiss, .usearch or .sql, and may be an address such as s3://bucket/a.parquet.
    """
    from nearbit.files.addresses import address_of
    from nearbit.index import open_index
    from nearbit.index.exchange import export_index

    with open_index(index_path, read_only=True) as index:
        n_items = export_index(index, file)
    about = {"index": str(index_path), "items": n_items, "file": address_of(file)}
    emit(about, as_json=as_json, lines=[f"{address_of(file)}: {n_items} items"])


@click.command("import", epilog="Example: nearbit index import birds.index birds.npz")
@index_argument
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--bits", "n_bits", type=click.IntRange(1), help="The code length, where FILE does not tell it.")
@model_option("The model that made the codes, where FILE does not name it.")
@keep_outputs_option
@json_option
def import_(
    index_path: "Place",
    file: Path,
    n_bits: int | None,
    model_path: Path | None,
    keep_outputs: str | None,
    as_json: bool,
) -> None:
    """Add the items of FILE to INDEX.

    FILE ends in .npz, .parquet, .arrow, .faiss or .usearch, and may be what nearbit encode wrote, also the folder of
    codes that it makes of shards, and an address such as s3://bucket/codes. INDEX is made where it is missing.
    """
    from nearbit.files.addresses import FilePlace
    from nearbit.index import create_index
    from nearbit.index.exchange import read_file
    from nearbit.index.exchange.folder import is_folder, read_folder
    from nearbit.index.exchange.items import length_of
    from nearbit.index.homes import exists
    from nearbit.model.load import note_of_model

    place = FilePlace.of(file)
    items = read_folder(place) if is_folder(place) else read_file(place.text, n_bits)
    length_of(items.n_bits, n_bits, place.text)
    model_id = items.model_id if model_path is None else _checked_model(place.text, items, model_path)
    is_new = not exists(index_path)
    kept = keep_outputs or (getattr(items, "keeps", None) if is_new else None)
    if is_new:
        _check_kept(items, kept)
    with (
        create_index(index_path, items.n_bits, model_id=model_id, outputs=kept, exist_ok=True) as index,
        Bars() as bars,
    ):
        added = _imported(index, items, bars)
        if model_path is not None:
            index.set_notes(note_of_model(index, model_path))
        total = len(index)
    about = {"index": str(index_path), "added": added, "items": total, "n_bits": items.n_bits}
    emit(about, as_json=as_json, lines=[f"{index_path}: {total} items of {items.n_bits} bits ({added} added)"])


@click.command("snapshot", epilog="Example: nearbit index snapshot birds.index s3://bucket/birds")
@index_argument
@click.argument("address", type=click.Path(path_type=Path))
@json_option
def snapshot(index_path: Path, address: Path, as_json: bool) -> None:
    """Put a copy of INDEX, verified, into the folder ADDRESS.

    ADDRESS is such as s3://bucket/birds, or a path. Others may search and write meanwhile.
    """
    from nearbit.files.addresses import address_of
    from nearbit.index import open_index
    from nearbit.index.exchange.snapshot import save_snapshot

    with open_index(index_path, read_only=True) as index:
        made = save_snapshot(index, address)
    about = {"index": str(index_path), "snapshot": address_of(address), **made}
    emit(about, as_json=as_json, lines=[f"{about['snapshot']}: {made['items']} items, {made['bytes']} bytes, verified"])


@click.command("restore", epilog="Example: nearbit index restore birds.index s3://bucket/birds")
@index_argument
@click.argument("address", type=click.Path(path_type=Path))
@json_option
def restore(index_path: Path, address: Path, as_json: bool) -> None:
    """Make INDEX of the snapshot in ADDRESS, once that is verified."""
    from nearbit.files.addresses import address_of
    from nearbit.index.exchange.snapshot import restore_snapshot

    made = restore_snapshot(index_path, address)
    about = {"index": str(index_path), "snapshot": address_of(address), **made}
    emit(about, as_json=as_json, lines=[f"{index_path}: {made['items']} items of {made['n_bits']} bits, verified"])


def _imported(index: "Home", items: "Exchanged | FolderOfCodes", progress: Progress) -> int:
    from nearbit.index.exchange import import_items
    from nearbit.index.exchange.folder import FolderOfCodes, import_folder

    return import_folder(index, items, progress) if isinstance(items, FolderOfCodes) else import_items(index, items)


def _check_kept(items: "Exchanged | FolderOfCodes", kept: str | None) -> None:
    """Refuse what a new index would not take, before there is one."""
    from nearbit.index.exchange.files import check_outputs_are_there
    from nearbit.index.exchange.folder import FolderOfCodes, check_outputs_of_folder

    if isinstance(items, FolderOfCodes):
        check_outputs_of_folder(items, kept)
    else:
        check_outputs_are_there(items, kept)


def _checked_model(file: str, items: "Exchanged | FolderOfCodes", model_path: Path) -> str:
    """Return the id of the model that is said to have made the items of a file, after checking that it may have."""
    from nearbit.model.load import load_any_model

    model = load_any_model(model_path)
    if items.model_id not in (None, model.model_id):
        raise InputError(
            f"{file} holds codes of the model {items.model_id!r}, not {model.model_id!r}: leave --model out"
        )
    if model.n_bits != items.n_bits:
        raise InputError(f"{file} holds codes of {items.n_bits} bits, {model_path} makes {model.n_bits}")
    return model.model_id
