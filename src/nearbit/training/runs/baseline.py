"""A run of a baseline: features, a head made from them in one go, and the model."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import numpy as np

from nearbit.centers import Centers, CenterState, certify, multi_label_centroids, random_signs
from nearbit.codes import signs_of
from nearbit.errors import InputError, TrainingError
from nearbit.methods import CLASSIFIER, Baseline
from nearbit.methods.method import options_text
from nearbit.methods.own_code import code_digest
from nearbit.model.bundle import Model
from nearbit.networks import HashNetwork, Head
from nearbit.networks.heads import apply_head
from nearbit.progress import Progress
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks
from nearbit.training.context import RunContext
from nearbit.training.criterion import Criterion
from nearbit.training.options import TrainOptions, without
from nearbit.training.seeds import generator
from nearbit.training.stages.first_stage import FirstStage
from nearbit.training.stages.tuning import OF_HEADS

UNUSED = (
    "epochs",
    "learning_rate",
    "optimizer",
    "weight_decay",
    "backbone_factor",
    "workers",
    "compile",
    "keep_decoded",
    "select",
    "patience",
    "validate_every",
    "batch_norm",
    "published_selection",
    "hidden",
    "dropout",
    "candidate_weight",
    "radius_weight",
)
UNUSED_BY_PROJECTIONS = ("batch_size", "views", "augment", "precision")
"""Options that must keep their defaults, for all baselines and for those that train no classifier either."""


def unused_options(baseline: Baseline, *, regime: str = "auto") -> tuple[str, ...]:
    """Return the names in `TrainOptions` that would do nothing for a baseline, in the regime that is asked for."""
    names = UNUSED if baseline.trains_classifier else UNUSED + UNUSED_BY_PROJECTIONS
    if regime != "two-step":
        return names
    return tuple(name for name in names if name in OF_HEADS)


def useful_options(baseline: Baseline, options: TrainOptions) -> TrainOptions:
    """Return options that are meant for other methods too, without those that would do nothing for a baseline."""
    return without(options, ("head", *unused_options(baseline, regime=options.regime)))


@final
class BaselineRun:
    """One run of a baseline, checked and ready; `plan` makes it."""

    def __init__(self, context: RunContext, baseline: Baseline, method_options: Any, n_bits: int) -> None:
        self.context, self.baseline, self.method_options, self.n_bits = context, baseline, method_options, n_bits
        if context.regime != "frozen":
            raise InputError(
                f"{baseline.name} makes codes of frozen features, and this run is {context.regime}: take a pretrained "
                "backbone (--weights, timm:NAME, hf:FOLDER), and leave --regime out"
            )
        for name in unused_options(baseline, regime="two-step" if context.is_second else "auto"):
            if getattr(context.options, name) != getattr(TrainOptions(), name):
                raise InputError(f"{baseline.name} trains no hash network, so {name} would do nothing: leave it out")
        if context.options.head == "hidden":
            raise InputError(f"the head of {baseline.name} has no hidden layer to train: leave head 'hidden' out")

    def key(self) -> str:
        """Name the run: runs of equal keys make equal models."""
        code = code_digest(self.baseline)
        return self.context.key(
            method=self.baseline.name,
            method_options=options_text(self.method_options),
            n_bits=self.n_bits,
            **({} if code is None else {"code": code}),
        )

    @property
    def needs_labels(self) -> bool:
        """Whether it can be trained only on images that have labels."""
        return self.baseline.needs_labels

    def again(self, context: RunContext, model: Model) -> "BaselineRun":
        """Return the same run on the images of another context; nothing of a closed form was chosen for its model."""
        return BaselineRun(context.with_options(self.context.options), self.baseline, self.method_options, self.n_bits)

    def train(self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks = NO_CALLBACKS) -> Model:
        """Make the head from the features and return the model."""
        began = time.monotonic()
        features = self.context.train_features(progress)
        prepared = time.monotonic()
        epochs = CLASSIFIER.schedules["frozen"].epochs
        images = FirstStage(self.context, epochs, checkpoint, progress, callbacks)
        rng = generator(self.context.options.seed, "centers")
        head, words = self.baseline.fit(images, self.n_bits, self.method_options, rng)
        head.to(self.context.device)
        if not all(bool(value.isfinite().all()) for value in head.state_dict().values()):
            raise TrainingError(f"the head that {self.baseline.name} made is not finite; no model was saved")
        signs = signs_of(apply_head(head, features, self.n_bits))
        tie_break = random_signs((self.n_bits,), rng)
        centers = majority_words(signs, self.context.labels["train"], tie_break) if words is None else words
        seconds = {"features": round(prepared - began, 3), "training": round(time.monotonic() - prepared, 3)}
        stages = {"classifier": images.found or None, "seconds": seconds}
        return self._model(head, CenterState(centers=centers, tie_break=tie_break), signs, stages)

    def _model(self, head: Head, state: CenterState, signs: Centers, stages: dict[str, Any]) -> Model:
        criterion = self.context.criterion(self.n_bits)
        score = None if criterion is None else self._score(head, criterion)
        record = {
            "run_key": self.key(),
            **self.context.record(),
            "schedule": {"epochs": 0},
            "selected_epoch": 0,
            "validation_map": score,
            "validation_searched": None if criterion is None else criterion.searched,
            "reference": self.context.reference(),
            "certificate": certify(state.centers).to_dict() if len(state.centers) > 1 else None,
            "history": [],
            "head_candidates": {head.spec["kind"]: score},
            **stages,
        }
        return Model(
            network=HashNetwork(self.context.backbone, head).cpu().eval(),
            head=head.spec,
            n_bits=self.n_bits,
            classes=self.context.dataset.classes,
            method=self.baseline.name,
            method_options=asdict(self.method_options),
            centers=state,
            split=self.context.split,
            seen_before=self.context.seen_elsewhere(),
            record=record,
        )

    def _score(self, head: Head, criterion: Criterion) -> float:
        """Return what the criterion says of the codes of validation images, as for methods."""
        inputs = self.context.feature_inputs(lambda *_: None)
        return criterion.score({part: inputs.outputs(head, part, rows) for part, rows in criterion.positions().items()})


def majority_words(signs: Centers, labels: np.typing.NDArray[np.bool_], tie_break: Centers) -> Centers:
    """Return, for each class, the majority sign of each bit over its images: int8 `(n_classes, n_bits)`.

    A class without images gets `tie_break`; even votes take its sign.
    """
    return multi_label_centroids(labels.T, signs, tie_break)
