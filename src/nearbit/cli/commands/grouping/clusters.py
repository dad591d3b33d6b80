"""`nearbit clusters`: the items of an index around the centers of clusters, each with a typical picture."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearbit.cli.commands.grouping import output_options
from nearbit.cli.console import echo, emit, index_argument, table
from nearbit.names import counted

if TYPE_CHECKING:
    from nearbit.grouping import ClusterTold
    from nearbit.index import Clusters, Place

SHOWN = 30
"""Clusters that are printed."""
ENDINGS = (".csv", ".json", ".html")


@click.command("clusters", epilog="Example: nearbit clusters photos.index -n 20 -o clusters.html")
@index_argument
@click.option(
    "-n",
    "--number",
    type=click.IntRange(1, 65_535),
    help="How many clusters. [default: the root of half the distinct codes, at most 100]",
)
@partial(
    output_options,
    what="Write every item with its cluster to this .csv, or the clusters to this .json or .html; repeatable.",
)
def command(index_path: "Place", number: int | None, outputs: tuple[Path, ...], as_json: bool) -> None:
    """Put the items of INDEX into clusters by their codes, each with its typical picture.

    The center of a cluster is the majority of its codes, bit by bit; its typical picture is the item nearest to it. The
    same INDEX gives the same clusters every time.
    """
    from nearbit.grouping import cluster_advice, told_clusters
    from nearbit.grouping.tables import check_ending, write_clusters
    from nearbit.index import open_index

    for path in outputs:
        check_ending(path, ENDINGS)
    with open_index(index_path, read_only=True) as index:
        found = index.clusters(number)
        told = told_clusters(index, found)
        for path in outputs:
            write_clusters(path, index, found, told)
    if number is not None and len(found) < number:
        echo(f"nearbit: note: {len(found)} clusters, not {number}: no more distinct codes are apart")
    if not found.has_settled:
        echo("nearbit: note: the centers still moved a little when it was ended")
    advice = cluster_advice(found)
    for line in advice:
        echo(f"nearbit: note: {line}")
    about = {
        "index": str(index_path),
        "items": len(found.ids),
        "mean_distance": found.mean_distance,
        "has_settled": found.has_settled,
        "advice": advice,
        "clusters": [one.to_dict() for one in told],
        "written": list(map(str, outputs)),
    }
    emit(about, as_json=as_json, lines=_lines(found, told, outputs))


def _lines(found: "Clusters", told: "list[ClusterTold]", outputs: tuple[Path, ...]) -> list[str]:
    rows = [
        (one.number, one.size, f"{one.mean_distance:.1f}", one.name or "-", one.typical.id, one.typical.path or "-")
        for one in told[:SHOWN]
    ]
    lines = table(rows, ("cluster", "items", "bits", "most frequent label", "id", "typical picture")) if rows else []
    if len(told) > SHOWN:
        lines.append(f"… {len(told) - SHOWN} more")
    items, clusters = counted(len(found.ids), "item", "items"), counted(len(found), "cluster", "clusters")
    lines.append(f"{items} in {clusters}, {found.mean_distance:.1f} bits from the center on average")
    return lines + [f"written: {path}" for path in outputs]
