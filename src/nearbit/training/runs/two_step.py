"""`--regime two-step`: a backbone is fine-tuned as a classifier, then a run on its frozen features makes the codes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import final

from nearbit.encoding.torch_backend import enough_memory
from nearbit.errors import InputError
from nearbit.files.writing import json_digest
from nearbit.model.bundle import Model
from nearbit.networks import Backbone
from nearbit.progress import Progress
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks
from nearbit.training.checkpoint_folder import folder_in
from nearbit.training.context import RunContext
from nearbit.training.options import without
from nearbit.training.runs.auto import AutoRun
from nearbit.training.runs.baseline import BaselineRun
from nearbit.training.runs.method_run import MEMORY, TrainingRun
from nearbit.training.stages.tuning import OF_TUNING, Tuning

OneStep = TrainingRun | BaselineRun | AutoRun


@final
class TwoStepRun:
    """A run on frozen features of a backbone that is fine-tuned before; `plan` makes it.

    What is trained on images, its epochs, batches and learning rates, is the first step's; head, method and everything
    of codes is the second step's, which is planned at once, on the backbone as it is, so that what is wrong with it is
    said before hours of training.

    Attributes:
        context: of the whole; its regime is that of the first step.
        second: the second step as planned, on the backbone as it was.
    """

    def __init__(self, context: RunContext, planned: Callable[[RunContext], OneStep]) -> None:
        self.context, self._planned = context, planned
        if context.options.preset is not None:
            raise InputError(
                f"the preset {context.options.preset} is a recipe of one step: leave regime 'two-step' (--regime) or "
                "the preset out"
            )
        if context.options.published_selection:
            raise InputError(
                "published_selection measures queries while a whole network is trained for codes, and in two steps "
                "none is: leave it or regime 'two-step' out (--published-selection, --regime)"
            )
        self.tuning = Tuning(context)
        self.second = planned(context_on(self.tuning.start(), context))

    @property
    def needs_labels(self) -> bool:
        """Whether it can be trained only on images that have labels: a classifier can."""
        return True

    def key(self) -> str:
        """Name the run: runs of equal keys make equal models."""
        return json_digest({"tuning": self.tuning.key(), "second": self.second.key()})

    def planned(self, context: RunContext, n_bits: int, name: str) -> "TwoStepRun":
        """Return the run of one method of an `auto` second step, at a length, on the same backbone."""
        second = self.second
        assert isinstance(second, AutoRun)  # noqa: S101 - nothing else chooses a method, and then asks for its lengths
        return TwoStepRun(context, lambda on: second.planned(on, n_bits, name))

    def again(self, context: RunContext, model: Model) -> "TwoStepRun":
        """Return the run of what a model of this run was chosen to be, on the images of another context.

        Both steps have as many epochs as were chosen.
        """
        epochs = model.record["tuning"]["selected_epoch"]
        options = replace(self.context.options, epochs=epochs, select="last", patience=None)
        return TwoStepRun(context.with_options(options), lambda on: self.second.again(on, model))

    def train(self, checkpoint: Path | None, progress: Progress, callbacks: Callbacks = NO_CALLBACKS) -> Model:
        """Fine-tune the backbone, or take it from the cache, and return the model that is trained on its features."""
        with enough_memory(MEMORY):
            backbone, tuned = self.tuning.trained(checkpoint, progress, callbacks)
        second = self._planned(context_on(backbone, self.context))
        model = second.train(folder_in(checkpoint, "second"), progress, callbacks)
        spec = model.network.backbone.spec  # for the second step its weights were given; all in all they may not be
        model.network.backbone.spec = replace(spec, pretrained=self.context.backbone.spec.pretrained)
        record = {
            "run_key": self.key(),
            "options": self.context.recorded_options(),
            "precision": self.context.precision,
            **({} if self.context.batch_norm is None else {"batch_norm": self.context.batch_norm}),
            "tuning": tuned,
        }
        return replace(model, record=model.record | record)


def context_on(backbone: Backbone, context: RunContext) -> RunContext:
    """Return the context of the second step, on features of a backbone that the first one tuned."""
    options = replace(without(context.options, OF_TUNING), regime="frozen", backbone=backbone)
    if options.views == 1:
        options = replace(options, augment="auto")  # what it says is of the first step
    given = (context.dataset, context.split, options, context.feature_store)
    return RunContext(*given, is_second=True, seen_before=context.seen_before)
