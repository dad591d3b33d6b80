"""`--final`: what a run chose on validation images is trained once more, on all images of the split."""

from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np

from nearbit.datasets import Dataset, Split
from nearbit.datasets.dataset import PARTS
from nearbit.errors import InputError
from nearbit.files.writing import json_digest
from nearbit.metrics.kept import images_per_class
from nearbit.model.bundle import Model
from nearbit.model.manifest import tuning_figures
from nearbit.progress import Progress
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks, told_apart
from nearbit.training.checkpoint_folder import folder_in
from nearbit.training.context import RunContext
from nearbit.training.runs.auto import AutoRun
from nearbit.training.runs.baseline import BaselineRun
from nearbit.training.runs.method_run import TrainingRun
from nearbit.training.runs.two_step import TwoStepRun

NOTE = (
    "trained on all images of the split that the method can be trained on: no figure of this model can be measured on "
    "them; what was measured is of the same recipe, trained on fewer of them"
)


@final
class FinalRun:
    """A run, and what it chose trained again on all images of its split; `plan` makes it.

    The chooser is trained as it would be alone. Of its model's record the recipe is taken: method, head, the chosen
    epoch as the number of epochs, and how classifiers join. It is trained from the start, with nothing left to choose,
    on a split all of whose images are training images, and the model of that is returned.

    Attributes:
        chooser: the run that chooses; `context` is its own.
        split: the images of all four parts in train.
        without_labels: how many images of the parts are left out because the method needs labels.
    """

    def __init__(self, chooser: TrainingRun | BaselineRun | AutoRun | TwoStepRun) -> None:
        self.chooser, self.context = chooser, chooser.context
        self.split, self.without_labels = _whole(self.context.dataset, self.context.split, chooser.needs_labels)

    def key(self) -> str:
        """Name the run: runs of equal keys make equal models."""
        return json_digest({"final": self.chooser.key()})

    def train(self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks = NO_CALLBACKS) -> Model:
        """Let the chooser choose, train its recipe on all images, and return that model."""
        chosen = self.chooser.train(folder_in(checkpoint, "chosen"), progress, callbacks)
        self.context.forget_decoded()
        context = RunContext(self.context.dataset, self.split, self.context.options, self.context.feature_store)
        model = self.chooser.again(context, chosen).train(
            folder_in(checkpoint, "final"),
            lambda stage, done, total: progress(f"{stage}, all images", done, total),
            told_apart(callbacks, "final", "all images"),
        )
        told: dict[str, Any] = {name: chosen.record[name] for name in ("auto", "recipe") if name in chosen.record}
        record = {"run_key": self.key(), "options": self.context.recorded_options(), **told}
        return replace(model, record=model.record | record | {"final": self._said(model, chosen)})

    def _said(self, model: Model, chosen: Model) -> dict[str, Any]:
        """Return what is recorded of the final training, and what was measured of its recipe before."""
        measured = ("run_key", "n_train", "n_validation", "validation_map", "validation_searched")
        return {
            "n_images": len(self.split.train),
            "images_per_class": images_per_class(self.context.dataset.labels[self.split.train]),
            "left_out_without_labels": self.without_labels,
            "recipe": {
                "method": model.method,
                "head": model.head["kind"],
                "epochs": model.record["schedule"]["epochs"],
                "expected_center": model.record.get("expected_center"),
            },
            "measured": {
                "model_id": chosen.model_id,
                "split_hash": self.context.split.hash,
                **{name: chosen.record[name] for name in measured},
                **({"tuning": tuning_figures(chosen.record)} if "tuning" in chosen.record else {}),
                **({"published": chosen.record["published"]} if "published" in chosen.record else {}),
            },
            "note": NOTE,
        }


AnyRun = TrainingRun | BaselineRun | AutoRun | TwoStepRun | FinalRun
"""What `plan` returns."""


def _whole(dataset: Dataset, split: Split, needs_labels: bool) -> tuple[Split, int]:
    """Return the split that trains on the images of all parts, and how many are left out for want of labels."""
    if "unseen" in split.recipe:
        raise InputError(
            "a final model is trained on all images, and this split keeps classes unseen, to measure what a network "
            "does with them: leave --final (final=True) out, or take a protocol without unseen classes"
        )
    rows = np.unique(np.concatenate([split.rows(part) for part in PARTS]))
    kept = rows[dataset.labels[rows].any(axis=1)] if needs_labels else rows
    if np.array_equal(kept, split.train):
        raise InputError(
            f"all {len(kept)} images of the split that can be trained on are training images already, so a final "
            "training would be the same again: leave --final (final=True) out"
        )
    none = np.empty(0, np.int64)
    whole = replace(
        split, train=kept, validation=none, query=none, database=none, recipe=split.recipe | {"final": True}
    )
    return whole, len(rows) - len(kept)
