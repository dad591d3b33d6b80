"""`evaluate`: a model on the query and the database part of its recorded split."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nearbit.codes import Codes, binarize, pack
from nearbit.datasets import Dataset, Problem, Split, load_dataset
from nearbit.datasets.formats.hierarchy import GIVEN
from nearbit.encoding.feature_cache import FeatureStore
from nearbit.encoding.pipeline import Encoded
from nearbit.errors import DataError, InputError
from nearbit.keywords import suggesting
from nearbit.metrics import Report, evaluate_codes, grades_of_tree
from nearbit.metrics.figures import ASYMMETRIC, figures_asked
from nearbit.metrics.health import Health, health_of
from nearbit.metrics.separation import CenterCondition, center_condition
from nearbit.model.bundle import Model
from nearbit.model.seen import seen_in
from nearbit.progress import Progress, silent

if TYPE_CHECKING:
    from nearbit.model.onnx import OnnxModel
    from nearbit.reference import Reference


SHOWN = ("tie_aware_map", "map_database_order")
"""Figures that are shown as text."""

_ROOT = ""
"""What superclasses lie below; no class has a blank name."""
_ABOVE = "\0"
"""Begins the name of a superclass as a node, so that a class of the same name is another node below it."""


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Figures of a model on a split, with the images that could not be read.

    Attributes:
        report: the figures; `report.per_query` has their values of each query, in the order of the split.
        model_id: of the model.
        split_hash: of the split.
        health: of the codes of the database, around the centers of the model.
        problems: the images that could not be read.
        queries_seen_in_training: query images whose content is among the model's training or validation images, those
            of a model that its backbone comes from, or those of a class that was added, which makes every figure too
            good; None where the model records no split.
        average_precision: float64 `(n_query,)`, tie-aware, of each query that could be read, where `each_query` asked
            for it.
        reference: what the float features of a frozen backbone give without codes; None elsewhere.
        center_condition: codes of the query and the database part around the centers of their own classes; None for a
            model without centers, or one of whose classes the data set has not.
    """

    report: Report
    model_id: str
    split_hash: str
    health: Health
    problems: tuple[Problem, ...]
    queries_seen_in_training: int | None = None
    average_precision: npt.NDArray[np.float64] | None = None
    reference: "Reference | None" = None
    center_condition: CenterCondition | None = None

    def __repr__(self) -> str:
        figures = self.report.figures
        shown = ", ".join(f"{name} {figures[name]:.4f}" for name in SHOWN if figures.get(name) is not None)
        return f"Evaluation({shown}; {self.report.n_query} queries, {self.report.n_database} database items)"

    @property
    def asymmetric(self) -> dict[str, float | None]:
        """The figures of the ranking by the queries' real outputs that were asked for, by name."""
        known = self.report.figures
        return {figure.name: known[figure.name] for figure in ASYMMETRIC if figure.name in known}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready data."""
        return self.report.to_dict() | {
            "model_id": self.model_id,
            "split_hash": self.split_hash,
            "unread_images": len(self.problems),
            "health": self.health.to_dict(),
            "reference": None if self.reference is None else self.reference.to_dict(),
            "center_condition": None if self.center_condition is None else self.center_condition.to_dict(),
        }


@suggesting
def evaluate(
    model: Model,
    dataset: Dataset | str | Path,
    split: Split | None = None,
    *,
    figures: Iterable[str] | None = None,
    convention: str | None = None,
    k: int | None = None,
    hierarchy: Mapping[str, str] | str | None = None,
    device: str = "auto",
    cache: str | Path | FeatureStore | None = None,
    each_query: bool = False,
    reference: bool = True,
    progress: Progress = silent,
) -> Evaluation:
    """Encode the query and the database part and compute the field's figures on them.

    Args:
        model: what makes the codes.
        dataset: the images and their labels; or what `load_dataset` takes, which is then read as it was for the split.
        split: by default the one recorded in the model.
        figures: the kinds of figures that are wanted, or names of single ones; see `evaluate_codes`.
        convention: name of a convention of mean average precision to report too; see `evaluate_codes`.
        k: how many ranks that convention counts; None for all.
        hierarchy: the parent of each class, and of each such parent that has one, by name, or "given" for the
            superclasses that the data set came with; adds the figures of graded relevance. For data sets with one
            label an image.
        device: "auto", "cpu", "cuda", …
        cache: a folder that keeps features by content, or a `FeatureStore` that many runs share.
        each_query: whether the average precision of each query is wanted, in the order of the split.
        reference: whether, for a frozen backbone, figures of its float features are wanted beside those of the codes.
            They need the features of the training images too, which lie in the cache where the model was trained.
        progress: called as images are encoded and queries are ranked.

    Raises:
        DataError: no split is known, it does not belong to the data set, a part is empty, or the data set came without
            superclasses that are asked for.
        InputError: query and database rows overlap (from the split's own check), or figures are unknown.
    """
    names = None if figures is None else list(figures)
    asymmetric = any(figure in ASYMMETRIC for figure in figures_asked(names))
    if not isinstance(dataset, Dataset):
        known = split or model.split
        level = None if known is None else known.recipe.get("class_level")
        dataset = load_dataset(dataset, class_level=level, progress=progress)
    used = measured_split(model, dataset, split)
    grades = None if hierarchy is None else grades_of_tree(_tree(hierarchy, dataset), dataset.classes)
    kept = None if cache is None else model.row_cache(cache, device)
    chosen = {"figures": names, "convention": convention, "k": k, "grades": grades, "rng": np.random.default_rng(0)}
    encoding: dict[str, Any] = {"device": device, "cache": kept, "progress": progress}
    queries, database = (
        model.encode_dataset(dataset, rows, keep_features=reference, **encoding) for rows in (used.query, used.database)
    )
    found = _searched(queries, database, dataset, model.n_bits, asymmetric=asymmetric, progress=progress, **chosen)
    return Evaluation(
        report=found.report,
        model_id=model.model_id,
        split_hash=used.hash,
        health=health_of(found.database_codes, model.n_bits, centers=pack(model.centers.centers)),
        problems=found.problems,
        queries_seen_in_training=_seen(model, used),
        average_precision=found.report.per_query["tie_aware_map"] if each_query else None,
        reference=_reference(model, dataset, used, queries, database, found.report, encoding),
        center_condition=_condition(model, dataset, queries, database),
    )


def _tree(hierarchy: Mapping[str, str] | str, dataset: Dataset) -> Mapping[str, str]:
    """Return the parent of each node; where the data set's are asked for, with one root, which grades nothing."""
    if not isinstance(hierarchy, str):
        return hierarchy
    if hierarchy != GIVEN:
        raise InputError(f"hierarchy must be the parent of each class, or {GIVEN!r}, not {hierarchy!r}")
    parents = dict(zip(dataset.classes, dataset.parents or (), strict=False))
    lacking = next((name for name in dataset.classes if not parents.get(name)), None)
    if lacking is not None:
        raise DataError(
            f"{dataset.name} gives the class {lacking!r} no superclass: leave the hierarchy out, or name a file of it "
            "(--hierarchy FILE)"
        )
    above = {name: f"{_ABOVE}{parent}" for name, parent in parents.items()}
    return dict.fromkeys(above.values(), _ROOT) | above


def measured_split(model: Model, dataset: Dataset, split: Split | None) -> Split:
    """Return the split on whose query and database part a model is measured: the one given, else its own.

    Raises:
        DataError: no split is known, it does not belong to the data set, or a part is empty.
    """
    used = split or model.split
    if used is None:
        raise DataError("the model holds no split: give one (--split FILE)")
    used.check(dataset)
    if not len(used.query) or not len(used.database):
        raise DataError(
            f"evaluation needs query and database images, and the split has {len(used.query)} and {len(used.database)}"
            + _why_none(model, used)
        )
    return used


class SearchedSplit(NamedTuple):
    """What a search of the database part of a split by its query part gives."""

    report: Report
    database_codes: Codes
    problems: tuple[Problem, ...]


def search_split(
    encoder: "Model | OnnxModel",
    dataset: Dataset,
    split: Split,
    *,
    device: str = "auto",
    cache: Any = None,
    asymmetric: bool = False,
    progress: Progress = silent,
    **asked: Any,
) -> SearchedSplit:
    """Encode the query and the database part of a split, and evaluate the codes of the images that could be read.

    Args:
        encoder: makes the codes.
        dataset: the images and their labels.
        split: of that data set.
        device: where the encoder runs.
        cache: of the encoder (`row_cache`).
        asymmetric: whether the figures by the queries' real outputs are wanted.
        progress: called as images are encoded and queries are ranked.
        asked: further arguments of `evaluate_codes`.
    """
    queries, database = (
        encoder.encode_dataset(dataset, rows, device=device, cache=cache, progress=progress)
        for rows in (split.query, split.database)
    )
    return _searched(queries, database, dataset, encoder.n_bits, asymmetric=asymmetric, progress=progress, **asked)


def _searched(
    queries: Encoded,
    database: Encoded,
    dataset: Dataset,
    n_bits: int,
    *,
    asymmetric: bool,
    progress: Progress,
    **asked: Any,
) -> SearchedSplit:
    codes = binarize(database.outputs)
    report = evaluate_codes(
        binarize(queries.outputs),
        dataset.labels[queries.rows],
        codes,
        dataset.labels[database.rows],
        n_bits=n_bits,
        query_outputs=queries.outputs if asymmetric else None,
        progress=progress,
        **asked,
    )
    by_name = {dataset.classes[int(number)]: value for number, value in report.per_class.items()}
    return SearchedSplit(replace(report, per_class=by_name), codes, queries.problems + database.problems)


def _condition(model: Model, dataset: Dataset, *parts: Encoded) -> CenterCondition | None:
    """Return how codes lie around the centers of their own classes; None where these are not known."""
    if len(model.classes) != len(model.centers.centers) or not set(model.classes) <= set(dataset.classes):
        return None
    columns = [dataset.classes.index(name) for name in model.classes]
    codes, labels = (
        np.concatenate([binarize(part.outputs) for part in parts]),
        np.concatenate([dataset.labels[part.rows] for part in parts]),
    )
    foreign = np.delete(labels, columns, axis=1).sum(axis=1) > 0
    own = labels[:, columns] & np.logical_not(foreign)[:, None]
    return center_condition(codes, own, pack(model.centers.centers), model.n_bits)


def _reference(
    model: Model, dataset: Dataset, split: Split, queries: Encoded, database: Encoded, report: Report, encoding: Any
) -> "Reference | None":
    """Return what the features give that were encoded; None where they were not kept.

    Those of training images in the database are not made again.
    """
    if queries.features is None or database.features is None:
        return None
    from nearbit.reference import FeaturePart, Reference, float_figures

    known = np.isin(split.train, database.rows)
    rest = model.encode_dataset(dataset, split.train[~known], keep_features=True, **encoding)
    places = {row: place for place, row in enumerate(database.rows.tolist())}
    held = database.features[[places[row] for row in split.train[known].tolist()]]
    features = held if rest.features is None else np.concatenate([held, rest.features.reshape(-1, held.shape[1])])
    train = FeaturePart(features, dataset.labels[np.concatenate([split.train[known], rest.rows])])
    figures = float_figures(
        FeaturePart(queries.features, dataset.labels[queries.rows]),
        FeaturePart(database.features, dataset.labels[database.rows]),
        train,
    )
    return Reference.of(figures, report, train, model.method)


def _why_none(model: Model, split: Split) -> str:
    """Return why a split has nothing to ask or to find, and what to do."""
    if "final" not in model.record or model.split is None or split.hash != model.split.hash:
        return ": give another split (--split FILE)"
    return (
        f": the model is final, trained on all {len(split.train)} images, and no figure of it can be measured on them. "
        "Evaluate a model that is trained without final (--final) on the same data, or give a split of other images "
        "(--split FILE)"
    )


def _seen(model: Model, split: Split) -> int | None:
    if model.split is None:
        return None
    seen = seen_in(model.split) | model.seen_before
    known = {*seen.trained, *seen.validated}
    known.update(digest for added in model.record.get("added_classes", []) for digest in added["digests"])
    return sum(split.digests[row] in known for row in split.query.tolist())
