"""The first of two steps: a backbone is fine-tuned as a classifier, and then serves heads as a frozen one does."""

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from nearbit.errors import DataError
from nearbit.files.tensors import tensors_read
from nearbit.files.writing import keep_checked, read_checked
from nearbit.methods import CLASSIFIER, Schedule
from nearbit.networks import Backbone
from nearbit.progress import Progress
from nearbit.training.callbacks import Callbacks
from nearbit.training.checkpoint import copy_weights
from nearbit.training.context import RunContext
from nearbit.training.criterion import TRAIN_ON, accuracy, check_chosen
from nearbit.training.learner import Stage
from nearbit.training.options import OF_SCHEDULES, mirrors, resolve_patience, resolve_schedule, without
from nearbit.training.stages.first_stage import classifier_trainer

TUNING = replace(
    CLASSIFIER,
    schedules={
        **CLASSIFIER.schedules,
        "fine-tuned": Schedule(epochs=30, batch_size=64, learning_rate=1e-3, backbone_factor=0.1),
    },
)
"""The classifier, with a schedule that is as long as a backbone needs and not as the paper's whole training."""

TITLE = "Fine-tuning the backbone"

OF_TUNING = (
    *OF_SCHEDULES,
    "weights",
    "image_size",
    "patience",
    "workers",
    "keep_decoded",
    "precision",
    "compile",
    "batch_norm",
)
"""Options that in two steps are about the backbone."""

OF_HEADS = ("head", "hidden", "dropout", "views", "candidate_weight", "radius_weight")
"""Options that in two steps are about the head on its features. What else there is holds for both."""


@final
class Tuning:
    """A backbone that is fine-tuned as a classifier of the training images; checked and ready.

    One linear layer on the backbone gives a logit a class, and both are trained with cross-entropy. Of its epochs that
    one is kept whose logits rank the validation images best by cosine (see `Criterion`). The result has no part in the
    length of codes and in the method: it lies in the run's cache, and runs of other lengths and methods take it there.

    Attributes:
        context: of the run, with the options of this step alone.
        schedule, patience: what they come to.
    """

    def __init__(self, context: RunContext) -> None:
        options = without(context.options, OF_HEADS)
        self.context = context = context.with_options(options)
        multi_label = bool((context.labels["train"].sum(axis=1) > 1).any())
        self.schedule = resolve_schedule(
            TUNING, options, context.regime, "linear", len(context.split.train), multi_label=multi_label
        )
        self.criterion = context.criterion(1, by="cosine")
        chooses = options.select == "validation"
        if chooses:
            check_chosen(self.criterion, "the epoch of the backbone", TRAIN_ON)
        self.patience = resolve_patience(options, context.regime, chooses=chooses)

    def key(self) -> str:
        """Name what comes out: equal keys make equal backbones."""
        more = {"patience": self.patience} if self.patience else {}
        mirror = mirrors(self.context.options, dataset_mirror=self.context.dataset.mirror)
        return self.context.key(stage="tuning", schedule=repr(self.schedule), mirror=mirror, **more)

    def start(self) -> Backbone:
        """Return the backbone as it will be but for its weights, to check against what is to be done with it."""
        return self._frozen(self.context.backbone)

    def trained(
        self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks
    ) -> tuple[Backbone, dict[str, Any]]:
        """Return the tuned backbone, as it was kept or trained now, and what is recorded of its training."""
        cache = self.context.cache
        kept = None if cache is None else cache / "stages" / f"tuned-{self.key()}.weights"
        content = None if kept is None else read_checked(kept)
        if content is not None:
            with tensors_read("a backbone in the cache (delete the folder 'stages' there)", DataError):
                return self._restored(load(content))
        backbone, record = self._train(checkpoint, progress, callbacks)
        written = json.dumps(record).encode()
        if kept is not None:
            tensors = {f"module/{name}": value for name, value in copy_weights(backbone.module).items()}
            tensors["about"] = torch.from_numpy(np.frombuffer(written, np.uint8).copy())
            keep_checked(kept, save({name: value.contiguous() for name, value in tensors.items()}))
        return backbone, json.loads(written)

    def _restored(self, tensors: dict[str, Tensor]) -> tuple[Backbone, dict[str, Any]]:
        record = json.loads(tensors.pop("about").numpy().tobytes())
        backbone = self._frozen(self.context.network(1, "linear").backbone)
        backbone.module.load_state_dict({name.removeprefix("module/"): value for name, value in tensors.items()})
        return backbone, record

    def _train(
        self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks
    ) -> tuple[Backbone, dict[str, Any]]:
        began, context = time.monotonic(), self.context
        network = context.network(context.dataset.n_classes, "linear")
        inputs = context.inputs(network.backbone, progress)
        stage = Stage(
            name="tuning",
            title=TITLE,
            key=self.key(),
            checkpoint=None if checkpoint is None else checkpoint / "tuning.checkpoint",
            callbacks=callbacks,
        )
        trainer = classifier_trainer(
            context,
            network,
            inputs,
            self.schedule,
            stage,
            context.options.seed,
            criterion=self.criterion,
            patience=self.patience,
        )
        state = trainer.run(progress)
        assert state.best is not None  # noqa: S101 - Trainer.run always leaves one
        labels = context.labels["validation"]
        with torch.no_grad():
            logits = trainer.outputs("validation", np.arange(len(labels)))
        context.forget_decoded()
        record = {
            "schedule": asdict(self.schedule),
            "patience": self.patience,
            "epochs_trained": state.epoch,
            "selected_epoch": state.best.epoch,
            "validation_map": state.best.validation_map,
            "validation_accuracy": accuracy(logits, labels),
            "history": state.history,
            "seconds": round(time.monotonic() - began, 3),
        }
        return self._frozen(network.backbone), record

    def _frozen(self, backbone: Backbone) -> Backbone:
        """Return the backbone as one whose weights are given."""
        start = "random weights" if self.context.regime == "scratch" else backbone.spec.source
        source = f"{start}, tuned as a classifier of the training images"
        spec = replace(backbone.spec, pretrained=True, source=source)
        return Backbone(backbone.module, backbone.preprocessing, spec)
