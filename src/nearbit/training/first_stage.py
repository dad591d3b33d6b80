"""What a method may look at before its centers exist: features of the training images, and a classifier's logits."""

from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load, save
from torch import nn

from nearbit.encoding.feature_cache import Rows
from nearbit.errors import DataError, InputError
from nearbit.files.tensors import tensors_read
from nearbit.files.writing import read_checked, write_checked
from nearbit.methods import CLASSIFIER, Schedule, Task
from nearbit.networks import HashNetwork, Head
from nearbit.progress import Progress
from nearbit.training.callbacks import UNWATCHED, Watch
from nearbit.training.context import Setup
from nearbit.training.seeds import generator
from nearbit.training.trainer import Fit


@final
class TrainingMaterial:
    """The training images of a run; see `nearbit.methods.Material`.

    Attributes:
        setup: the run.
        epochs: how long a classifier is trained where nothing else is said.
        checkpoint: a folder for its checkpoint, or None.
        progress: called as images are encoded and after each epoch.
        watch: told of each epoch of the classifier.
        found: what is to be recorded of the classifier, once it is trained.
    """

    def __init__(
        self, setup: Setup, epochs: int, checkpoint: Path | None, progress: Progress, watch: Watch = UNWATCHED
    ) -> None:
        self.setup, self.epochs, self.checkpoint, self.progress = setup, epochs, checkpoint, progress
        self.watch = watch
        self.found: dict[str, Any] = {}

    @property
    def labels(self) -> npt.NDArray[np.bool_]:
        """Bool `(n, n_classes)` of the training images."""
        return self.setup.labels["train"]

    def features(self) -> Rows:
        """Return the pretrained backbone's features of the training images: float32 `(n, feature_dim)`."""
        if not self.setup.backbone.spec.pretrained:
            raise InputError(
                "features of a backbone with random weights say nothing of classes: take a pretrained backbone "
                "(--weights, timm:NAME, hf:FOLDER), or similarity 'classifier'"
            )
        return self.setup.train_features(self.progress)

    def logits(self, epochs: int | None) -> Rows:
        """Return a classifier's logits of the training images: float32 `(n, n_classes)`; kept in the run's cache."""
        schedule = self._schedule(epochs)
        kept = None
        if self.setup.cache is not None:
            kept = self.setup.cache / "stages" / f"classifier-{self._key(schedule)}.logits"
        processes = self.setup.processes
        content = read_checked(kept) if kept is not None and processes.leads else None
        content = processes.bytes_from_leader(content)
        if content is None:
            logits = self._logits_of(self._trained(schedule)[1])
            if kept is not None and processes.leads:
                write_checked(kept, save(logits))
        else:
            with tensors_read("the classifier's logits in the cache (delete the folder 'stages' there)", DataError):
                logits = load(content)
        accuracy = {part: _accuracy(values, self.setup.labels[part]) for part, values in logits.items()}
        self.found = {"epochs": schedule.epochs, "accuracy": accuracy}
        return logits["train"]

    def classifier(self, epochs: int | None) -> Head:
        """Return the head of a classifier on frozen features: one linear layer, `n_classes` outputs."""
        if self.setup.regime != "frozen":
            raise InputError("a classifier's head alone is for frozen features")
        network, _ = self._trained(self._schedule(epochs))
        self.found = {"epochs": self._schedule(epochs).epochs}
        return network.head

    def _schedule(self, epochs: int | None) -> Schedule:
        """Return the classifier's schedule; only the size of batches, which memory bounds, is the hash network's."""
        schedule = CLASSIFIER.schedules[self.setup.regime]
        batch_size = self.setup.options.batch_size or schedule.batch_size
        return replace(schedule, epochs=self.epochs if epochs is None else epochs, batch_size=batch_size)

    def _key(self, schedule: Schedule) -> str:
        return self.setup.key(stage="classifier", schedule=repr(schedule))

    def _trained(self, schedule: Schedule) -> tuple[HashNetwork, Fit]:
        n_classes = self.setup.dataset.n_classes
        task = Task(n_classes=n_classes, n_bits=n_classes, multi_label=False)
        network = self.setup.network(n_classes, "linear")
        inputs = self.setup.inputs(network.backbone, self.progress)
        if self.setup.regime == "frozen":
            network.head.standardize(self.setup.feature_inputs(self.progress).views[0])
        seed = self.setup.options.seed
        fit = Fit(
            module=self._module(network),
            inputs=inputs,
            train_labels=self.labels,
            validation_labels=self.setup.labels["validation"][:0],
            method=CLASSIFIER,
            options=CLASSIFIER.options,
            task=task,
            schedule=schedule,
            start=lambda: CLASSIFIER.make_centers(task, CLASSIFIER.options, generator(seed, "centers")),
            select="last",
            validate_every=1,
            seed=seed,
            device=self.setup.device,
            checkpoint=None if self.checkpoint is None else self.checkpoint / "classifier.checkpoint",
            key=self._key(schedule),
            stage="Training the classifier",
            name="classifier",
            precision=self.setup.precision,
            processes=self.setup.processes,
            watch=self.watch,
        )
        fit.run(self.progress)
        return network, fit

    def _module(self, network: HashNetwork) -> nn.Module:
        return network.head if self.setup.regime == "frozen" else network

    def _logits_of(self, fit: Fit) -> dict[str, Rows]:
        parts = {part: np.arange(len(rows)) for part, rows in self.setup.parts.items() if len(rows)}
        with torch.no_grad():
            return {part: fit.outputs(part, rows) for part, rows in parts.items()}


def _accuracy(logits: Rows, labels: npt.NDArray[np.bool_]) -> float:
    """Return the share of images one of whose labels has the largest logit."""
    return float(labels[np.arange(len(labels)), logits.argmax(axis=1)].mean())
