"""The training loop: batches and steps; after each epoch centers, validation, checkpoint."""

import time
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nearbit.centers import CenterState
from nearbit.centers.certificate import center_figures
from nearbit.encoding.feature_cache import FloatRows
from nearbit.encoding.torch_backend import enough_memory, moved
from nearbit.errors import TrainingError
from nearbit.methods import CLASSIFIER, LossModule, Similarity, Targets
from nearbit.networks import HashNetwork, Head
from nearbit.progress import Estimate, Progress
from nearbit.training.checkpoint import (
    BestEpoch,
    Trained,
    TrainState,
    copy_weights,
    read_checkpoint,
    restore_checkpoint,
    save_checkpoint,
)
from nearbit.training.context import RunContext
from nearbit.training.criterion import Criterion
from nearbit.training.distributed.centers import broadcast_centers
from nearbit.training.distributed.class_means import ClassMeans
from nearbit.training.inputs.batches import FeatureInputs, Positions, TrainingInputs, cut_batches
from nearbit.training.learner import Learner, Stage
from nearbit.training.published import PublishedSelection
from nearbit.training.seeds import generator, torch_seeded
from nearbit.training.stepping import Stepper
from nearbit.training.terms.adversary import Adversary
from nearbit.training.terms.index_term import IndexTerm
from nearbit.training.terms.memory_bank import MemoryBank

CHECKPOINT_SECONDS = 10.0
"""Between two checkpoints; more, up to thirty times as many, where one takes longer to write than half a second."""
FEW = 16
"""Training images whose outputs are looked at in the end where there are no validation images."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trainer:
    """One run of the loop.

    Attributes:
        context: the run that it is a part of: labels, options, device, precision, processes.
        learner: what is learnt.
        stage: how it is named.
        module: what is trained: a head on cached features, or a whole network.
        inputs: its images.
        seed: decides every random choice.
        criterion: scores the validation images; None where nothing is validated, and the last epoch is kept.
        similarity: of the classes, to record how centers that change follow it; or None.
        patience: epochs without a gain on validation after which training ends; 0 for never.
        published: measures the queries beside the criterion; or None.
    """

    context: RunContext
    learner: Learner
    stage: Stage
    module: nn.Module
    inputs: TrainingInputs
    seed: int
    criterion: Criterion | None = None
    similarity: Similarity | None = None
    patience: int = 0
    published: PublishedSelection | None = None

    @property
    def _labels(self) -> npt.NDArray[np.bool_]:
        """Bool `(n, n_classes)` of the training images."""
        return self.context.labels["train"]

    @property
    def _device(self) -> torch.device:
        return self.context.device

    @cached_property
    def _label_rows(self) -> Tensor:
        """The labels of the training images where the module is: bool `(n, n_classes)`."""
        return torch.from_numpy(self._labels).to(self._device)

    def run(self, progress: Progress) -> TrainState:
        """Train to the end, from the checkpoint where there is one, and leave the best weights in the module."""
        context = self.context
        stepper = Stepper(
            self.module,
            self.learner.schedule,
            context.device,
            context.precision,
            context.processes,
            self._loss_module,
            compiles=context.options.compile,
        )
        state = self._begin(stepper)
        saved, wait = time.monotonic(), CHECKPOINT_SECONDS
        with stepper.joined():
            while not self._is_done(state):
                self._epoch(state, stepper)
                done, epochs = self._is_done(state), self.learner.schedule.epochs
                progress(self.stage.title, epochs if done else state.epoch, epochs)
                due = done or time.monotonic() - saved > wait
                path = self.stage.checkpoint
                if path is not None and due and self.context.processes.is_main:
                    began = time.monotonic()
                    save_checkpoint(path, self.stage.key, self._trained(stepper), state)
                    saved = time.monotonic()
                    wait = CHECKPOINT_SECONDS * min(max(2 * (saved - began), 1.0), 30.0)
        assert state.best is not None  # noqa: S101 - the last epoch always leaves one
        self.module.load_state_dict(state.best.weights)
        self.module.eval()
        return state

    def _is_done(self, state: TrainState) -> bool:
        """Tell whether all epochs are done, or validation was looked at and has not gained for long enough."""
        if state.epoch >= self.learner.schedule.epochs:
            return True
        if not self.patience or state.best is None or "validation_map" not in state.history[-1]:
            return False
        return state.epoch - state.last_gain() >= self.patience

    @cached_property
    def _estimate(self) -> Estimate:
        return Estimate(partial(self.stage.callbacks.estimated, self.stage.title))

    @cached_property
    def _memory(self) -> MemoryBank | None:
        """What a second term of the loss sets batches beside; None where the method has no such term."""
        term = None if self.learner.method.memory is None else self.learner.method.memory(self.learner.method_options)
        if term is None:
            return None
        return MemoryBank(term, self.module, self._labels.shape, self.learner.task.n_bits, self.context.device)

    @cached_property
    def _adversary(self) -> Adversary | None:
        """What perturbs images; None where they are trained on as they are."""
        options, n_bits = self.context.options, self.learner.task.n_bits
        if not self.learner.attacked or options.adversarial is None:
            return None
        return Adversary(options, self.module, self._labels.shape, n_bits, self.context.device)

    @cached_property
    def _loss_module(self) -> LossModule | None:
        """The weights of the loss; None where it has none."""
        learner = self.learner
        if learner.method.module is None:
            return None
        with torch_seeded(self.seed, "loss module"):
            return learner.method.module(learner.task, learner.method_options).to(self.context.device)

    def _learnt(self, centers: CenterState) -> CenterState:
        """Return the centers that the weights of the loss say now; those given where they say none."""
        if self._loss_module is None or self.learner.method.centers_of is None:
            return centers
        return self.learner.method.centers_of(self._loss_module, centers)

    @cached_property
    def _index_term(self) -> IndexTerm | None:
        """What keeps codes easy to search; None where it is not asked for."""
        options, learner = self.context.options, self.learner
        if learner.method is CLASSIFIER or not (options.candidate_weight or options.radius_weight):
            return None
        return IndexTerm(options, len(self._labels), learner.task.n_bits).to(self.context.device)

    def _trained(self, stepper: Stepper) -> Trained:
        return Trained(
            module=self.module,
            optimizer=stepper.optimizer,
            memory=self._memory,
            loss_module=self._loss_module,
            index_term=self._index_term,
            adversary=self._adversary,
        )

    def _begin(self, stepper: Stepper) -> TrainState:
        """Return the state of the checkpoint, and bring module and stepper to it; without one, the first state."""
        state = None
        if self.stage.checkpoint is not None:
            is_main = self.context.processes.is_main
            content = read_checkpoint(self.stage.checkpoint, self.stage.key) if is_main else None
            content = self.context.processes.broadcast_bytes(content)
            state = restore_checkpoint(content, self.stage.key, self._trained(stepper))
        if state is None:
            return TrainState(epoch=0, centers=self._learnt(self.learner.start()))
        if state.scaler:
            stepper.scaler.load_state_dict(state.scaler)
        if not self._is_done(state):
            self.stage.callbacks.resumed(self.stage.title, state.epoch, self.learner.schedule.epochs)
        return state

    def _epoch(self, state: TrainState, stepper: Stepper) -> None:
        began = time.monotonic()
        epoch = state.epoch
        rate = stepper.begin(epoch)
        self._get_ready(epoch)
        purpose = "epoch" if self.context.processes.is_main else f"epoch, process {self.context.processes.rank}"
        with torch_seeded(self.seed, purpose, epoch):
            batches = self._batches(epoch)
            loss, means = self._pass(state.centers, stepper, epoch, batches)
        trained_towards, learnt = state.centers, self.learner.method.centers_of is not None
        if self.learner.method.reassign is not None:
            rng, found = generator(self.seed, "reassign", epoch), means.means(self.context.processes)
            changed = self.learner.method.reassign(state.centers, found, epoch, self.learner.method_options, rng)
            state.centers = broadcast_centers(changed, self.context.processes)
        state.centers = self._learnt(state.centers)
        state.epoch, state.scaler = epoch + 1, stepper.scaler.state_dict()
        record: dict[str, Any] = {
            "epoch": state.epoch,
            "loss": loss,
            "learning_rate": rate,
        }
        if len(state.centers.centers):
            record["centers_changed"] = int((trained_towards.centers != state.centers.centers).any(axis=1).sum())
        for beside in (self._memory, self._index_term, self._adversary):
            record |= {} if beside is None else beside.figures()
        kept = state.centers if learnt else trained_towards
        if self.learner.method.moves_centers(self.learner.method_options):
            record |= center_figures(kept.centers, self.similarity)
        self._share_buffers()
        self._keep_best(state, kept, record)
        record["seconds"] = round(time.monotonic() - began, 3)
        state.history.append(record)
        self.stage.callbacks.epoch(self.stage.name, dict(record))

    def _get_ready(self, epoch: int) -> None:
        """Let all that has a state of its own know that an epoch begins."""
        learner = self.learner
        for beside in (self._memory, self._adversary):
            if beside is not None:
                beside.begin(epoch)
        if self._index_term is not None:
            self._index_term.begin()
        if self._loss_module is not None:
            self._loss_module.begin(epoch, generator(self.seed, "loss", epoch))
        if learner.method.refresh is not None:
            self.module.eval()
            labels = torch.from_numpy(self._labels).float().to(self.context.device)
            with torch.no_grad():
                learner.method.refresh(*self._head_and_features(), labels)

    def _head_and_features(self) -> tuple[Head, Tensor]:
        """Return the head that is trained, and what the backbone makes of the plain training images now."""
        if isinstance(self.module, HashNetwork):
            features = self.inputs.outputs(self.module.backbone, "train", np.arange(len(self._labels)))
            return self.module.head, torch.from_numpy(features).to(self.context.device)
        assert isinstance(self.module, Head)  # noqa: S101 - nothing else has a head to refresh
        assert isinstance(self.inputs, FeatureInputs)  # noqa: S101
        return self.module, self.inputs.parts["train"]

    def _batches(self, epoch: int) -> list[Positions]:
        """Return the places of the images of each batch of an epoch."""
        learner, rng = self.learner, generator(self.seed, "order", epoch)
        size, least = learner.schedule.batch_size, max(2, self.context.processes.count)
        if learner.method.batches is None:
            return cut_batches(rng.permutation(len(self._labels)), size, least)
        batches = learner.method.batches(self._labels, size, learner.method_options, rng)
        if not batches or min(map(len, batches)) < least:
            raise TrainingError(
                f"{learner.method.name} made a batch of fewer than {least} images of {len(self._labels)} training "
                "images: take more images, or another batch size (--batch-size)"
            )
        return batches

    def _pass(
        self, centers: CenterState, stepper: Stepper, epoch: int, batches: list[Positions]
    ) -> tuple[float, ClassMeans]:
        """Go over the training images once; return the mean loss, and what was added up for a method that reassigns."""
        self.module.train()
        views, targets = self.learner.method.views, self._targets(centers, epoch)
        parts = [self.context.processes.share_of(batch) for batch in batches]
        means = ClassMeans(self._labels.shape[1], self.learner.task.n_bits, self.learner.method.means_of, self._device)
        shown = self.inputs.batches(parts, self.seed, epoch, views)
        for number, (inputs, part, batch) in enumerate(zip(shown, parts, batches, strict=True), start=1):
            rows = np.tile(part, views)
            places = moved(torch.from_numpy(rows), self._device)
            labels = self._label_rows.index_select(0, places).float()
            loss_of = partial(self._loss, labels=labels, targets=targets, places=places)
            term_of = partial(self._term, inputs=inputs, labels=labels, rows=rows, epoch=epoch)
            what = f"batches of {len(batch)} images; lower the batch size (--batch-size)"
            with enough_memory(what), stepper.first_of_all(epoch):
                outputs = stepper.step(inputs, loss_of, len(part) / len(batch), epoch, term_of)
            if self.learner.method.reassign is not None:
                means.add(labels, outputs)
            self._estimate.step(number, len(batches), self.learner.schedule.epochs - epoch)
        total = sum(loss * len(part) for loss, part in zip(stepper.read(epoch), parts, strict=True))
        whole = float(self.context.processes.all_reduce_array(np.array([total]))[0])
        return whole / sum(map(len, batches)), means

    def _targets(self, centers: CenterState, epoch: int) -> Targets:
        """Return what the loss of an epoch may look at, but for what differs from batch to batch."""
        device, arrays = self.context.device, centers.arrays()
        names = [name for name in Targets._fields if name in arrays]
        found: dict[str, Any] = {name: torch.from_numpy(arrays[name]).float().to(device) for name in names}
        return Targets(
            **found,
            epoch=epoch,
            progress=epoch / self.learner.schedule.epochs,
            module=self._loss_module,
            prepared=self.learner.prepared,
            encode=partial(self._encode, epoch=epoch),
        )

    def _encode(self, places: Tensor, epoch: int) -> Tensor:
        """Return the outputs, with gradients, of training images: float `(m, n_bits)`.

        They are those of evaluation, without dropout and without what classifiers say: any number of images will do,
        and they leave no trace in batch normalisation.
        """
        inputs = self.inputs.besides(places.cpu().numpy(), self.seed, epoch)
        self.module.eval()
        outputs: Tensor = self.module.own_outputs(inputs) if isinstance(self.module, Head) else self.module(inputs)
        self.module.train()
        return outputs.float()

    def _loss(self, outputs: Tensor, labels: Tensor, targets: Targets, places: Tensor) -> Tensor:
        memory = (
            None
            if self._memory is None
            else self._memory.remember(outputs[:, : self.learner.task.n_bits], labels, places)
        )
        targets = targets._replace(rows=places, memory=memory)
        return self.learner.method.loss(outputs, labels, targets, self.learner.task, self.learner.method_options)

    def _term(self, outputs: Tensor, inputs: Tensor, labels: Tensor, rows: Positions, epoch: int) -> Tensor | None:
        """Return what joins the method's own loss of a batch; None where nothing does."""
        beside = [one for one in (self._memory, self._adversary) if one is not None]
        terms = [one.term(inputs, outputs, labels, rows) for one in beside]
        if self._index_term is not None:
            places = moved(torch.from_numpy(rows[: len(rows) // self.learner.method.views]), outputs.device)
            shown = outputs[: len(places), : self.learner.task.n_bits]
            terms.append(self._index_term.term(shown, places, partial(self._encode, epoch=epoch)))
        given = [term for term in terms if term is not None]
        return torch.stack(given).sum() if given else None

    def _share_buffers(self) -> None:
        """Take the main process's buffers: layers beside plain batch normalisation keep figures of their own images."""
        if self.context.processes.several:
            for buffer in self.module.buffers():
                buffer.copy_(self.context.processes.broadcast(buffer))

    def _keep_best(self, state: TrainState, centers: CenterState, record: dict[str, Any]) -> None:
        """Validate where it is due, and keep the weights with the centers they were trained towards where best."""
        own = {} if self._loss_module is None else self._loss_module.state_dict()
        finite = [value.isfinite().all() for value in [*self.module.state_dict().values(), *own.values()]]
        if not bool(torch.stack(finite).all()):
            raise self._not_finite("a weight", state.epoch)
        if isinstance(self.module, Head) and self.module.expected_center is not None:
            self.module.expected_center.set_centers(torch.from_numpy(centers.expected()).to(self.context.device))
        last = state.epoch == self.learner.schedule.epochs
        due = last or state.epoch % self.context.options.validate_every == 0
        score = self.validation_map() if due and self.criterion is not None else None
        if last and score is None:
            self.outputs("train", np.arange(min(FEW, len(self._labels))))
        if score is not None:
            record["validation_map"] = score
        if due and self.published is not None:
            record |= self.published.figures(self.outputs, writes=self.context.processes.is_main)
        known = state.best.validation_map if state.best is not None else None
        better = score is not None and (known is None or score >= known)
        chooses = self.criterion is not None and self.learner.method.needs_labels
        keeps_last = not chooses or self.context.options.select == "last"
        if last if keeps_last else better:
            state.best = BestEpoch(
                weights=copy_weights(self.module), centers=centers, epoch=state.epoch, validation_map=score
            )

    def validation_map(self) -> float:
        """Return what the criterion says of the validation images."""
        assert self.criterion is not None  # noqa: S101 - `_keep_best` asks only where there is one
        score = torch.tensor(self.criterion.measured(self.outputs), dtype=torch.float64)
        return float(self.context.processes.broadcast(score))

    def outputs(self, part: str, positions: Positions) -> FloatRows:
        """Return plain outputs float32 `(n, n_bits)` of images of a part, by position; the work is shared."""
        if not self.context.processes.several:
            whole = self.inputs.outputs(self.module, part, positions)
        else:
            own = self.context.processes.share_of(np.arange(len(positions)))
            sums = np.zeros((len(positions), self.learner.task.n_bits))
            if len(own):
                sums[own] = self.inputs.outputs(self.module, part, positions[own])
            whole = self.context.processes.all_reduce_array(sums).astype(np.float32)
        if not np.isfinite(whole).all():
            raise self._not_finite(f"an output for {part} images")
        return whole

    def _not_finite(self, what: str, epoch: int | None = None) -> TrainingError:
        after = "" if epoch is None else f" in epoch {epoch}"
        return TrainingError(
            f"{what} became not finite{after}: lower the learning rate (now {self.learner.schedule.learning_rate:g}); "
            "no model was saved"
        )
