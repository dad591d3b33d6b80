"""What a method may look at before its centers exist: features of the training images, and a classifier's logits."""

from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load, save
from torch import nn

from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import DataError, InputError
from nearbit.files.tensors import tensors_read
from nearbit.files.writing import keep_checked, read_checked
from nearbit.methods import CLASSIFIER, Schedule, Task
from nearbit.networks import HashNetwork, Head
from nearbit.progress import Progress
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks
from nearbit.training.context import RunContext
from nearbit.training.criterion import Criterion, accuracy
from nearbit.training.inputs.batches import TrainingInputs
from nearbit.training.learner import Learner, Stage
from nearbit.training.seeds import generator
from nearbit.training.trainer import Trainer

OF_BOTH = ("batch_size", "learning_rate", "optimizer", "weight_decay", "backbone_factor")
"""What a published recipe says of the classifier, too (SHC, section 4.1.4 and its released code)."""


@final
class FirstStage:
    """The training images of a run; see `nearbit.methods.TrainingImages`.

    Attributes:
        context: the run.
        epochs: how long a classifier is trained where nothing else is said.
        checkpoint: a folder for its checkpoint, or None.
        progress: called as images are encoded and after each epoch.
        callbacks: told of each epoch of the classifier.
        found: what is to be recorded of the classifier, once it is trained.
    """

    def __init__(
        self,
        context: RunContext,
        epochs: int,
        checkpoint: Path | None,
        progress: Progress,
        callbacks: Callbacks = NO_CALLBACKS,
    ) -> None:
        self.context, self.epochs, self.checkpoint, self.progress = context, epochs, checkpoint, progress
        self.callbacks = callbacks
        self.found: dict[str, Any] = {}

    @property
    def labels(self) -> npt.NDArray[np.bool_]:
        """Bool `(n, n_classes)` of the training images."""
        return self.context.labels["train"]

    def features(self) -> FloatRows:
        """Return the pretrained backbone's features of the training images: float32 `(n, feature_dim)`."""
        if not self.context.backbone.spec.pretrained:
            raise InputError(
                "features of a backbone with random weights say nothing of classes: take a pretrained backbone "
                "(--weights, timm:NAME, hf:FOLDER), or similarity 'classifier'"
            )
        return self.context.train_features(self.progress)

    def plain_views(self) -> list[FloatRows]:
        """Return views of frozen features, or the features of plain images, or from scratch their thumbnails."""
        if self.context.regime == "frozen":
            return [np.asarray(view.cpu().numpy()) for view in self.context.feature_inputs(self.progress).views]
        return [self.context.thumbnails(self.progress) if self.context.regime == "scratch" else self.features()]

    def logits(self, epochs: int | None) -> FloatRows:
        """Return a classifier's logits of the training images: float32 `(n, n_classes)`; kept in the run's cache."""
        schedule = self._schedule(epochs)
        kept = None
        if self.context.cache is not None:
            kept = self.context.cache / "stages" / f"classifier-{self._key(schedule)}.logits"
        processes = self.context.processes
        content = read_checked(kept) if kept is not None and processes.is_main else None
        content = processes.broadcast_bytes(content)
        if content is None:
            logits = self._logits_of(self._trained(schedule)[1])
            if kept is not None and processes.is_main:
                keep_checked(kept, save(logits))
        else:
            with tensors_read("the classifier's logits in the cache (delete the folder 'stages' there)", DataError):
                logits = load(content)
        self._note(schedule, logits)
        return logits["train"]

    def classifier(self, epochs: int | None) -> Head:
        """Return the head of a classifier on frozen features: one linear layer, `n_classes` outputs."""
        if self.context.regime != "frozen":
            raise InputError("a classifier's head alone is for frozen features")
        network, trainer = self._trained(self._schedule(epochs))
        self._note(self._schedule(epochs), self._logits_of(trainer))
        return network.head

    def _note(self, schedule: Schedule, logits: dict[str, FloatRows]) -> None:
        shares = {part: accuracy(values, self.context.labels[part]) for part, values in logits.items()}
        names = ("epochs", "batch_size", "optimizer", "learning_rate")
        self.found = {name: getattr(schedule, name) for name in names} | {"accuracy": shares}

    def _schedule(self, epochs: int | None) -> Schedule:
        """Return the classifier's schedule.

        Only the size of batches, which memory bounds, is the hash network's; but a published recipe is one for both.
        """
        schedule = CLASSIFIER.schedules[self.context.regime]
        shared = ("batch_size",) if self.context.options.preset is None else OF_BOTH
        values = {name: getattr(self.context.options, name) for name in shared}
        given = {name: value for name, value in values.items() if value is not None}
        return replace(schedule, epochs=self.epochs if epochs is None else epochs, **given)

    def _key(self, schedule: Schedule) -> str:
        return self.context.key(stage="classifier", schedule=repr(schedule))

    def _trained(self, schedule: Schedule) -> tuple[HashNetwork, Trainer]:
        network = self.context.network(self.context.dataset.n_classes, "linear")
        inputs = self.context.inputs(network.backbone, self.progress)
        if self.context.regime == "frozen":
            network.head.standardize(self.context.feature_inputs(self.progress).views[0])
        stage = Stage(
            name="classifier",
            title="Training the classifier",
            key=self._key(schedule),
            checkpoint=None if self.checkpoint is None else self.checkpoint / "classifier.checkpoint",
            callbacks=self.callbacks,
        )
        module = self._module(network)
        trainer = classifier_trainer(self.context, module, inputs, schedule, stage, self.context.options.seed)
        trainer.run(self.progress)
        return network, trainer

    def _module(self, network: HashNetwork) -> nn.Module:
        return network.head if self.context.regime == "frozen" else network

    def _logits_of(self, trainer: Trainer) -> dict[str, FloatRows]:
        parts = {part: np.arange(len(rows)) for part, rows in self.context.parts.items() if len(rows)}
        with torch.no_grad():
            return {part: trainer.outputs(part, rows) for part, rows in parts.items()}


def classifier_trainer(
    context: RunContext,
    module: nn.Module,
    inputs: TrainingInputs,
    schedule: Schedule,
    stage: Stage,
    seed: int,
    *,
    criterion: Criterion | None = None,
    patience: int = 0,
) -> Trainer:
    """Return what trains a module of `n_classes` outputs as a classifier, to the last epoch where nothing scores it."""
    n_classes = context.dataset.n_classes
    task = Task(n_classes=n_classes, n_bits=n_classes, multi_label=False)
    learner = Learner(
        method=CLASSIFIER,
        method_options=CLASSIFIER.options,
        task=task,
        schedule=schedule,
        start=lambda: CLASSIFIER.first_centers(task, CLASSIFIER.options, generator(seed, "centers")),
    )
    return Trainer(
        context=context,
        learner=learner,
        stage=stage,
        module=module,
        inputs=inputs,
        seed=seed,
        criterion=criterion,
        patience=patience,
    )
