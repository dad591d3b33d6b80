"""`nearbit duplicates`: near-duplicate pictures of an index, in groups, and which one of each to keep."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearbit.cli.commands.grouping import output_options
from nearbit.cli.console import (
    Bars,
    echo,
    emit,
    index_argument,
    table,
)
from nearbit.files.writing import path_seen_from
from nearbit.names import counted

if TYPE_CHECKING:
    from nearbit.grouping import Copy, Duplicates
    from nearbit.index import Place

SHOWN_GROUPS, SHOWN_COPIES = 10, 5
"""Groups, and pictures of each, that are printed."""
ENDINGS = (".csv", ".json", ".html", ".txt")


@click.command("duplicates", epilog="Example: nearbit duplicates photos.index --radius 3 --confirm -o copies.html")
@index_argument
@click.option(
    "--radius", type=click.IntRange(0), default=3, show_default=True, help="Largest distance of a pair, in bits."
)
@click.option(
    "--confirm",
    is_flag=True,
    help="Compare the pictures of each pair, too, by a hash of their pixels: for codes that tell classes apart.",
)
@click.option(
    "--keep",
    type=click.Choice(["largest", "first"]),
    default="largest",
    show_default=True,
    help="Which picture of a group to keep: of most pixels, then most bytes; or the first that is there.",
)
@partial(
    output_options,
    what="Write all groups to this .csv, .json or .html (pictures), or the files not kept to this .txt; repeatable.",
)
def command(
    index_path: "Place", radius: int, confirm: bool, keep: str, outputs: tuple[Path, ...], as_json: bool
) -> None:
    """Find near-duplicate pictures of INDEX: all pairs within --radius bits, exactly, and the groups they join.

    A group is joined by chains: each picture lies within --radius bits of another one of it, and the ends may lie
    farther apart. Nothing is deleted: -o copies.txt lists the files that are not kept, for you to act on.
    """
    from nearbit.grouping import find_duplicates
    from nearbit.grouping.tables import check_ending, write_duplicates
    from nearbit.index import open_index

    for path in outputs:
        check_ending(path, ENDINGS)
    with open_index(index_path, read_only=True) as index, Bars() as progress:
        found = find_duplicates(index, radius, keep=keep, confirm=confirm, progress=progress)  # type: ignore[arg-type]
    for line in found.advice():
        echo(f"nearbit: note: {line}")
    for path in outputs:
        write_duplicates(path, found)
    about = {"index": str(index_path), "confirmed": confirm, **found.to_dict(), "written": list(map(str, outputs))}
    emit(about, as_json=as_json, lines=_lines(found, index_path, outputs, is_confirmed=confirm))


def _lines(found: "Duplicates", index_path: "Place", outputs: tuple[Path, ...], *, is_confirmed: bool) -> list[str]:
    n_groups, among = len(found.groups), counted(found.n_items, "item", "items")
    if not n_groups:
        return [f"no two of {among} lie within {found.radius} bits of each other"]
    lines = []
    for number, group in enumerate(found.groups[:SHOWN_GROUPS], start=1):
        rows = [_row(one, is_kept=one is group.kept) for one in (group.kept, *group.others[: SHOWN_COPIES - 1])]
        lines += [f"group {number}, {len(group.others) + 1} pictures:"]
        lines += table(rows, ("", "bits", "id", "pixels", "labels", "path"))
        more = len(group.others) + 1 - SHOWN_COPIES
        lines += [f"… {more} more" if more > 0 else "", *([""] if more > 0 else [])]
    if n_groups > SHOWN_GROUPS:
        lines += [f"… {n_groups - SHOWN_GROUPS} more groups", ""]
    lines.append(
        f"{counted(n_groups, 'group', 'groups')} among {among}; {counted(found.n_others, 'picture', 'pictures')} "
        "beside those to keep. Nothing was deleted."
    )
    lines += [f"written: {path}" for path in outputs]
    lists = [path for path in outputs if path.suffix.lower() == ".txt"]
    if lists and (held := found.held_back()):
        lines.append(
            f"{lists[0]} holds none of {counted(held, 'group', 'groups')} whose kept file is gone or changed since it "
            f"was indexed: nearbit index sync {index_path} FOLDER, and again"
        )
    if lists and found.tell_classes and not is_confirmed:
        lines.append(f"not to act on as it is: {lists[0]} names pictures that may be no copies; --confirm finds those")
    elif lists:
        lines.append(f"to act on it: read {lists[0]}, then xargs -d '\\n' rm -- < {lists[0]}")
        lines.append(f"and afterwards: nearbit index remove {index_path} --missing")
    elif not outputs:
        lines.append("-o copies.html shows them, -o copies.csv has all of them, -o copies.txt lists the files not kept")
    return lines


def _row(one: "Copy", *, is_kept: bool) -> tuple[object, ...]:
    pixels = f"{one.width}x{one.height}" if one.width else "-"
    place = path_seen_from(Path.cwd(), Path(one.file)) if one.file else one.path or "-"
    return "keep" if is_kept else "", one.distance, one.id, pixels, ", ".join(one.labels) or "-", place
