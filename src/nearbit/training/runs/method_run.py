"""One training run of a method, checked and ready: similarity, centers, classifiers, and each head in turn."""

import copy
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cache as once
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nearbit.centers import CenterState, certify, label_sets, random_signs
from nearbit.centers.state import check_sizes
from nearbit.encoding.torch_backend import enough_memory
from nearbit.errors import InputError
from nearbit.methods import Method, Schedule, Similarity, Task
from nearbit.methods.method import options_text
from nearbit.methods.own_code import code_digest
from nearbit.model.bundle import Model
from nearbit.networks import HEADS, ExpectedCenter, HashNetwork, Head, HeadKind
from nearbit.progress import Progress, silent
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks
from nearbit.training.checkpoint import TrainState
from nearbit.training.context import RunContext
from nearbit.training.criterion import TRAIN_ON, Criterion, check_chosen, validation_condition
from nearbit.training.distributed.centers import broadcast_centers
from nearbit.training.inputs.batches import TrainingInputs
from nearbit.training.learner import Learner, Stage
from nearbit.training.options import check_augmentation, head_candidates, resolve_patience, resolve_schedule
from nearbit.training.published import PublishedSelection, published_choice
from nearbit.training.recipes import recipe_of
from nearbit.training.seeds import generator
from nearbit.training.stages.committee import Mixture, add_projection, choose_mixture, trained_committee
from nearbit.training.stages.first_stage import FirstStage
from nearbit.training.stages.given import reference_similarity
from nearbit.training.terms.adversary import check_adversarial
from nearbit.training.trainer import Trainer

MEMORY = "this network and its images; lower --batch-size or --image-size, or take --device cpu"
"""For what a device may have too little memory."""


class _Prepared(NamedTuple):
    """What is there before a hash network is trained: a similarity, how to make centers, classifiers, and the rest."""

    similarity: Similarity | None
    start: Callable[[], CenterState]
    committee: list[Head]
    arrays: Mapping[str, Tensor]


@final
class TrainingRun:
    """One training run of a method, checked and ready; `plan` makes it. Each of its stages can be run alone.

    A `mixture` says how classifiers join the outputs, where that is not to be chosen; `first_epochs` how long the
    classifier before the hash network is trained, where that is not as long as the network.
    """

    def __init__(
        self,
        context: RunContext,
        method: Method,
        method_options: Any,
        task: Task,
        similarity: Similarity | None,
        centers: npt.NDArray[np.int8] | None,
        mixture: Mixture | None = None,
        first_epochs: int | None = None,
    ) -> None:
        context = _with_views(context, method)
        self.context, self.method, self.method_options, self.task = context, method, method_options, task
        self._given_similarity, self._given_centers, self._given_mixture = similarity, centers, mixture
        self._given_first_epochs = first_epochs
        self._check_fits()
        options, split = context.options, context.split
        self.kinds = head_candidates(method, options, context.regime)
        if len(self.kinds) > 1:
            check_chosen(self._criterion, "the head 'auto'", "choose linear or hidden (--head)")
        self.schedules: dict[HeadKind, Schedule] = {
            kind: resolve_schedule(
                method, options, context.regime, kind, len(split.train), multi_label=task.multi_label
            )
            for kind in {*HEADS, *self.kinds}
        }
        chooses = method.needs_labels and options.select == "validation"
        if chooses:
            check_chosen(self._criterion, "the best epoch", TRAIN_ON)
        self.published = (
            PublishedSelection(context.dataset, split, task.n_bits) if options.published_selection else None
        )
        self.patience = resolve_patience(options, context.regime, chooses=chooses)
        smallest = min(self.schedules[kind].batch_size for kind in self.kinds)
        if smallest < context.processes.count:
            raise InputError(
                f"{context.processes.count} processes share batches of {smallest} images: start fewer, or raise the "
                "batch size (--batch-size)"
            )

    def _check_fits(self) -> None:
        """Raise `InputError` where the method does not fit the regime, the task or several processes."""
        context, method, options = self.context, self.method, self.context.options
        if method.committee is not None and context.regime != "frozen":
            raise InputError(
                f"{method.name} trains classifiers on frozen features, and this run is {context.regime}: take a "
                "pretrained backbone (--weights, timm:NAME, hf:FOLDER) and leave --regime out, or the method shc"
            )
        check_adversarial(options, method, context.processes)
        if context.processes.several and method.memory is not None and method.memory(self.method_options) is not None:
            leave_out = "train in one process" + (", or with pair_weight=0" if method.name == "mds" else "")
            raise InputError(
                f"{method.name} looks at the outputs of all training images, which several processes do not share: "
                f"{leave_out}"
            )
        if context.processes.several and (options.candidate_weight or options.radius_weight):
            raise InputError(
                "candidate_weight and radius_weight look at the codes of all training images, which several processes "
                "do not share: train in one process, or leave them out"
            )
        if self._given_centers is None and method.make_centers is not None:
            check_sizes(self.task.n_classes, self.task.n_bits, distinct=method.distinct)
        if method.check is not None:
            method.check(self.task, self.method_options)

    @property
    def needs_labels(self) -> bool:
        """Whether it can be trained only on images that have labels."""
        return self.method.needs_labels

    def key(self) -> str:
        """Name the run: runs of equal keys train to equal weights."""
        arrays = {"similarity": self._given_similarity, "centers": self._given_centers}
        given = {
            name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items() if array is not None
        }
        if self._given_mixture is not None:
            given["mixture"] = repr(self._given_mixture)
        if self.context.options.preset is not None and self._has_first_stage:
            given["first_stage"] = "by the recipe"
        if self._given_first_epochs is not None:
            given["first_epochs"] = str(self._given_first_epochs)
        besides = {"given": given, "patience": self.patience, "code": code_digest(self.method)}
        more = {name: value for name, value in besides.items() if value}
        return self.context.key(
            method=self.method.name,
            method_options=options_text(self.method_options),
            n_bits=self.task.n_bits,
            schedules=repr({kind: self.schedules[kind] for kind in sorted(self.schedules)}),
            **more,
        )

    def again(self, context: RunContext, model: Model) -> "TrainingRun":
        """Return the run of what a model of this run was chosen to be, on the images of another context.

        It has that model's head, as many epochs as the model's was the chosen one, and joins classifiers as it does.
        What comes before the hash network was not chosen by the epoch, and is trained for as long as here.
        """
        joined = model.record.get("expected_center")
        kind = "auto" if self.method.head is not None else model.head["kind"]
        head = cast(Literal["auto", "linear", "hidden"], kind)
        options = replace(
            self.context.options, head=head, epochs=model.record["selected_epoch"], select="last", patience=None,
            published_selection=False,
        )  # fmt: skip
        return TrainingRun(
            context.with_options(options),
            self.method,
            self.method_options,
            self.task,
            self._given_similarity,
            self._given_centers,
            None if joined is None else Mixture(**(joined | {"score": None})),
            self._first_epochs if self._has_first_stage else None,
        )

    @property
    def _has_first_stage(self) -> bool:
        return self.method.similarity is not None or self.method.prepare is not None

    @property
    def _first_epochs(self) -> int:
        """How many epochs a classifier before the hash network has, where its method says nothing else."""
        return self._given_first_epochs or max(self.schedules[kind].epochs for kind in self.kinds)

    def similarity(self, checkpoint: Path | None = None, progress: Progress = silent) -> Similarity | None:
        """Run the first stage alone: the similarity of classes that the centers will follow; None where they do not."""
        return self._similarity(checkpoint, progress)[0]

    def centers(self, checkpoint: Path | None = None, progress: Progress = silent) -> CenterState:
        """Run all before the hash network: the centers at the start of training."""
        return self._centers(self.similarity(checkpoint, progress))

    def train(self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks = NO_CALLBACKS) -> Model:
        """Train, from the checkpoint where there is one of this very run, and return the model."""
        self.context.processes.check_alike(self.key())
        with enough_memory(MEMORY):
            return self._trained(checkpoint, progress, callbacks)

    def _trained(self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks) -> Model:
        began = time.monotonic()
        if self.context.regime == "frozen":
            self.context.feature_inputs(progress)
        prepared = time.monotonic()
        similarity, classifier = self._similarity(checkpoint, progress, callbacks)
        start = once(lambda: self._centers(similarity))
        found = time.monotonic()
        committee = self._committee(checkpoint, progress, callbacks)
        ready = _Prepared(similarity, start, committee, self._arrays(checkpoint, progress, callbacks))
        fitted = {kind: self._train_head(kind, ready, checkpoint, progress, callbacks) for kind in self.kinds}
        best = max(self.kinds, key=lambda kind: _score(fitted[kind][1]))
        seconds = {
            "features": round(prepared - began, 3),
            "similarity": round(found - prepared, 3),
            "training": round(time.monotonic() - found, 3),
        }
        candidates = {
            kind: None if state.best is None else state.best.validation_map for kind, (_, state) in fitted.items()
        }
        stages = {"head_candidates": candidates, "classifier": classifier, "seconds": seconds}
        return self._model(best, *fitted[best], similarity, stages)

    def _similarity(
        self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks = NO_CALLBACKS
    ) -> tuple[Similarity | None, dict[str, Any] | None]:
        """Return the similarity that centers follow, and what is recorded of a classifier that was trained for it."""
        if self._given_similarity is not None:
            return self._given_similarity, None
        if self.method.similarity is None or self._given_centers is not None:
            return None, None
        images = FirstStage(self.context, self._first_epochs, checkpoint, progress, callbacks)
        similarity = self.method.similarity(images, self.task, self.method_options)
        return similarity, images.found or None

    def _centers(self, similarity: Similarity | None) -> CenterState:
        rng = generator(self.context.options.seed, "centers")
        if self._given_centers is not None:
            return CenterState(centers=self._given_centers, tie_break=random_signs((self.task.n_bits,), rng))
        sets = label_sets(self.context.labels["train"]) if self.task.multi_label else None
        task = replace(self.task, similarity=similarity, label_sets=sets)
        made = self.method.first_centers(task, self.method_options, rng)
        return broadcast_centers(made, self.context.processes)

    def _committee(self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks) -> list[Head]:
        """Return the classifiers whose expected center joins the codes; none for most methods."""
        if self.method.committee is None:
            return []
        return trained_committee(
            self.context, self.method.committee(self.method_options), checkpoint, progress, callbacks
        )

    def _arrays(self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks) -> dict[str, Tensor]:
        """Return what the method computes of the training images before; nothing for most methods."""
        if self.method.prepare is None:
            return {}
        images = FirstStage(self.context, self._first_epochs, checkpoint, progress, callbacks)
        rng = generator(self.context.options.seed, "prepare")
        arrays = self.method.prepare(images, self.task, self.method_options, rng)
        return {name: torch.from_numpy(np.asarray(array)).to(self.context.device) for name, array in arrays.items()}

    @cached_property
    def _criterion(self) -> Criterion | None:
        return self.context.criterion(self.task.n_bits)

    def _train_head(
        self,
        kind: HeadKind,
        prepared: "_Prepared",
        checkpoint: Path | None,
        progress: Progress,
        callbacks: Callbacks,
    ) -> tuple[HashNetwork, TrainState]:
        context, similarity = self.context, prepared.similarity
        own = None if self.method.head_options is None else self.method.head_options(self.task, self.method_options)
        network = context.network(self.task.n_bits, kind, normalized=self.method.normalized, own=own)
        if prepared.committee:
            beside = ExpectedCenter([copy.deepcopy(head) for head in prepared.committee], self.task.n_bits)
            network.head.expect(beside.to(context.device))
        inputs = self._inputs(network, progress)
        frozen = context.regime == "frozen"
        if frozen:
            network.head.standardize(context.feature_inputs(progress).views[0])
            if similarity is None and self.method.moves_centers(self.method_options):
                similarity = reference_similarity(context.train_features(progress), context.labels["train"])
        learner = Learner(
            method=self.method,
            method_options=self.method_options,
            task=self.task,
            schedule=self.schedules[kind],
            start=prepared.start,
            prepared=prepared.arrays,
            attacked=True,
        )
        stage = Stage(
            name=kind,
            title=f"Training {self.method.name}, {self.task.n_bits} bits, {kind} head",
            key=f"{self.key()}/{kind}",
            checkpoint=None if checkpoint is None else checkpoint / f"{kind}.checkpoint",
            callbacks=callbacks,
        )
        trainer = Trainer(
            context=context,
            learner=learner,
            stage=stage,
            module=network.head if frozen else network,
            inputs=inputs,
            seed=context.options.seed,
            criterion=self._criterion,
            similarity=similarity,
            patience=self.patience,
            published=self.published,
        )
        state = trainer.run(progress)
        if network.head.expected_center is not None:
            assert state.best is not None  # noqa: S101 - Trainer.run always leaves one
            add_projection(context, network.head, progress)
            mixture = choose_mixture(context, network.head, self._criterion, progress, self._given_mixture)
            state.best.mixture = mixture._asdict()
            state.best.validation_map = mixture.score
        return network, state

    def _inputs(self, network: HashNetwork, progress: Progress) -> TrainingInputs:
        return self.context.inputs(network.backbone, progress, all_plain=self.method.refresh is not None)

    def _condition(self, network: HashNetwork, centers: npt.NDArray[np.int8]) -> dict[str, Any] | None:
        """Return how codes of validation images lie around the centers of their own classes; None without either."""
        inputs = self._inputs(network, silent)
        module = network.head if self.context.regime == "frozen" else network
        return validation_condition(inputs, module, self.context.labels["validation"], centers)

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
            "patience": self.patience,
            "epochs_trained": state.epoch,
            "selected_epoch": state.best.epoch,
            "validation_map": state.best.validation_map,
            "validation_searched": None if self._criterion is None else self._criterion.searched,
            "reference": self.context.reference(),
            **recipe_of(self.context.options, self.context.backbone.spec.name, self.method, self.method_options),
            **({} if self.published is None else {"published": published_choice(state.history, state.best.epoch)}),
            **({} if state.best.mixture is None else {"expected_center": state.best.mixture}),
            "certificate": _certificate(state.best.centers, similarity),
            "center_condition": self._condition(network, state.best.centers.centers),
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
            centers=state.best.centers.of_classes(),
            similarity=similarity,
            split=self.context.split,
            seen_before=self.context.seen_elsewhere(),
            record=record,
        )


def _certificate(centers: CenterState, similarity: Similarity | None) -> dict[str, Any] | None:
    return certify(centers.centers, similarity).to_dict() if len(centers.centers) > 1 else None


def _with_views(context: RunContext, method: Method) -> RunContext:
    """Return the context with as many cached views of frozen features as the method needs at least."""
    options = context.options
    if context.regime != "frozen" or options.views >= method.views:
        return context
    options = replace(options, views=method.views)
    check_augmentation(options, context.regime)
    return context.with_options(options)


def _plain(options: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(options).items()}


def _score(state: TrainState) -> float:
    return -1.0 if state.best is None or state.best.validation_map is None else state.best.validation_map
