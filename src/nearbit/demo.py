"""`nearbit demo`: the whole road on two built-in data sets, and a page that shows what came out."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.codes import pack, signs_of
from nearbit.datasets import Dataset, Split, load_dataset, make_split
from nearbit.evaluation import evaluate
from nearbit.files.writing import write_json, write_whole
from nearbit.index import Item, create_index
from nearbit.indexing import index_dataset
from nearbit.model.bundle import Model, load_model
from nearbit.progress import Progress, silent
from nearbit.report.demo_page import Chapter, FoundImage, Neighbour, PageCell, demo_page
from nearbit.training import TrainOptions, plan

METHODS = ("crh", "csq")
N_NEIGHBOURS = 8
SHOWN_QUERIES = 6


@dataclass(frozen=True)
class Story:
    """One data set of the demo: what it shows, how it is trained, and at which lengths (None: those asked for)."""

    dataset: str
    title: str
    words: str
    options: TrainOptions
    bits: tuple[int, ...] | None = None


STORIES = (
    Story(
        "digits",
        "Handwritten digits",
        "1,797 real scans of 8×8 pixels, one label each. The codes of a class gather around its center, so many items "
        "share one code: see the column of distinct codes.",
        TrainOptions(image_size=16, device="cpu", epochs=12, learning_rate=3e-3, batch_size=64, validate_every=3),
    ),
    Story(
        "shapes",
        "Coloured shapes",
        "2,400 drawn images with one to three labels each, of 12 kinds in 4 families. Two images are relevant to each "
        "other if they share a kind; colour, size and place are there to distract.",
        TrainOptions(image_size=32, device="cpu", epochs=24, learning_rate=3e-3, batch_size=64, validate_every=6),
        (32,),
    ),
)


def run_demo(
    folder: Path, *, bits: Sequence[int] = (16, 32, 64), seed: int = 0, progress: Progress = silent
) -> dict[str, Any]:
    """Train CRH and CSQ on both data sets, index, search and evaluate, and write `report.html` and `results.json`.

    Args:
        folder: where models, indexes and the report are written; what it holds from an earlier run is used again.
        bits: the code lengths.
        seed: decides every random choice.
        progress: called during training.

    Returns:
        JSON-ready facts: "report" (the path), "rows" (one a model), "seconds".
    """
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    chapters = [_chapter(story, folder, bits, seed, progress) for story in STORIES]
    seconds = time.monotonic() - began
    report = folder / "report.html"
    write_whole(report, lambda aside: _write(aside, demo_page(chapters)))
    rows = [cell.to_dict() | {"dataset": chapter.dataset.name} for chapter in chapters for cell in chapter.cells]
    about = {"report": str(report), "seed": seed, "seconds": round(seconds, 1), "rows": rows}
    write_json(folder / "results.json", about)
    return about


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _chapter(story: Story, folder: Path, bits: Sequence[int], seed: int, progress: Progress) -> Chapter:
    dataset = load_dataset(story.dataset)
    split = make_split(dataset, seed=seed)
    split.save(folder / f"{story.dataset}.split.json")
    cells, shown = [], None
    for method in METHODS:
        for n_bits in story.bits or bits:
            model = _model(story, folder, dataset, split, method, n_bits, seed, progress)
            cells.append(_cell(model, dataset))
            if method == METHODS[0]:
                shown = model
    assert shown is not None  # noqa: S101 - there is at least one code length
    found = list(_search(story, folder, shown, dataset, split, progress))
    return Chapter(
        story.title, story.words, dataset, tuple(cells), shown, _chance(dataset, split), tuple(_choose(dataset, found))
    )


def _chance(dataset: Dataset, split: Split) -> float:
    """Return the mean share of database images that have a label in common with a query."""
    queries, database = dataset.labels[split.query].astype(np.int32), dataset.labels[split.database].astype(np.int32)
    return float((queries @ database.T > 0).mean())


def _model(
    story: Story, folder: Path, dataset: Dataset, split: Split, method: str, n_bits: int, seed: int, progress: Progress
) -> Model:
    """Return a trained model: the one in the folder if it is the very same, else a new one, saved there."""
    path = folder / f"{story.dataset}-{method}-{n_bits}.model"
    run = plan(dataset, split, method=method, n_bits=n_bits, options=replace(story.options, seed=seed))
    if path.is_dir():
        model = load_model(path)
        if model.record.get("run_key") == run.key():
            return model
    checkpoint = path.with_name(path.name + ".checkpoint")
    model = run.train(checkpoint, lambda stage, done, total: progress(f"{dataset.name}: {stage}", done, total))
    model.save(path)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return model


def _cell(model: Model, dataset: Dataset) -> PageCell:
    report = evaluate(model, dataset, device="cpu", reference=False).report
    return PageCell(
        method=model.method,
        n_bits=model.n_bits,
        tie_aware_map=report.tie_aware_map,
        map_database_order=report.map_database_order,
        distinct_codes=report.distinct_codes,
        n_database=report.n_database,
        seconds=float(model.record["seconds"]["training"]),
    )


def _search(
    story: Story, folder: Path, model: Model, dataset: Dataset, split: Split, progress: Progress
) -> Iterator[FoundImage]:
    """Index the database images, then yield each query with its neighbours."""
    rows = {key: row for row, key in enumerate(dataset.keys)}
    path = folder / f"{story.dataset}.index"
    for stale in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        stale.unlink(missing_ok=True)
    with create_index(path, model.n_bits, model_id=model.model_id) as index:
        index.set_notes({"model_path": f"{story.dataset}-{model.method}-{model.n_bits}.model"})
        index_dataset(index, model, dataset, split.database, device="cpu", progress=progress)
        signs = signs_of(model.encode_dataset(dataset, split.query).outputs)
        results = index.search(pack(signs), k=N_NEIGHBOURS)
        for query, row in enumerate(split.query.tolist()):
            pairs = results.pairs(query)
            items = index.items([number for number, _ in pairs])
            yield FoundImage(
                row,
                signs[query],
                tuple(
                    _neighbour(item, rows, dataset, row, distance)
                    for item, (_, distance) in zip(items, pairs, strict=True)
                ),
            )


def _neighbour(item: Item, rows: dict[str, int], dataset: Dataset, query: int, distance: int) -> Neighbour:
    row = rows[item.path or ""]
    hit = bool((dataset.labels[row] & dataset.labels[query]).any())
    return Neighbour(row=row, distance=distance, code=item.code, hit=hit)


def _choose(dataset: Dataset, found: list[FoundImage]) -> list[FoundImage]:
    """Return the queries to show: four of different classes, and the two with the fewest hits, which are no secret."""
    hits = np.array([sum(neighbour.hit for neighbour in one.neighbours) for one in found])
    worst = np.argsort(hits, kind="stable")[:2].tolist()
    usual: dict[str, int] = {}
    for place, one in enumerate(found):
        if place not in worst:
            usual.setdefault(dataset.label_names(one.row)[0], place)
    return [found[place] for place in [*sorted(usual.values())[: SHOWN_QUERIES - 2], *worst]]
