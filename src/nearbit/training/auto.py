"""`--method auto`: a few methods are trained, and the one whose codes are best on validation images is kept."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from nearbit.datasets import Split
from nearbit.errors import InputError
from nearbit.files.writing import json_digest
from nearbit.model.bundle import Model
from nearbit.progress import Progress
from nearbit.training.baseline import BaselineRun
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks
from nearbit.training.context import RunContext
from nearbit.training.criterion import shares_labels
from nearbit.training.method_run import TrainingRun

CANDIDATES = ("ech", "ridge", "itq")
"""What is tried on frozen features: a hash network, and two closed forms that take a second."""

FEW_IMAGES = 10
"""Training images a class below which a hash network overfits."""

Run = TrainingRun | BaselineRun
PlanOne = Callable[[str, Split], Run]
"""(the name of a method, the split) to its run."""


@final
class AutoRun:
    """Runs of several methods, one of which is kept; `plan` makes it.

    Each is scored as epochs are (see `Criterion`). Where validation images cannot search each other because too few
    share a label, a score against training images would only say how well these were learnt by heart. Then the
    choice is rehearsed: some training images join the validation images until most of them share a label, each
    method is trained without them (ECH with one classifier) and scored on them, and the best one is then trained on
    all. Of the two heads ECH gets the hidden layer, unless the options name one.
    """

    def __init__(self, context: RunContext, n_bits: int, plan_one: PlanOne) -> None:
        self.context, self.n_bits = context, n_bits
        self._rehearsed = _rehearsal(context)
        self._plan_one = plan_one
        self.runs: dict[str, Run] = {}
        self.refused: dict[str, str] = {}
        for name in self._candidates():
            self.runs[name] = plan_one(name, self._rehearsed or context.split)

    def _candidates(self) -> tuple[str, ...]:
        """Return what can be tried: closed forms alone for more classes than words, one method without validation."""
        n_classes = self.context.dataset.n_classes
        if self.n_bits < 63 and n_classes > 2**self.n_bits:
            self.refused["ech"] = f"{n_classes} classes are more than the words of {self.n_bits} bits"
        elif self.context.criterion(self.n_bits) is None:
            return ("ech",) if self.images_per_class >= FEW_IMAGES else ("ridge",)
        return tuple(name for name in CANDIDATES if name not in self.refused)

    def key(self) -> str:
        """Name the run: runs of equal keys make equal models."""
        keys = {name: run.key() for name, run in self.runs.items()}
        return json_digest({"auto": keys, "split": self.context.split.hash})

    def train(self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks = NO_CALLBACKS) -> Model:
        """Train each method, and return the model of the best."""
        began = time.monotonic()
        models: dict[str, Model] = {}
        scores: dict[str, float | None] = {}
        for name, run in self.runs.items():
            try:
                models[name] = run.train(_beside(checkpoint, name), progress, callbacks)
            except InputError as error:  # a closed form, of features that vary in fewer directions than there are bits
                if len(self.runs) == 1 or not isinstance(run, BaselineRun):
                    raise
                self.refused[name] = str(error)
                continue
            scores[name] = models[name].record["validation_map"]
        if not scores:
            raise InputError(f"no method can be trained here: {next(iter(self.refused.values()))}")
        best = max(scores, key=lambda name: scores[name] or 0.0)
        model = models[best]
        if self._rehearsed is not None:
            model = self._plan_one(best, self.context.split).train(
                _beside(checkpoint, f"{best}-all"), progress, callbacks
            )
        record = model.record | {
            "run_key": self.key(),
            "auto": {
                "chosen": best,
                "scores": scores,
                "refused": self.refused,
                "searched": models[best].record["validation_searched"],
                "rehearsed": self._rehearsed is not None,
                "images_per_class": self.images_per_class,
                "seconds": round(time.monotonic() - began, 3),
            },
        }
        return replace(model, record=record)

    @property
    def images_per_class(self) -> float:
        """The median number of training images that a class has."""
        return float(np.median(self.context.labels["train"].sum(axis=0)))


def _beside(checkpoint: Path | None, name: str) -> Path | None:
    if checkpoint is None:
        return None
    folder = checkpoint / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _rehearsal(context: RunContext) -> Split | None:
    """Return the split on which the methods are compared where validation images cannot search each other.

    None where they can, where the database is trained on, or where there are too few training images for it.
    """
    split, labels = context.split, context.labels
    criterion = context.criterion(1)
    if criterion is None or criterion.searched == "validation" or context.options.validate_against == "train":
        return None
    if len(split.database) and np.isin(split.database, split.train).mean() >= 0.5:
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
