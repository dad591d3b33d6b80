"""`train`: from a data set and a split to a model."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.codes import check_n_bits
from nearbit.datasets import Dataset, Split, seen_only
from nearbit.encoding.feature_cache import FeatureStore
from nearbit.errors import InputError, TrainingError
from nearbit.given import path_of
from nearbit.keywords import suggesting
from nearbit.methods import BASELINES, ITQ, METHODS, Baseline, Method, Task, find_method
from nearbit.methods.presets import preset_named, preset_of_method
from nearbit.model.bundle import Model
from nearbit.progress import Progress, silent
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks
from nearbit.training.context import RunContext
from nearbit.training.options import TrainOptions
from nearbit.training.runs.auto import AutoRun
from nearbit.training.runs.baseline import BaselineRun, useful_options
from nearbit.training.runs.final import AnyRun, FinalRun
from nearbit.training.runs.method_run import TrainingRun
from nearbit.training.runs.two_step import TwoStepRun
from nearbit.training.stages.given import given_centers, given_similarity

AUTO = "auto"
"""The name under which a few methods are tried, and the best is kept."""


@suggesting
def train(
    dataset: Dataset,
    split: Split,
    *,
    method: str | Method | Baseline = AUTO,
    n_bits: int = 64,
    options: TrainOptions | None = None,
    method_options: Mapping[str, Any] | None = None,
    checkpoint: str | Path | None = None,
    cache: str | Path | FeatureStore | None = None,
    similarity: npt.ArrayLike | None = None,
    centers: npt.ArrayLike | None = None,
    final: bool = False,
    progress: Progress = silent,
    callbacks: Callbacks = NO_CALLBACKS,
) -> Model:
    """Train a hash network on the training part of a split.

    Args:
        dataset: images with labels, of at least two classes; a baseline such as "itq" needs none.
        split: which rows are for training and validation; the query and the database rows are not looked at, unless for
            a `final` model. Of a split with unseen classes the model knows the seen ones only.
        method: a name in `nearbit.methods.METHODS` or `BASELINES`, or a `Method` or `Baseline`. "auto": on frozen
            features the best of a few on validation images (see `AutoRun`), else "crh".
        n_bits: length of the codes.
        options: see `TrainOptions`.
        method_options: options of the method by name, such as {"margin": 0.3}.
        checkpoint: a folder for checkpoints: an interrupted run that is repeated goes on from there, and ends with the
            weights of an undisturbed one (on the CPU, with the same number of threads, to the last bit). One of
            another run is kept beside, with a warning.
        cache: a folder that keeps features of frozen backbones by content, or a `FeatureStore` that many runs share.
        similarity: of the classes, `(n_classes, n_classes)`, for a method whose centers follow one: its first stage is
            then left out.
        centers: `(n_classes, n_bits)` of -1 and +1, for a method that trains towards centers: everything before the
            hash network is then left out. A method that reassigns its centers takes none.
        final: whether what was chosen on validation images (method, head, epoch, how classifiers join) is trained once
            more, on the images of all parts of the split, and that model returned: the one to ship. Nothing of these
            images can measure it; its `record["final"]` holds what was measured of the recipe before.
        progress: called after each chunk of images and each epoch.
        callbacks: told when training goes on from a checkpoint, and of the figures of each epoch.

    Within `joined_processes`, all processes that `torchrun` started train the network together; each returns the model.

    Returns:
        The model. Which epoch it is from, and how every epoch went, stands in its `record`.

    Raises:
        InputError: an option has a wrong value; a preset is of another method; or a final training of a split with
            unseen classes, or of one all of whose images are training images.
        DataError: the split does not belong to the data set, or trains classes that it calls unseen.
        TrainingError: fewer than two classes, a class without training images, or a loss that is not a number.
    """
    run = plan(
        dataset,
        split,
        method=method,
        n_bits=n_bits,
        options=options,
        method_options=method_options,
        cache=cache,
        similarity=similarity,
        centers=centers,
        final=final,
    )
    return run.train(None if checkpoint is None else path_of("checkpoint", checkpoint), progress, callbacks)


@suggesting
def plan(
    dataset: Dataset,
    split: Split,
    *,
    method: str | Method | Baseline = AUTO,
    n_bits: int = 64,
    options: TrainOptions | None = None,
    method_options: Mapping[str, Any] | None = None,
    cache: str | Path | FeatureStore | None = None,
    similarity: npt.ArrayLike | None = None,
    centers: npt.ArrayLike | None = None,
    final: bool = False,
) -> AnyRun:
    """Check everything that `train` takes and return the run, named by its key but not yet begun."""
    n_bits = check_n_bits(n_bits)
    if options is not None and not isinstance(options, TrainOptions):
        raise InputError(f"options must be TrainOptions(…), not {type(options).__name__}")
    split.check(dataset)
    dataset = seen_only(dataset, split)
    if similarity is not None and centers is not None:
        raise InputError("give a similarity, or centers that were made from it, not both")
    context = RunContext(dataset, split, options or TrainOptions(), cache)
    planned = partial(
        _plan, n_bits=n_bits, method=method, method_options=method_options, similarity=similarity, centers=centers
    )
    if context.options.regime != "two-step":
        return FinalRun(planned(context)) if final else planned(context)
    if dataset.n_classes < 2:
        raise TrainingError(
            f"two steps begin with a classifier, which needs images of at least 2 classes, and {dataset.name} has "
            f"{dataset.n_classes}: add labels, or leave regime 'two-step' (--regime) out"
        )
    _check_labels(dataset, split, needed=True)
    run = TwoStepRun(context, planned)
    return FinalRun(run) if final else run


def _plan(
    context: RunContext,
    n_bits: int,
    method: str | Method | Baseline,
    *,
    method_options: Mapping[str, Any] | None,
    similarity: npt.ArrayLike | None,
    centers: npt.ArrayLike | None,
) -> TrainingRun | BaselineRun | AutoRun:
    if not isinstance(method, str | Method | Baseline):
        raise InputError(f"method must be a name, a Method or a Baseline, not {type(method).__name__}")
    named = "crh" if method == AUTO and context.regime != "frozen" else method
    if context.options.preset is not None:
        preset_of_method(context.options.preset, named if isinstance(named, str) else named.name)
    if named != AUTO:
        return _plan_one(context, n_bits, named, method_options=method_options, similarity=similarity, centers=centers)
    if method_options or similarity is not None or centers is not None:
        raise InputError("method 'auto' chooses a method: name one to give it options, a similarity or centers")
    if context.dataset.n_classes < 2:
        return _plan_one(context.with_options(useful_options(ITQ, context.options)), n_bits, ITQ)
    return AutoRun(context, n_bits, _plan_one)


def _plan_one(
    context: RunContext,
    n_bits: int,
    method: str | Method | Baseline,
    *,
    method_options: Mapping[str, Any] | None = None,
    similarity: npt.ArrayLike | None = None,
    centers: npt.ArrayLike | None = None,
) -> TrainingRun | BaselineRun:
    chosen = find_method(method) if isinstance(method, str) else method
    values = chosen.with_options(method_options)
    if isinstance(chosen, Baseline):
        if similarity is not None or centers is not None:
            raise InputError(f"{chosen.name} takes neither a similarity nor centers: leave them out")
        _check_labels(context.dataset, context.split, needed=chosen.needs_labels)
        return BaselineRun(context, chosen, values, n_bits)
    _check_labels(context.dataset, context.split, needed=chosen.needs_labels)
    labels = context.labels["train"]
    multi_label = bool((labels.sum(axis=1) > 1).any())
    shares = labels.mean(axis=0)
    task = Task(n_classes=labels.shape[1], n_bits=n_bits, multi_label=multi_label, label_shares=shares)
    preset = context.options.preset
    usual = chosen.options if preset is None else chosen.with_options(preset_named(preset).method_options)
    return TrainingRun(
        context,
        chosen,
        values,
        task,
        given_similarity(chosen, values, task, similarity, usual),
        given_centers(chosen, values, task, centers, usual),
    )


def _check_labels(dataset: Dataset, split: Split, *, needed: bool) -> None:
    if needed and dataset.n_classes < 2:
        known: dict[str, Method | Baseline] = {**BASELINES, **METHODS}
        free = ", ".join(name for name, method in known.items() if not method.needs_labels)
        raise TrainingError(
            f"training needs images of at least 2 classes, and {dataset.name} has {dataset.n_classes}: add labels, or "
            f"take a method that needs none ({free})"
        )
    if len(split.train) < 2:
        raise TrainingError(f"training needs at least 2 training images, and the split has {len(split.train)}")
    if needed:
        _check_classes(dataset, split)


def _check_classes(dataset: Dataset, split: Split) -> None:
    counts = dataset.labels[split.train].sum(axis=0)
    empty = [dataset.classes[number] for number in np.flatnonzero(counts == 0)]
    if empty:
        named = ", ".join(repr(name) for name in empty[:5])
        raise TrainingError(
            f"{len(empty)} of {dataset.n_classes} classes have no training image ({named}): add images, "
            "leave these classes out, or make another split"
        )
    if not dataset.labels[split.train].any(axis=1).all():
        raise TrainingError("every training image needs at least one label, and some have none")
