"""`--method auto`: a few methods are trained, and the one whose codes are best on validation images is kept."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
import numpy.typing as npt

from nearbit.datasets import Split
from nearbit.errors import InputError
from nearbit.files.writing import json_digest
from nearbit.methods import Baseline, find_method
from nearbit.methods.closed_form.projections import TooFewDirectionsError
from nearbit.metrics.kept import FEW_IMAGES, images_per_class
from nearbit.model.bundle import Model
from nearbit.progress import Progress
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks, told_apart
from nearbit.training.checkpoint_folder import folder_in
from nearbit.training.context import RunContext
from nearbit.training.criterion import is_trained_on, searched_by_validation, shares_labels
from nearbit.training.runs.baseline import BaselineRun, useful_options
from nearbit.training.runs.method_run import TrainingRun

CANDIDATES = ("ech", "ridge", "itq")
"""What is tried on frozen features: a hash network, and two closed forms that take a second."""

FEWEST_IMAGES = 5
"""With fewer training images a class a rehearsal, which has one less, says too little of a network to choose it by."""

Run = TrainingRun | BaselineRun


class PlanOne(Protocol):
    """Plans the run of one method."""

    def __call__(
        self, context: RunContext, n_bits: int, method: str, *, method_options: Mapping[str, Any] | None = None
    ) -> Run:
        """Return the run, checked and ready."""
        ...


@final
class AutoRun:
    """Runs of several methods, one of which is kept; `plan` makes it.

    Each is scored as epochs are (see `Criterion`). Where validation images cannot search each other because too few
    share a label, a score against training images would only say how well these were learnt by heart. Then the
    choice is rehearsed: some training images join the validation images until most of them share a label, each
    method is trained without them (ECH with one classifier) and scored on them, all with fewer bits where closed forms
    cannot have as many of so few images, and the best one is then trained on all. Of the two heads ECH gets the hidden
    layer, unless the options name one. With fewer than five training images a class ECH is left to its closed form. In
    the second of two steps, and on the backbone of a model that was trained on training images of this run, nothing is
    rehearsed, for the backbone has seen the images that would be moved: the method is taken by the number of images a
    class, as without validation images.
    """

    needs_labels = True

    def __init__(self, context: RunContext, n_bits: int, plan_one: PlanOne) -> None:
        self.context, self.n_bits, self._plan_one = context, n_bits, plan_one
        rehearsed = _rehearsal(context)
        self._knows_all = rehearsed is not None and context.knows_training_images
        if self._knows_all:
            rehearsed = None
        self.is_rehearsed = rehearsed is not None
        stage = context
        if rehearsed is not None:
            stage = RunContext(context.dataset, rehearsed, context.options, context.feature_store)
        self.refused: dict[str, str] = {}
        names, few = self._candidates(), {"members": 1} if self.is_rehearsed else None
        self.bits_tried = n_bits if names == ("ech",) else _bits_for(n_bits, len(stage.split.train))
        self.runs = {name: self.planned(stage, self.bits_tried, name, few if name == "ech" else None) for name in names}

    def planned(
        self, context: RunContext, n_bits: int, name: str, method_options: Mapping[str, Any] | None = None
    ) -> Run:
        """Return the run of one method with those of the options that are for it."""
        method, options = find_method(name), context.options
        if isinstance(method, Baseline):
            options = useful_options(method, options)
        elif options.head == "auto":
            options = replace(options, head="hidden")
        return self._plan_one(context.with_options(options), n_bits, name, method_options=method_options)

    def _candidates(self) -> tuple[str, ...]:
        """Return what can be tried: each method where it can be trained, and only one without validation images."""
        n_classes, n_train = self.context.dataset.n_classes, len(self.context.split.train)
        if n_train <= self.n_bits:
            why = f"{self.n_bits} bits need as many directions, and {n_train} training images vary in fewer"
            self.refused |= dict.fromkeys(("ridge", "itq"), why)
        if self.n_bits < 63 and n_classes > 2**self.n_bits:
            self.refused["ech"] = f"{n_classes} classes are more than the words of {self.n_bits} bits"
        if self.is_rehearsed and self.images_per_class < FEWEST_IMAGES and "ridge" not in self.refused:
            few = f"with {self.images_per_class:g} training images a class"
            self.refused["ech"] = f"{few} its closed form, ridge, has been as good or better and takes a second"
        names = tuple(name for name in CANDIDATES if name not in self.refused)
        if not names:
            raise InputError(f"no method can be trained here: {'; '.join(self.refused.values())}")
        if self.context.criterion(self.n_bits) is not None and not self._knows_all:
            return names
        wanted = "ech" if self.images_per_class >= FEW_IMAGES else "ridge"
        return (wanted if wanted in names else names[0],)

    def key(self) -> str:
        """Name the run: runs of equal keys make equal models."""
        keys = {name: run.key() for name, run in self.runs.items()}
        return json_digest({"auto": keys, "n_bits": self.n_bits, "split": self.context.split.hash})

    def again(self, context: RunContext, model: Model) -> Run:
        """Return the run of the method that a model of this run has, on the images of another context."""
        return self.planned(self.context, self.n_bits, model.record["auto"]["chosen"]).again(context, model)

    def train(self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks = NO_CALLBACKS) -> Model:
        """Train each method, and return the model of the best."""
        began = time.monotonic()
        models: dict[str, Model] = {}
        scores: dict[str, float | None] = {}
        tried = (progress, callbacks)
        if self.is_rehearsed:
            tried = (
                lambda stage, done, total: progress(f"{stage}, rehearsal", done, total),
                told_apart(callbacks, "rehearsal", "rehearsal"),
            )
        for name, run in self.runs.items():
            model = self._trained(name, run, folder_in(checkpoint, name), *tried)
            if model is not None:
                models[name], scores[name] = model, model.record["validation_map"]
        best, model = self._best(models, scores, checkpoint, progress, callbacks)
        record = model.record | {
            "run_key": self.key(),
            "options": self.context.recorded_options(),
            "auto": {
                "chosen": best,
                "scores": scores,
                "refused": self.refused,
                "searched": models[best].record["validation_searched"],
                "rehearsed": self.is_rehearsed,
                "knows_all": self._knows_all,
                "bits_tried": self.bits_tried,
                "images_per_class": self.images_per_class,
                "seconds": round(time.monotonic() - began, 3),
            },
        }
        return replace(model, record=record)

    def _trained(
        self, name: str, run: Run, checkpoint: Path | None, progress: Progress, callbacks: Callbacks
    ) -> Model | None:
        """Return the model of a run; None for a closed form whose features vary in fewer directions than bits."""
        try:
            return run.train(checkpoint, progress, callbacks)
        except TooFewDirectionsError as error:
            self.refused[name] = str(error)
            return None

    def _best(
        self,
        models: dict[str, Model],
        scores: dict[str, float | None],
        checkpoint: Path | None,
        progress: Progress,
        callbacks: Callbacks,
    ) -> tuple[str, Model]:
        """Return the best method and its model, after a rehearsal trained on all."""
        for name in sorted(models, key=lambda name: scores[name] or 0.0, reverse=True):
            if not self.is_rehearsed:
                return name, models[name]
            run = self.planned(self.context, self.n_bits, name)
            model = self._trained(name, run, folder_in(checkpoint, f"{name}-all"), progress, callbacks)
            if model is not None:
                return name, model
        raise InputError(f"no method can be trained here: {'; '.join(self.refused.values())}")

    @property
    def images_per_class(self) -> float:
        """The median number of training images that a class has."""
        return images_per_class(self.context.labels["train"]) or 0.0


def _bits_for(n_bits: int, n_train: int) -> int:
    """Return the length, halved until so few images vary in as many directions."""
    while n_bits >= n_train and n_bits > 1:
        n_bits //= 2
    return n_bits


def _rehearsal(context: RunContext) -> Split | None:
    """Return the split on which the methods are compared where validation images cannot search each other.

    None where they can, where the database is trained on, or where there are too few training images for it.
    """
    split, labels = context.split, context.labels
    wanted = context.options.validate_against
    if wanted == "train" or not labels["validation"].any() or is_trained_on(split):
        return None
    if searched_by_validation(split, labels["validation"], wanted) == "validation":
        return None
    moved = _moved(labels["train"], labels["validation"])
    left = np.delete(labels["train"], moved, axis=0)
    both = np.concatenate([labels["validation"], labels["train"][moved]])
    if not left.any(axis=0).all() or shares_labels(both).mean() <= 0.5:
        return None
    rows = np.sort(np.concatenate([split.validation, split.train[moved]]))
    return replace(
        split,
        train=np.delete(split.train, moved),
        validation=rows,
        recipe=split.recipe | {"rehearsal": True},
    )


def _moved(train: npt.NDArray[np.bool_], validation: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return which training images join validation: one of each class that leaves another one to train on."""
    left, needed = train.sum(axis=0), (validation.sum(axis=0) < 2) & (validation.sum(axis=0) + train.sum(axis=0) > 2)
    chosen: list[int] = []
    for row, labels in enumerate(train):
        if (labels & needed).any() and (left[labels] > 1).all():
            chosen.append(row)
            left = left - labels
            needed = needed & ~labels
    return np.array(chosen, dtype=np.int64)
