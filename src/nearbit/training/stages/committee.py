"""What classifiers say beside a hash network: they are trained first, and how much they say is chosen on validation."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load, save
from torch import Tensor

from nearbit.codes import signs_of
from nearbit.errors import DataError
from nearbit.files.tensors import tensors_read
from nearbit.files.writing import keep_checked, read_checked
from nearbit.methods import CLASSIFIER, Committee, Schedule
from nearbit.methods.closed_form.projections import projection_towards
from nearbit.networks import ExpectedCenter, Head
from nearbit.networks.heads import apply_head
from nearbit.progress import Progress
from nearbit.training.callbacks import Callbacks
from nearbit.training.context import RunContext
from nearbit.training.criterion import Criterion
from nearbit.training.learner import Stage
from nearbit.training.seeds import generator, torch_seeded
from nearbit.training.stages.first_stage import classifier_trainer

TEMPERATURES = (1.0, 0.7, 1.5, 2.0)
WEIGHTS = ((1.0, 1.0), (1.0, 0.5), (1.0, 2.0), (1.0, 0.0), (0.0, 1.0))
"""Of tanh(u) and of the expected center."""

PROJECTION_WEIGHTS = (0.5, 1.0, 0.25, 0.0)
"""Of the features' own projection. The first of equally good mixtures is taken."""


class Mixture(NamedTuple):
    """How an expected center joins the outputs of a head, and the score that chose it (None where nothing did)."""

    temperature: float
    weights: tuple[float, ...]
    score: float | None


def trained_committee(
    context: RunContext, plan: Committee, checkpoint: Path | None, progress: Progress, callbacks: Callbacks
) -> list[Head]:
    """Return classifiers of frozen features that differ in their first weights and in the order of the images.

    They are the same for every length of code, and kept in the run's cache.
    """
    frozen = CLASSIFIER.schedules["frozen"]
    schedule = replace(
        frozen,
        epochs=plan.epochs,
        least_steps=plan.least_steps,
        learning_rate=plan.learning_rate,
        batch_size=context.options.batch_size or frozen.batch_size,
    )
    schedule = replace(schedule, epochs=schedule.epochs_for(len(context.split.train)))
    about = replace(plan, members=1)  # a member is the same in a smaller and in a larger committee
    members = []
    for number in range(1, plan.members + 1):
        stage = Stage(
            name=f"classifier {number}",
            title=f"Training classifier {number} of {plan.members}",
            key=context.key(stage="committee", member=number, plan=repr(about), schedule=repr(schedule)),
            checkpoint=None if checkpoint is None else checkpoint / f"classifier-{number}.checkpoint",
            callbacks=callbacks,
        )
        seed = int(generator(context.options.seed, "committee", number - 1).integers(2**31))
        with torch_seeded(seed, "head"):
            width, n_classes = context.backbone.spec.feature_dim, context.dataset.n_classes
            head = Head(width, n_classes, "hidden", hidden=plan.hidden, dropout=plan.dropout).to(context.device)
        members.append(_trained(context, head, schedule, stage, seed, progress))
    return members


def _trained(context: RunContext, head: Head, schedule: Schedule, stage: Stage, seed: int, progress: Progress) -> Head:
    """Return a classifier as it was kept, or train it and keep it."""
    kept = None if context.cache is None else context.cache / "stages" / f"committee-{stage.key}.weights"
    content = None if kept is None else read_checked(kept)
    if content is not None:
        with tensors_read("a classifier in the cache (delete the folder 'stages' there)", DataError):
            head.load_state_dict(load(content))
        return head.eval()
    inputs = context.feature_inputs(progress)
    head.standardize(inputs.views[0])
    classifier_trainer(context, head, inputs, schedule, stage, seed).run(progress)
    if kept is not None:
        keep_checked(kept, save({name: value.cpu().contiguous() for name, value in head.state_dict().items()}))
    return head


def add_projection(context: RunContext, head: Head, progress: Progress) -> None:
    """Let the features' own projection join the outputs of a trained head, where they vary in enough directions."""
    center = head.expected_center
    assert center is not None  # noqa: S101 - only heads of such methods come here
    center.set_mixture(1.0, (1.0, 1.0))
    features = context.train_features(progress)
    projection = projection_towards(features, signs_of(apply_head(head, features, head.n_outputs)))
    if projection is not None:
        center.project(projection.to(context.device))


def choose_mixture(
    context: RunContext, head: Head, criterion: Criterion | None, progress: Progress, given: Mixture | None = None
) -> Mixture:
    """Let the head take the temperature and the weights that are given, or best on validation, and return them.

    Without either they are the first of each; so they are where validation images search training images that
    queries will not, for these were learnt by heart.
    """
    center = head.expected_center
    assert center is not None  # noqa: S101 - only heads of such methods come here
    if given is not None:
        center.set_mixture(given.temperature, given.weights)
        return given
    shares = (0.0,) if center.projection is None else PROJECTION_WEIGHTS
    mixtures = [Mixture(t, (*both, share), None) for t in TEMPERATURES for both in WEIGHTS for share in shares]
    best = mixtures[0]
    if criterion is not None:
        if criterion.by_heart:
            mixtures = [best]
        parts = _mixed_parts(context, head, center, criterion, progress)
        scored = [mixture._replace(score=_score(center, mixture, parts, criterion)) for mixture in mixtures]
        best = max(scored, key=lambda mixture: mixture.score or 0.0)
    center.set_mixture(best.temperature, best.weights)
    return best


class _Parts(NamedTuple):
    """What is mixed, for some images: outputs of the head, logits of the committee, and the projection or None."""

    outputs: Tensor
    logits: Tensor
    projected: Tensor | None


def _mixed_parts(
    context: RunContext, head: Head, center: ExpectedCenter, criterion: Criterion, progress: Progress
) -> dict[str, _Parts]:
    head.eval()
    parts = {}
    with torch.no_grad():
        for part, rows in criterion.positions().items():
            features = context.feature_inputs(progress).parts[part][torch.from_numpy(rows)]
            parts[part] = _Parts(head.own_outputs(features), center.logits(features), center.projected(features))
    return parts


def _score(center: ExpectedCenter, mixture: Mixture, parts: dict[str, _Parts], criterion: Criterion) -> float:
    center.set_mixture(mixture.temperature, mixture.weights)
    return criterion.score({name: center.joined(*values).cpu().numpy() for name, values in parts.items()})
