"""The searches of the demo: an index of a chapter's database images, and the queries that are worth a look."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nearbit.codes import pack, signs_of
from nearbit.datasets import Dataset, Split
from nearbit.demo.networks import Network
from nearbit.index import Item, create_index
from nearbit.indexing import index_dataset
from nearbit.model.bundle import Model
from nearbit.progress import Progress
from nearbit.report.demo_parts import FoundImage, Neighbour

N_NEIGHBOURS = 8
SHOWN_QUERIES = 6


def searched(
    network: Network, model: Model, folder: Path, data: Dataset, split: Split, progress: Progress
) -> Iterator[FoundImage]:
    """Index the database part, then yield each query with its neighbours."""
    rows = {key: row for row, key in enumerate(data.keys)}
    path = folder / f"{network.story.name}.index"
    for stale in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        stale.unlink(missing_ok=True)
    with create_index(path, model.n_bits, model_id=model.model_id) as index:
        index.set_notes({"model_path": network.path.name})
        index_dataset(index, model, data, split.database, device="cpu", progress=progress)
        signs = signs_of(model.encode_dataset(data, split.query).outputs)
        results = index.search(pack(signs), k=N_NEIGHBOURS)
        for query, row in enumerate(split.query.tolist()):
            pairs = results.pairs(query)
            items = index.items([number for number, _ in pairs])
            yield FoundImage(
                row,
                signs[query],
                tuple(
                    _neighbour(item, rows, data, row, distance)
                    for item, (_, distance) in zip(items, pairs, strict=True)
                ),
            )


def _neighbour(item: Item, rows: dict[str, int], data: Dataset, query: int, distance: int) -> Neighbour:
    row = rows[item.path or ""]
    hit = bool((data.labels[row] & data.labels[query]).any())
    return Neighbour(row=row, distance=distance, code=item.code, hit=hit)


def chosen(data: Dataset, found: list[FoundImage]) -> list[FoundImage]:
    """Return the queries to show: four of different classes, and the two with the fewest hits, which are no secret."""
    hits = np.array([sum(neighbour.hit for neighbour in one.neighbours) for one in found])
    worst = np.argsort(hits, kind="stable")[:2].tolist()
    usual: dict[str, int] = {}
    for place, one in enumerate(found):
        if place not in worst:
            usual.setdefault(data.label_names(one.row)[0], place)
    return [found[place] for place in [*sorted(usual.values())[: SHOWN_QUERIES - 2], *worst]]
