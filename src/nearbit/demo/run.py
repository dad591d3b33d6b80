"""The whole road of the demo: train, index, search, evaluate, and write the page."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearbit.centers import certify
from nearbit.codes import hamming_distances, pack
from nearbit.datasets import Dataset, FeatureRows, Split, load_dataset, make_split
from nearbit.demo import stories
from nearbit.demo.networks import Network, models_of, planned
from nearbit.demo.searches import chosen, searched
from nearbit.demo.stories import Story
from nearbit.evaluation import Evaluation, evaluate
from nearbit.files.writing import write_json, write_whole
from nearbit.model.bundle import Model
from nearbit.progress import Progress, silent
from nearbit.report.demo_page import demo_page
from nearbit.report.demo_parts import Centers, Chapter, FloatFigure, PageCell

FLOATS = {"float_cosine_map": "float cosine", "linear_probe_map": "linear probe"}
"""What stands beside the codes where the features are frozen, by the name of its figure."""

CENTERS_DRAWN = ("shc", "csq")
"""Methods whose centers are drawn beside the similarity of the classes that the first of them followed."""


def _quiet(line: str) -> None:
    """Tell nobody."""


def run_demo(
    folder: Path,
    *,
    bits: Sequence[int] = (16, 64),
    seed: int = 0,
    progress: Progress = silent,
    tell: Callable[[str], None] = _quiet,
) -> dict[str, Any]:
    """Train what the stories name, index, search and evaluate, and write `report.html` and `results.json`.

    Args:
        folder: where models, indexes and the report are written; what it holds from an earlier run is used again.
        bits: the code lengths of the chapter whose story names none.
        seed: decides every random choice.
        progress: called during training.
        tell: called with a line for people before each training: which network it is, and how long the rest takes.

    Returns:
        JSON-ready facts: "report" (the path), "rows" (one a model), "floats" (what features give without codes),
        "centers" (how centers follow the similarity of classes), "seconds".
    """
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    prepared = [_Prepared(story, folder, bits, seed) for story in stories.STORIES]
    networks = [network for one in prepared for network in one.networks]
    models = dict(zip(networks, models_of(networks, progress, tell), strict=True))
    chapters = [one.chapter(models, folder, progress) for one in prepared]
    seconds = round(time.monotonic() - began, 1)
    report = folder / "report.html"
    write_whole(report, lambda aside: _write(aside, demo_page(chapters, seed=seed)))
    about = {"report": str(report), "seed": seed, "seconds": seconds} | _facts(chapters)
    write_json(folder / "results.json", about)
    return about


def _facts(chapters: Sequence[Chapter]) -> dict[str, Any]:
    """Return the figures of the page as JSON-ready data, each with the name of its chapter."""
    rows = [{"dataset": chapter.name} | cell.to_dict() for chapter in chapters for cell in chapter.cells]
    floats = [{"dataset": chapter.name} | one.to_dict() for chapter in chapters for one in chapter.floats]
    centers = [{"dataset": chapter.name} | one.to_dict() for chapter in chapters for one in chapter.centers]
    return {"rows": rows, "floats": floats, "centers": centers}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


class _Prepared:
    """A chapter before anything is trained: its images, what is learnt from, the split, and the networks."""

    def __init__(self, story: Story, folder: Path, bits: Sequence[int], seed: int) -> None:
        self.story = story
        self.images = load_dataset(story.dataset)
        self.data = story.learnt_from(self.images)
        self.split = make_split(self.data, seed=seed, sizes=story.sizes)
        self.split.save(folder / f"{story.name}.split.json")
        self.networks = planned(story, folder, self.data, self.split, bits, seed)

    def chapter(self, models: dict[Network, Model], folder: Path, progress: Progress) -> Chapter:
        """Return the chapter, when all is trained."""
        own = {network: models[network] for network in self.networks}
        measured = {network: evaluate(model, self.data, device="cpu") for network, model in own.items()}
        shown = [network for network in self.networks if network.method == self.story.shown][-1]
        found = list(searched(shown, own[shown], folder, self.data, self.split, progress))
        return Chapter(
            name=self.story.name,
            title=self.story.title,
            words=self.story.words,
            over_seeds=self.story.over_seeds,
            dataset=self.images,
            cells=tuple(_cell(own[network], measured[network]) for network in self.networks),
            floats=_floats(self.data, measured[self.networks[0]]),
            centers=_centers({network.method: model for network, model in own.items()}),
            shown=own[shown],
            chance=_chance(self.data, self.split),
            found=tuple(chosen(self.data, found)),
        )


def _chance(dataset: Dataset, split: Split) -> float:
    """Return the mean share of database images that have a label in common with a query."""
    queries, database = dataset.labels[split.query].astype(np.int32), dataset.labels[split.database].astype(np.int32)
    return float((queries @ database.T > 0).mean())


def _cell(model: Model, evaluation: Evaluation) -> PageCell:
    report, took = evaluation.report, model.record["seconds"]
    return PageCell(
        method=model.method,
        n_bits=model.n_bits,
        tie_aware_map=report.tie_aware_map,
        asymmetric_map=evaluation.asymmetric["asymmetric_tie_aware_map"],
        map_database_order=report.map_database_order,
        distinct_codes=report.distinct_codes,
        n_database=report.n_database,
        seconds=float(took["similarity"] + took["training"]),
    )


def _floats(data: Dataset, evaluation: Evaluation) -> tuple[FloatFigure, ...]:
    """Return what the features give in floats, which is the same beside each method; nothing for images."""
    if evaluation.reference is None:
        return ()
    values = evaluation.reference.to_dict()
    assert isinstance(data.source, FeatureRows)  # noqa: S101 - a reference is of features
    widths = {"float_cosine_map": data.source.width, "linear_probe_map": data.n_classes}
    return tuple(FloatFigure(name, widths[figure], values[figure]) for figure, name in FLOATS.items())


def _centers(models: dict[str, Model]) -> tuple[Centers, ...]:
    """Return the centers to draw, with the similarity that the first of them followed; nothing where one is missing."""
    if not set(CENTERS_DRAWN) <= set(models):
        return ()
    similarity = models[CENTERS_DRAWN[0]].similarity
    if similarity is None:
        return ()
    drawn = []
    for method in CENTERS_DRAWN:
        signs = models[method].centers.centers
        packed, known = pack(signs), certify(signs, similarity)
        distances = hamming_distances(packed, packed, signs.shape[1])
        drawn.append(Centers(method, signs.shape[1], distances, similarity, known.correlation, known.min_distance))
    return tuple(drawn)
