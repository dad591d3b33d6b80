"""What classifiers say beside a hash network: they are trained first, and how much they say is chosen on validation."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import DataError
from nearbit.files.tensors import tensors_read
from nearbit.files.writing import read_checked, write_checked
from nearbit.methods import CLASSIFIER, Committee, Schedule, Task
from nearbit.networks import ExpectedCenter, Head
from nearbit.progress import Progress
from nearbit.training.callbacks import Callbacks
from nearbit.training.context import RunContext
from nearbit.training.criterion import Criterion
from nearbit.training.seeds import generator, torch_seeded
from nearbit.training.trainer import Learner, Stage, Trainer

TEMPERATURES = (1.0, 0.5, 0.7, 1.5, 2.0, 3.0)
WEIGHTS = ((1.0, 1.0), (1.0, 0.5), (1.0, 2.0), (1.0, 0.0), (0.0, 1.0))
"""Of tanh(u) and of the expected center. The first of equally good mixtures is taken."""


class Mixture(NamedTuple):
    """How an expected center joins the outputs of a head, and the score that chose it (None where nothing did)."""

    temperature: float
    weights: tuple[float, float]
    score: float | None


def trained_committee(
    context: RunContext, plan: Committee, batch_size: int | None, progress: Progress, callbacks: Callbacks
) -> list[Head]:
    """Return classifiers of frozen features that differ in their first weights and in the order of the images.

    They are the same for every length of code, and kept in the run's cache.
    """
    schedule = replace(
        CLASSIFIER.schedules["frozen"],
        epochs=plan.epochs,
        least_steps=plan.least_steps,
        learning_rate=plan.learning_rate,
        batch_size=batch_size or CLASSIFIER.schedules["frozen"].batch_size,
    )
    schedule = replace(schedule, epochs=schedule.epochs_for(len(context.split.train)))
    return [_member(context, plan, schedule, number, progress, callbacks) for number in range(plan.members)]


def _member(
    context: RunContext, plan: Committee, schedule: Schedule, number: int, progress: Progress, callbacks: Callbacks
) -> Head:
    seed = int(generator(context.options.seed, "committee", number).integers(2**31))
    n_classes = context.dataset.n_classes
    with torch_seeded(seed, "head"):
        feature_dim = context.backbone.spec.feature_dim
        head = Head(feature_dim, n_classes, "hidden", hidden=plan.hidden, dropout=plan.dropout).to(context.device)
    about = replace(plan, members=1)  # a member is the same in a smaller and in a larger committee
    key = context.key(stage="committee", member=number, plan=repr(about), schedule=repr(schedule))
    kept = None if context.cache is None else context.cache / "stages" / f"committee-{key}.weights"
    content = None if kept is None else read_checked(kept)
    if content is not None:
        with tensors_read("a classifier in the cache (delete the folder 'stages' there)", DataError):
            head.load_state_dict(load(content))
        return head.eval()
    inputs = context.feature_inputs(progress)
    head.standardize(inputs.views[0])
    task = Task(n_classes=n_classes, n_bits=n_classes, multi_label=False)
    learner = Learner(
        method=CLASSIFIER,
        method_options=CLASSIFIER.options,
        task=task,
        schedule=schedule,
        start=lambda: CLASSIFIER.make_centers(task, CLASSIFIER.options, generator(seed, "centers")),
    )
    title = f"Training classifier {number + 1} of {plan.members}"
    stage = Stage(name=f"classifier {number + 1}", title=title, key=key, callbacks=callbacks)
    Trainer(context=context, learner=learner, stage=stage, module=head, inputs=inputs, seed=seed).run(progress)
    if kept is not None:
        write_checked(kept, save({name: value.cpu().contiguous() for name, value in head.state_dict().items()}))
    return head


def choose_mixture(context: RunContext, head: Head, criterion: Criterion | None, progress: Progress) -> Mixture:
    """Let the head take the temperature and the weights that are best on validation, and return them.

    Without a criterion they stay as they are: 1, and both in full.
    """
    center = head.expected_center
    assert center is not None  # noqa: S101 - only heads of such methods come here
    if criterion is None:
        return Mixture(1.0, (1.0, 1.0), None)
    inputs, positions = context.feature_inputs(progress), criterion.positions()
    logits = {part: inputs.outputs(_Logits(center), part, rows) for part, rows in positions.items()}
    outputs = {part: inputs.outputs(_Own(head), part, rows) for part, rows in positions.items()}
    tried: list[Mixture] = []
    scores: list[float] = []
    for temperature in TEMPERATURES:
        for weights in WEIGHTS:
            center.set_mixture(temperature, weights)
            joined = {part: _joined(center, outputs[part], logits[part]) for part in positions}
            scores.append(criterion.score(joined))
            tried.append(Mixture(temperature, weights, scores[-1]))
    best = tried[int(np.argmax(scores))]
    center.set_mixture(best.temperature, best.weights)
    return best


def _joined(center: ExpectedCenter, outputs: FloatRows, logits: FloatRows) -> FloatRows:
    device = center.centers.device
    with torch.no_grad():
        joined = center.joined(torch.from_numpy(outputs).to(device), torch.from_numpy(logits).to(device))
    return np.asarray(joined.cpu().numpy())


class _Logits(nn.Module):
    """What the committee alone says."""

    def __init__(self, center: ExpectedCenter) -> None:
        super().__init__()
        self.center = center

    def forward(self, features: Tensor) -> Tensor:
        return self.center.logits(features)


class _Own(nn.Module):
    """What a head says without its classifiers."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        return self.head.own_outputs(features)
