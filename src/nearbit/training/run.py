"""`train`: from a data set and a split to a model."""

import copy
import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache as once
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nearbit.centers import CenterState, certify, check_similarity, random_signs
from nearbit.centers.semantic.loss import check_centers
from nearbit.centers.state import check_sizes
from nearbit.codes import check_n_bits
from nearbit.datasets import Dataset, Split, seen_only
from nearbit.encoding.feature_cache import FeatureStore
from nearbit.encoding.torch_backend import enough_memory
from nearbit.errors import InputError, TrainingError
from nearbit.methods import BASELINES, Baseline, Method, Schedule, Similarity, Task, find_method
from nearbit.model.bundle import Model
from nearbit.networks import HEADS, ExpectedCenter, HashNetwork, Head, HeadKind
from nearbit.progress import Progress, silent
from nearbit.training.baseline import BaselineRun
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks
from nearbit.training.checkpoint import TrainState
from nearbit.training.committee import choose_mixture, trained_committee
from nearbit.training.context import RunContext
from nearbit.training.criterion import Criterion
from nearbit.training.first_stage import FirstStage
from nearbit.training.options import TrainOptions, head_candidates, resolve_schedule
from nearbit.training.reference import reference_similarity
from nearbit.training.seeds import generator
from nearbit.training.trainer import Trainer, broadcast_centers


def train(
    dataset: Dataset,
    split: Split,
    *,
    method: str | Method | Baseline = "crh",
    n_bits: int = 64,
    options: TrainOptions | None = None,
    method_options: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    cache: Path | FeatureStore | None = None,
    similarity: npt.ArrayLike | None = None,
    centers: npt.ArrayLike | None = None,
    progress: Progress = silent,
    callbacks: Callbacks = NO_CALLBACKS,
) -> Model:
    """Train a hash network on the training part of a split.

    Args:
        dataset: images with labels, of at least two classes; a baseline such as "itq" needs none.
        split: which rows are for training and validation; the query and the database rows are not looked at. Of a
            split with unseen classes the model knows the seen ones only.
        method: a name in `nearbit.methods.METHODS` or `BASELINES`, or a `Method` or `Baseline`.
        n_bits: length of the codes.
        options: see `TrainOptions`.
        method_options: options of the method by name, such as {"margin": 0.3}.
        checkpoint: a folder for checkpoints: an interrupted run that is repeated goes on from there, and ends with the
            weights of an undisturbed one (on the CPU, with the same number of threads, to the last bit).
        cache: a folder that keeps features of frozen backbones by content, or a `FeatureStore` that many runs share.
        similarity: of the classes, `(n_classes, n_classes)`, for a method whose centers follow one: its first stage is
            then left out.
        centers: `(n_classes, n_bits)` of -1 and +1, for a method that trains towards centers: everything before the
            hash network is then left out. A method that reassigns its centers takes none.
        progress: called after each chunk of images and each epoch.
        callbacks: told when training goes on from a checkpoint, and of the figures of each epoch.

    Within `joined_processes`, all processes that `torchrun` started train the network together; each returns the model.

    Returns:
        The model. Which epoch it is from, and how every epoch went, stands in its `record`.

    Raises:
        InputError: an option has a wrong value.
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
    )
    return run.train(checkpoint, progress, callbacks)


def plan(
    dataset: Dataset,
    split: Split,
    *,
    method: str | Method | Baseline = "crh",
    n_bits: int = 64,
    options: TrainOptions | None = None,
    method_options: Mapping[str, Any] | None = None,
    cache: Path | FeatureStore | None = None,
    similarity: npt.ArrayLike | None = None,
    centers: npt.ArrayLike | None = None,
) -> "TrainingRun | BaselineRun":
    """Check everything that `train` takes and return the run, named by its key but not yet begun."""
    chosen = find_method(method) if isinstance(method, str) else method
    check_n_bits(n_bits)
    split.check(dataset)
    dataset = seen_only(dataset, split)
    if similarity is not None and centers is not None:
        raise InputError("give a similarity, or centers that were made from it, not both")
    values = chosen.with_options(method_options)
    if isinstance(chosen, Baseline):
        if similarity is not None or centers is not None:
            raise InputError(f"{chosen.name} takes neither a similarity nor centers: leave them out")
        _check_labels(dataset, split, needed=chosen.needs_labels)
        return BaselineRun(RunContext(dataset, split, options or TrainOptions(), cache), chosen, values, n_bits)
    _check_labels(dataset, split, needed=True)
    context = RunContext(dataset, split, options or TrainOptions(), cache)
    task = Task(n_classes=dataset.n_classes, n_bits=n_bits, multi_label=_is_multi_label(context.labels["train"]))
    given = (_given_similarity(chosen, task, similarity), _given_centers(chosen, task, centers))
    return TrainingRun(context, chosen, values, task, *given)


@final
class TrainingRun:
    """One training run of a method, checked and ready; `plan` makes it. Each of its stages can be run alone."""

    def __init__(
        self,
        context: RunContext,
        method: Method,
        method_options: Any,
        task: Task,
        similarity: Similarity | None,
        centers: npt.NDArray[np.int8] | None,
    ) -> None:
        self.context, self.method, self.method_options, self.task = context, method, method_options, task
        self._given_similarity, self._given_centers = similarity, centers
        options, split = context.options, context.split
        if context.processes.several and method.memory is not None and method.memory(method_options) is not None:
            raise InputError(
                f"the second term of {method.name} looks at the outputs of all training images, which several "
                "processes do not share: train in one process, or leave the term out (pair_weight=0)"
            )
        if method.committee is not None and context.regime != "frozen":
            raise InputError(
                f"{method.name} trains classifiers on frozen features, and this run is {context.regime}: take a "
                "pretrained backbone (--weights, timm:NAME, hf:FOLDER) and leave --regime out, or the method shc"
            )
        if centers is None:
            check_sizes(task.n_classes, task.n_bits, distinct=method.distinct)
        self.kinds = head_candidates(options, context.regime, has_validation=len(split.validation) > 0)
        self.schedules: dict[HeadKind, Schedule] = {
            kind: resolve_schedule(method, options, context.regime, kind, len(split.train)) for kind in HEADS
        }
        if options.select == "validation" and not len(split.validation):
            raise InputError(
                "the best epoch is chosen on validation images and the split has none: make a split with "
                "validation images, or train to the end (select 'last', --select last)"
            )
        smallest = min(self.schedules[kind].batch_size for kind in self.kinds)
        if smallest < context.processes.count:
            raise InputError(
                f"{context.processes.count} processes share batches of {smallest} images: start fewer, or raise the "
                "batch size (--batch-size)"
            )

    def key(self) -> str:
        """Name the run: runs of equal keys train to equal weights."""
        arrays = {"similarity": self._given_similarity, "centers": self._given_centers}
        given = {
            name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items() if array is not None
        }
        return self.context.key(
            method=self.method.name,
            method_options=repr(self.method_options),
            n_bits=self.task.n_bits,
            schedules=repr(self.schedules),
            **({"given": given} if given else {}),
        )

    def similarity(self, checkpoint: Path | None = None, progress: Progress = silent) -> Similarity | None:
        """Run the first stage alone: the similarity of classes that the centers will follow; None where they do not."""
        return self._similarity(self._first_stage(checkpoint, progress))

    def centers(self, checkpoint: Path | None = None, progress: Progress = silent) -> CenterState:
        """Run all before the hash network: the centers at the start of training."""
        return self._centers(self.similarity(checkpoint, progress))

    def train(self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks = NO_CALLBACKS) -> Model:
        """Train, from the checkpoint where there is one of this very run, and return the model."""
        self.context.processes.check_alike(self.key())
        with enough_memory("this network and its images; lower --batch-size or --image-size, or take --device cpu"):
            return self._trained(checkpoint, progress, callbacks)

    def _trained(self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks) -> Model:
        began = time.monotonic()
        if self.context.regime == "frozen":
            self.context.feature_inputs(progress)
        prepared = time.monotonic()
        images = self._first_stage(checkpoint, progress, callbacks)
        similarity = self._similarity(images)
        start = once(lambda: self._centers(similarity))
        found = time.monotonic()
        committee = self._committee(progress, callbacks)
        fitted = {
            kind: self._train_head(kind, similarity, start, committee, checkpoint, progress, callbacks)
            for kind in self.kinds
        }
        best = max(self.kinds, key=lambda kind: _score(fitted[kind][1]))
        seconds = {
            "features": round(prepared - began, 3),
            "similarity": round(found - prepared, 3),
            "training": round(time.monotonic() - found, 3),
        }
        candidates = {
            kind: None if state.best is None else state.best.validation_map for kind, (_, state) in fitted.items()
        }
        stages = {"head_candidates": candidates, "classifier": images.found or None, "seconds": seconds}
        return self._model(best, *fitted[best], similarity, stages)

    def _first_stage(
        self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks = NO_CALLBACKS
    ) -> FirstStage:
        epochs = max(self.schedules[kind].epochs for kind in self.kinds)
        return FirstStage(self.context, epochs, checkpoint, progress, callbacks)

    def _similarity(self, images: FirstStage) -> Similarity | None:
        if self._given_similarity is not None:
            return self._given_similarity
        if self.method.similarity is None or self._given_centers is not None:
            return None
        return self.method.similarity(images, self.task, self.method_options)

    def _centers(self, similarity: Similarity | None) -> CenterState:
        rng = generator(self.context.options.seed, "centers")
        if self._given_centers is not None:
            return CenterState(centers=self._given_centers, tie_break=random_signs((self.task.n_bits,), rng))
        made = self.method.make_centers(replace(self.task, similarity=similarity), self.method_options, rng)
        return broadcast_centers(made, self.context.processes)

    def _committee(self, progress: Progress, callbacks: Callbacks) -> list[Head]:
        """Return the classifiers whose expected center joins the codes; none for most methods."""
        if self.method.committee is None:
            return []
        plan = self.method.committee(self.method_options)
        return trained_committee(self.context, plan, self.context.options.batch_size, progress, callbacks)

    @cached_property
    def _criterion(self) -> Criterion | None:
        return self.context.criterion(self.task.n_bits)

    def _train_head(
        self,
        kind: HeadKind,
        similarity: Similarity | None,
        start: Any,
        committee: list[Head],
        checkpoint: Path | None,
        progress: Progress,
        callbacks: Callbacks,
    ) -> tuple[HashNetwork, TrainState]:
        context, options = self.context, self.context.options
        network = context.network(self.task.n_bits, kind, normalized=self.method.normalized)
        if committee:
            beside = ExpectedCenter([copy.deepcopy(head) for head in committee], self.task.n_bits)
            network.head.expect(beside.to(context.device))
        inputs = context.inputs(network.backbone, progress)
        frozen = context.regime == "frozen"
        if frozen:
            network.head.standardize(context.feature_inputs(progress).views[0])
            if similarity is None and self.method.reassign is not None:
                similarity = reference_similarity(context.train_features(progress), context.labels["train"])
        trainer = Trainer(
            module=network.head if frozen else network,
            inputs=inputs,
            train_labels=context.labels["train"],
            method=self.method,
            options=self.method_options,
            task=self.task,
            schedule=self.schedules[kind],
            start=start,
            select=options.select,
            validate_every=options.validate_every,
            seed=options.seed,
            device=context.device,
            checkpoint=None if checkpoint is None else checkpoint / f"{kind}.checkpoint",
            key=f"{self.key()}/{kind}",
            stage=f"Training {self.method.name}, {self.task.n_bits} bits, {kind} head",
            name=kind,
            precision=context.precision,
            processes=context.processes,
            callbacks=callbacks,
            criterion=self._criterion,
            expected_center=network.head.expected_center,
            similarity=similarity,
        )
        state = trainer.run(progress)
        if network.head.expected_center is not None:
            assert state.best is not None  # noqa: S101 - Trainer.run always leaves one
            mixture = choose_mixture(context, network.head, self._criterion, progress)
            state.best.mixture = mixture._asdict()
            state.best.validation_map = mixture.score
        return network, state

    def _model(
        self,
        kind: HeadKind,
        network: HashNetwork,
        state: TrainState,
        similarity: Similarity | None,
        stages: dict[str, Any],
    ) -> Model:
        assert state.best is not None  # noqa: S101 - Trainer.run always leaves one
        record = {
            "run_key": self.key(),
            **self.context.record(),
            "schedule": _plain(self.schedules[kind]),
            "selected_epoch": state.best.epoch,
            "validation_map": state.best.validation_map,
            "validation_searched": None if self._criterion is None else self._criterion.searched,
            **({} if state.best.mixture is None else {"expected_center": state.best.mixture}),
            "certificate": certify(state.best.centers.centers, similarity).to_dict(),
            "history": state.history,
            **stages,
        }
        return Model(
            network=network.cpu().eval(),
            head=network.head.spec,
            n_bits=self.task.n_bits,
            classes=self.context.dataset.classes,
            method=self.method.name,
            method_options=_plain(self.method_options),
            centers=state.best.centers,
            similarity=similarity,
            split=self.context.split,
            record=record,
        )


def _given_similarity(method: Method, task: Task, similarity: npt.ArrayLike | None) -> Similarity | None:
    if similarity is None:
        return None
    if method.similarity is None:
        raise InputError(f"the centers of {method.name} follow no similarity: leave it out")
    return check_similarity(similarity, task.n_classes)[0]


def _given_centers(method: Method, task: Task, centers: npt.ArrayLike | None) -> npt.NDArray[np.int8] | None:
    if centers is None:
        return None
    if method.reassign is not None:
        raise InputError(f"{method.name} chooses its centers from a codebook and takes none: leave them out")
    given = check_centers(centers)
    if given.shape != (task.n_classes, task.n_bits):
        raise InputError(f"centers must have the shape {(task.n_classes, task.n_bits)}, not {given.shape}")
    return given


def _plain(options: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(options).items()}


def _score(state: TrainState) -> float:
    return -1.0 if state.best is None or state.best.validation_map is None else state.best.validation_map


def _is_multi_label(labels: npt.NDArray[np.bool_]) -> bool:
    return bool((labels.sum(axis=1) > 1).any())


def _check_labels(dataset: Dataset, split: Split, *, needed: bool) -> None:
    if needed and dataset.n_classes < 2:
        free = ", ".join(name for name, baseline in BASELINES.items() if not baseline.needs_labels)
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
