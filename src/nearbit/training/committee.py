"""What classifiers say beside a hash network: they are trained first, and how much they say is chosen on validation."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from nearbit.errors import DataError
from nearbit.files.tensors import tensors_read
from nearbit.files.writing import read_checked, write_checked
from nearbit.methods import CLASSIFIER, Committee, Schedule
from nearbit.networks import Head
from nearbit.progress import Progress
from nearbit.training.callbacks import Callbacks
from nearbit.training.context import RunContext
from nearbit.training.criterion import Criterion
from nearbit.training.first_stage import classifier_trainer
from nearbit.training.seeds import generator, torch_seeded
from nearbit.training.trainer import Stage

TEMPERATURES = (1.0, 0.5, 0.7, 1.5, 2.0, 3.0)
WEIGHTS = ((1.0, 1.0), (1.0, 0.5), (1.0, 2.0), (1.0, 0.0), (0.0, 1.0))
"""Of tanh(u) and of the expected center. The first of equally good mixtures is taken."""


class Mixture(NamedTuple):
    """How an expected center joins the outputs of a head, and the score that chose it (None where nothing did)."""

    temperature: float
    weights: tuple[float, float]
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
        write_checked(kept, save({name: value.cpu().contiguous() for name, value in head.state_dict().items()}))
    return head


def choose_mixture(
    context: RunContext, head: Head, criterion: Criterion | None, progress: Progress, given: Mixture | None = None
) -> Mixture:
    """Let the head take the temperature and the weights that are given, or best on validation, and return them.

    Without either they stay as they are: 1, and both in full.
    """
    center = head.expected_center
    assert center is not None  # noqa: S101 - only heads of such methods come here
    if given is not None:
        center.set_mixture(given.temperature, given.weights)
        return given
    if criterion is None:
        return Mixture(1.0, (1.0, 1.0), None)
    head.eval()
    outputs: dict[str, Tensor] = {}
    logits: dict[str, Tensor] = {}
    with torch.no_grad():
        for part, rows in criterion.positions().items():
            features = context.feature_inputs(progress).parts[part][torch.from_numpy(rows)]
            outputs[part], logits[part] = head.own_outputs(features), center.logits(features)
    tried: list[Mixture] = []
    scores: list[float] = []
    for temperature in TEMPERATURES:
        for weights in WEIGHTS:
            center.set_mixture(temperature, weights)
            joined = {part: center.joined(own, logits[part]).cpu().numpy() for part, own in outputs.items()}
            scores.append(criterion.score(joined))
            tried.append(Mixture(temperature, weights, scores[-1]))
    best = tried[int(np.argmax(scores))]
    center.set_mixture(best.temperature, best.weights)
    return best
