"""`nearbit index copy`: an index in another home."""

from typing import TYPE_CHECKING

import click

from nearbit.cli.console import Bars, IndexPlace, emit, index_argument, json_option

if TYPE_CHECKING:
    from nearbit.index import Place


@click.command("copy", epilog="Example: nearbit index copy birds.index postgresql://me@db.example/photos?index=birds")
@index_argument
@click.argument("target", metavar="TARGET", type=IndexPlace())
@json_option
def copy(index_path: "Place", target: "Place", as_json: bool) -> None:
    """Copy INDEX, with the ids of its items, to TARGET.

    TARGET is a file or an address in a server, and is made where it is missing; an interrupted copy is gone on with by
    the same command.
    """
    from nearbit.indexing_copy import copy_index

    with Bars() as progress:
        done = copy_index(index_path, target, progress=progress)
    about = {"index": str(index_path), "copy": done.address, "items": done.items, "copied": done.copied}
    lines = [f"{done.address}: {done.items} items ({done.copied} copied now)"]
    emit(about, as_json=as_json, lines=[*lines, f"next: nearbit search '{done.address}' QUERY.jpg"])
