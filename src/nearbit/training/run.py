"""`train`: from a data set and a split to a model."""

import copy
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch

from nearbit.bundle import Model
from nearbit.codes import check_n_bits
from nearbit.datasets import Dataset, Split
from nearbit.encode import Job, encode_images, find_device, library_versions, rows_key
from nearbit.errors import InputError, TrainingError
from nearbit.files import json_digest
from nearbit.methods import Method, Regime, Schedule, Task, find_method
from nearbit.networks import HEADS, Backbone, HashNetwork, Head, HeadKind, make_backbone
from nearbit.progress import Progress, silent
from nearbit.row_cache import RowCache, Rows
from nearbit.training.batches import FeatureInputs, PixelInputs, TrainingInputs
from nearbit.training.checkpoint import Progressed
from nearbit.training.fit import Fit
from nearbit.training.options import (
    TrainOptions,
    check_augmentation,
    head_candidates,
    mirrors,
    resolve_regime,
    resolve_schedule,
)
from nearbit.training.seeds import torch_seeded


def train(
    dataset: Dataset,
    split: Split,
    *,
    method: str | Method = "crh",
    n_bits: int = 64,
    options: TrainOptions | None = None,
    method_options: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Model:
    """Train a hash network on the training part of a split.

    Args:
        dataset: images with labels, of at least two classes.
        split: which rows are for training and validation; the query and the database rows are not looked at.
        method: a name in `nearbit.methods.METHODS`, or a `Method`.
        n_bits: length of the codes.
        options: see `TrainOptions`.
        method_options: options of the method by name, such as {"margin": 0.3}.
        checkpoint: a folder for checkpoints: an interrupted run that is repeated goes on from there, and ends with the
            weights of an undisturbed one (on the CPU, with the same number of threads, to the last bit).
        cache: a folder that keeps features of frozen backbones by content.
        progress: called after each chunk of images and each epoch.

    Returns:
        The model. Which epoch it is from, and how every epoch went, stands in its `record`.

    Raises:
        InputError: an option has a wrong value.
        DataError: the split does not belong to the data set.
        TrainingError: fewer than two classes, a class without training images, or a loss that is not a number.
    """
    run = plan(
        dataset, split, method=method, n_bits=n_bits, options=options, method_options=method_options, cache=cache
    )
    return run.train(checkpoint, progress)


def plan(
    dataset: Dataset,
    split: Split,
    *,
    method: str | Method = "crh",
    n_bits: int = 64,
    options: TrainOptions | None = None,
    method_options: Mapping[str, Any] | None = None,
    cache: Path | None = None,
) -> "TrainingRun":
    """Check everything that `train` takes and return the run, named by its key but not yet begun."""
    chosen = find_method(method) if isinstance(method, str) else method
    return TrainingRun(dataset, split, chosen, check_n_bits(n_bits), options or TrainOptions(), method_options, cache)


@final
class TrainingRun:
    """One training run, checked and ready; `plan` makes it."""

    def __init__(
        self,
        dataset: Dataset,
        split: Split,
        method: Method,
        n_bits: int,
        options: TrainOptions,
        method_options: Mapping[str, Any] | None,
        cache: Path | None,
    ) -> None:
        split.check(dataset)
        self.dataset, self.split, self.method, self.options, self.cache = dataset, split, method, options, cache
        self.method_options = method.with_options(method_options)
        self.parts = {"train": split.train, "validation": split.validation}
        self.labels = {part: dataset.labels[rows] for part, rows in self.parts.items()}
        _check_classes(dataset, split)
        self.task = Task(n_classes=dataset.n_classes, n_bits=n_bits, multi_label=_is_multi_label(self.labels["train"]))
        self.device = find_device(options.device)
        with torch_seeded(options.seed, "backbone"):
            self.backbone = make_backbone(options.backbone, weights=options.weights, image_size=options.image_size)
        self._start = self.backbone.fingerprint()
        self.backbone.to(self.device)
        self.regime: Regime = resolve_regime(options, pretrained=self.backbone.spec.pretrained)
        check_augmentation(options, self.regime)
        self.kinds = head_candidates(options, self.regime, has_validation=len(split.validation) > 0)
        self.schedules: dict[HeadKind, Schedule] = {
            kind: resolve_schedule(method, options, self.regime, kind) for kind in HEADS
        }
        if options.select == "validation" and not len(split.validation):
            raise InputError(
                "the best epoch is chosen on validation images and the split has none: make a split with "
                "validation images, or train to the end (select 'last', --select last)"
            )

    def train(self, checkpoint: Path | None, progress: Progress) -> Model:
        """Train, from the checkpoint where there is one of this very run, and return the model."""
        began = time.monotonic()
        fixed = self._feature_inputs(progress) if self.regime == "frozen" else None
        prepared = time.monotonic() - began
        fitted = {kind: self._fit(kind, fixed, checkpoint, progress) for kind in self.kinds}
        best = max(self.kinds, key=lambda kind: _score(fitted[kind][1]))
        network, state = fitted[best]
        candidates = {
            kind: None if state.best is None else state.best.validation_map for kind, (_, state) in fitted.items()
        }
        seconds = {"features": round(prepared, 3), "training": round(time.monotonic() - began - prepared, 3)}
        return self._model(network, best, state, candidates, seconds)

    def key(self) -> str:
        """Name the run: runs of equal keys train to equal weights."""
        return json_digest(
            {
                "dataset": self.dataset.fingerprint,
                "split": self.split.hash,
                "method": self.method.name,
                "method_options": repr(self.method_options),
                "n_bits": self.task.n_bits,
                "options": self._chosen(),
                "backbone_fingerprint": self._start,
                "schedules": repr(self.schedules),
                "libraries": library_versions(),
                "threads": torch.get_num_threads(),
                "device": str(self.device),
            }
        )

    def _chosen(self) -> dict[str, Any]:
        """Return the options as they are recorded: a backbone in a folder by its name, not by where it lies."""
        return self.options.to_dict() | {"backbone": self.backbone.spec.name}

    def _feature_inputs(self, progress: Progress) -> FeatureInputs:
        self.backbone.to(self.device).eval()
        views = [self._features("train", view, progress) for view in range(self.options.views)]
        validation = self._features("validation", 0, progress) if len(self.split.validation) else views[0][:0]
        return FeatureInputs(views, validation, self.device)

    def _features(self, part: str, view: int, progress: Progress) -> Rows:
        rows = self.parts[part]
        digests = [self.dataset.digests[row] for row in rows]
        job = Job(self.dataset.source, rows.tolist(), [self.dataset.keys[row] for row in rows], digests)
        mirror = mirrors(self.options, dataset_mirror=self.dataset.mirror)
        key = rows_key(self.backbone.fingerprint(), self.device) + (f"/view {view} {mirror}" if view else "")
        cache = RowCache(self.cache / "features", key) if self.cache is not None else None
        encoded = encode_images(
            self.backbone,
            self.backbone.preprocessing,
            job,
            device=self.device,
            cache=cache,
            reader=self._augmented(view, mirror) if view else None,
            stage=f"Features of {part} images" + (f", view {view + 1}" if view else ""),
            progress=progress,
        )
        if encoded.problems:
            problem = encoded.problems[0]
            raise TrainingError(f"an image cannot be read any more: {problem.path}: {problem.reason}")
        return encoded.outputs

    def _augmented(self, view: int, mirror: bool) -> Any:
        def read(row: int) -> Any:
            rng = np.random.default_rng([view, int(self.dataset.digests[row][:15], 16)])
            image = self.dataset.source.read(row, at_least=self.backbone.preprocessing.augment_side)
            return self.backbone.preprocessing.augment(image, rng, mirror=mirror)

        return read

    def _fit(
        self, kind: HeadKind, fixed: FeatureInputs | None, checkpoint: Path | None, progress: Progress
    ) -> tuple[HashNetwork, Progressed]:
        key = f"{self.key()}/{kind}"
        backbone = self.backbone if fixed is not None else copy.deepcopy(self.backbone)
        with torch_seeded(self.options.seed, "head"):
            head = Head(
                backbone.spec.feature_dim,
                self.task.n_bits,
                kind,
                hidden=self.options.hidden,
                dropout=self.options.dropout,
            ).to(self.device)
        if fixed is not None:
            head.standardize(fixed.views[0])
        network = HashNetwork(backbone, head).to(self.device)
        inputs: TrainingInputs = fixed if fixed is not None else self._pixel_inputs(backbone)
        fit = Fit(
            module=head if fixed is not None else network,
            inputs=inputs,
            train_labels=self.labels["train"],
            validation_labels=self.labels["validation"],
            method=self.method,
            options=self.method_options,
            task=self.task,
            schedule=self.schedules[kind],
            select=self.options.select,
            validate_every=self.options.validate_every,
            seed=self.options.seed,
            device=self.device,
            checkpoint=None if checkpoint is None else checkpoint / f"{kind}.checkpoint",
            key=key,
            stage=f"Training {self.method.name}, {self.task.n_bits} bits, {kind} head",
        )
        return network, fit.run(progress)

    def _pixel_inputs(self, backbone: Backbone) -> PixelInputs:
        return PixelInputs(
            self.dataset,
            backbone.preprocessing,
            self.parts,
            self.device,
            augment=self.options.augment != "none",
            mirror=mirrors(self.options, dataset_mirror=self.dataset.mirror),
        )

    def _model(
        self,
        network: HashNetwork,
        kind: HeadKind,
        state: Progressed,
        candidates: dict[HeadKind, float | None],
        seconds: dict[str, float],
    ) -> Model:
        assert state.best is not None  # noqa: S101 - Fit.run always leaves one
        record = {
            "run_key": self.key(),
            "regime": self.regime,
            "options": self._chosen(),
            "schedule": _plain(self.schedules[kind]),
            "n_train": len(self.split.train),
            "n_validation": len(self.split.validation),
            "dataset": self.dataset.name,
            "dataset_fingerprint": self.dataset.fingerprint,
            "selected_epoch": state.best.epoch,
            "validation_map": state.best.validation_map,
            "head_candidates": candidates,
            "history": state.history,
            "seconds": seconds,
            "device": str(self.device),
            "threads": torch.get_num_threads(),
        }
        head = {"kind": kind, "hidden": self.options.hidden, "dropout": self.options.dropout}
        return Model(
            network=network.cpu().eval(),
            head=head,
            n_bits=self.task.n_bits,
            classes=self.dataset.classes,
            method=self.method.name,
            method_options=_plain(self.method_options),
            centers=state.best.centers,
            split=self.split,
            record=record,
        )


def _plain(options: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(options).items()}


def _score(state: Progressed) -> float:
    return -1.0 if state.best is None or state.best.validation_map is None else state.best.validation_map


def _is_multi_label(labels: npt.NDArray[np.bool_]) -> bool:
    return bool((labels.sum(axis=1) > 1).any())


def _check_classes(dataset: Dataset, split: Split) -> None:
    if dataset.n_classes < 2:
        raise TrainingError(f"training needs images of at least 2 classes, and {dataset.name} has {dataset.n_classes}")
    if len(split.train) < 2:
        raise TrainingError(f"training needs at least 2 training images, and the split has {len(split.train)}")
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
