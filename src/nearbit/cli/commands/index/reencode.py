"""`nearbit index reencode`: the items of an index under the codes of another model."""

from pathlib import Path

import click

from nearbit.cli.console import (
    Bars,
    cache_option,
    device_option,
    echo,
    emit,
    index_argument,
    json_option,
    max_pixels_option,
)
from nearbit.cli.console import model_option as option_of_model
from nearbit.errors import InputError
from nearbit.names import counted


@click.command("reencode", epilog="Example: nearbit index reencode birds.index --model birds.model")
@index_argument
@option_of_model("The model whose codes INDEX is to hold. [default: what lies now where INDEX names its model]")
@device_option
@cache_option
@max_pixels_option
@json_option
def reencode(index_path: Path, model_path: Path | None, device: str, cache: Path | None, as_json: bool) -> None:
    """Move INDEX over to another model.

    Ids, labels and metadata stay; codes are made anew of the image files. INDEX is as it was until all is done, and may
    be searched, served and written to meanwhile. Interrupted, the same command goes on where it stopped.
    """
    from nearbit.grouping.same_codes import collapse_lines, same_codes
    from nearbit.index import open_index
    from nearbit.model.load import load_any_model, named_model, note_of_model
    from nearbit.reencoding import reencode as encode_anew

    if not isinstance(index_path, Path):
        raise InputError(f"an index that is a file can be encoded anew, and {index_path} lies in a server")
    with open_index(index_path, read_only=True) as index:
        folder = named_model(index, model_path)
        if folder is None:
            raise InputError(f"{index_path} names no model: give the one whose codes it is to hold (--model FOLDER)")
        notes, before = note_of_model(index, folder), same_codes(index)
    model = load_any_model(folder)
    with Bars() as progress:
        n_items = encode_anew(index_path, model, notes=notes, device=device, cache=cache, progress=progress)
    with open_index(index_path, read_only=True) as index:
        now = same_codes(index) if n_items else before
        warnings = collapse_lines(index, model.classes, before=before, now=now) if n_items else []
    for line in warnings:
        echo(f"nearbit: warning: {line}")
    about = {
        "index": str(index_path),
        "reencoded": n_items,
        "n_bits": model.n_bits,
        "distinct_codes_before": before.n_codes,
        "distinct_codes": now.n_codes,
        "share_of_shared_codes": now.share,
        "warnings": warnings,
        "model": str(folder),
        "model_id": model.model_id,
    }
    done = (
        f"{counted(n_items, 'item has', 'items have')} codes of {folder} now, of {model.n_bits} bits"
        if n_items
        else "nothing to do"
    )
    emit(
        about,
        as_json=as_json,
        lines=[
            f"{index_path}: {done if n_items else f'holds codes of {folder} already; nothing to do'}",
            f"next: nearbit search {index_path} QUERY.jpg; a running nearbit serve must be started again for uploads",
        ],
    )
