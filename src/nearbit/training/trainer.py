"""The training loop: batches and steps; after each epoch centers, validation, checkpoint."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nearbit.centers import CenterState, pairwise_distances, similarity_correlation
from nearbit.codes import binarize
from nearbit.encoding.feature_cache import FloatRows
from nearbit.encoding.torch_backend import enough_memory
from nearbit.errors import TrainingError
from nearbit.methods import Method, Schedule, Similarity, Targets, Task
from nearbit.metrics import tie_aware_average_precision
from nearbit.progress import Progress
from nearbit.training.batches import Positions, TrainingInputs, cut_batches
from nearbit.training.callbacks import NO_CALLBACKS, Callbacks
from nearbit.training.checkpoint import (
    BestEpoch,
    TrainState,
    copy_weights,
    read_checkpoint,
    restore_checkpoint,
    save_checkpoint,
)
from nearbit.training.distributed.processes import ALONE, Processes
from nearbit.training.distributed.sync_batch_norm import sync_batch_norm
from nearbit.training.memory_bank import MemoryBank
from nearbit.training.precision import Precision
from nearbit.training.seeds import generator, torch_seeded
from nearbit.training.stepping import Stepper

CHECKPOINT_SECONDS = 10.0
VALIDATION_DATABASE = 5000
FEW = 16
"""Training images whose outputs are looked at in the end where there are no validation images."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trainer:
    """One run of the loop.

    Attributes:
        module: what is trained: a head on cached features, or a whole network.
        inputs: its images.
        train_labels, validation_labels: bool `(n, n_classes)`; the latter is empty where nothing is validated.
        method, options, task, schedule: what is done.
        start: makes the centers of the first epoch.
        select: "validation" or "last".
        validate_every: epochs between two looks at validation.
        seed: decides every random choice.
        device: where the module is.
        checkpoint: the file of the checkpoint, or None.
        key: names this run in its checkpoint.
        stage: the name under which progress is reported.
        name: what is trained: "linear", "hidden" or "classifier".
        precision: what the network computes in while it is trained.
        processes: those that share the work.
        callbacks: told of each epoch.
        similarity: of the classes, to record how centers that change follow it; or None.
    """

    module: nn.Module
    inputs: TrainingInputs
    train_labels: npt.NDArray[np.bool_]
    validation_labels: npt.NDArray[np.bool_]
    method: Method
    options: Any
    task: Task
    schedule: Schedule
    start: Callable[[], CenterState]
    select: str
    validate_every: int
    seed: int
    device: torch.device
    checkpoint: Path | None
    key: str
    stage: str
    name: str
    precision: Precision = "float32"
    processes: Processes = ALONE
    callbacks: Callbacks = NO_CALLBACKS
    similarity: Similarity | None = None

    def run(self, progress: Progress) -> TrainState:
        """Train to the end, from the checkpoint where there is one, and leave the best weights in the module."""
        stepper = Stepper(self.module, self.schedule, self.device, self.precision, self.processes)
        state = self._begin(stepper)
        saved = time.monotonic()
        with sync_batch_norm(self.module, self.processes):
            while state.epoch < self.schedule.epochs:
                self._epoch(state, stepper)
                progress(self.stage, state.epoch, self.schedule.epochs)
                due = state.epoch == self.schedule.epochs or time.monotonic() - saved > CHECKPOINT_SECONDS
                if self.checkpoint is not None and due and self.processes.is_main:
                    save_checkpoint(self.checkpoint, self.key, self.module, stepper.optimizer, state, self._memory)
                    saved = time.monotonic()
        assert state.best is not None  # noqa: S101 - the last epoch always leaves one
        self.module.load_state_dict(state.best.weights)
        self.module.eval()
        return state

    @cached_property
    def _memory(self) -> MemoryBank | None:
        """What a second term of the loss sets batches beside; None where the method has no such term."""
        term = None if self.method.memory is None else self.method.memory(self.options)
        if term is None:
            return None
        return MemoryBank(term, self.module, self.train_labels.shape, self.task.n_bits, self.device)

    def _begin(self, stepper: Stepper) -> TrainState:
        """Return the state of the checkpoint, and bring module and stepper to it; without one, the first state."""
        state = None
        if self.checkpoint is not None:
            content = read_checkpoint(self.checkpoint) if self.processes.is_main else None
            content = self.processes.broadcast_bytes(content)
            state = restore_checkpoint(content, self.key, self.module, stepper.optimizer, self._memory)
        if state is None:
            return TrainState(epoch=0, centers=self.start())
        if state.scaler:
            stepper.scaler.load_state_dict(state.scaler)
        self.callbacks.resumed(self.stage, state.epoch, self.schedule.epochs)
        return state

    def _epoch(self, state: TrainState, stepper: Stepper) -> None:
        began = time.monotonic()
        epoch = state.epoch
        rate = stepper.begin(epoch)
        if self._memory is not None:
            self._memory.begin(epoch)
        purpose = "epoch" if self.processes.is_main else f"epoch, process {self.processes.rank}"
        with torch_seeded(self.seed, purpose, epoch):
            loss, sums = self._pass(state.centers, stepper, epoch)
        trained_towards = state.centers
        if self.method.reassign is not None:
            weights = self._label_weights(np.arange(len(self.train_labels))).sum(axis=0)
            means = sums / np.maximum(weights, 1e-12)[:, None]
            rng = generator(self.seed, "reassign", epoch)
            changed = self.method.reassign(state.centers, means, epoch, self.options, rng)
            state.centers = broadcast_centers(changed, self.processes)
        state.epoch, state.scaler = epoch + 1, stepper.scaler.state_dict()
        record: dict[str, Any] = {
            "epoch": state.epoch,
            "loss": loss,
            "learning_rate": rate,
            "centers_changed": _changed(trained_towards, state.centers),
        }
        if self._memory is not None:
            record |= self._memory.figures()
        if self.method.reassign is not None:
            record |= _center_figures(trained_towards, self.similarity)
        self._share_buffers()
        self._keep_best(state, trained_towards, record)
        record["seconds"] = round(time.monotonic() - began, 3)
        state.history.append(record)
        self.callbacks.epoch(self.name, record)

    def _pass(self, centers: CenterState, stepper: Stepper, epoch: int) -> tuple[float, npt.NDArray[np.float64]]:
        """Go over the training images once; return the mean loss and each class's weighted sum of signs."""
        self.module.train()
        targets = Targets(
            torch.from_numpy(centers.centers).float().to(self.device),
            torch.from_numpy(centers.tie_break).float().to(self.device),
        )
        order = generator(self.seed, "order", epoch).permutation(len(self.train_labels))
        batches = cut_batches(order, self.schedule.batch_size, max(2, self.processes.count))
        parts = [self.processes.share_of(batch) for batch in batches]
        total, sums = 0.0, np.zeros(centers.centers.shape, np.float64)
        for inputs, part, batch in zip(self.inputs.batches(parts, self.seed, epoch), parts, batches, strict=True):
            labels = torch.from_numpy(self.train_labels[part]).float().to(self.device)
            loss_of = partial(self._loss, labels=labels, targets=targets)
            term_of = partial(self._term, inputs=inputs, labels=labels, rows=part)
            with enough_memory(f"batches of {len(batch)} images; lower the batch size (--batch-size)"):
                loss, outputs = stepper.step(inputs, loss_of, len(part) / len(batch), epoch, term_of)
            total += loss * len(part)
            if self.method.reassign is not None:
                signs = np.where(outputs.float().cpu().numpy() >= 0, 1.0, -1.0)
                sums += self._label_weights(part).T @ signs
        totals = self.processes.all_reduce_array(np.append(sums, total))
        return float(totals[-1]) / len(order), totals[:-1].reshape(sums.shape)

    def _loss(self, outputs: Tensor, labels: Tensor, targets: Targets) -> Tensor:
        return self.method.loss(outputs, labels, targets, self.task, self.options)

    def _term(self, outputs: Tensor, inputs: Tensor, labels: Tensor, rows: Positions) -> Tensor | None:
        return None if self._memory is None else self._memory.term(inputs, outputs, labels, rows)

    def _share_buffers(self) -> None:
        """Take the main process's buffers: layers beside plain batch normalisation keep figures of their own images."""
        if self.processes.several:
            for buffer in self.module.buffers():
                buffer.copy_(self.processes.broadcast(buffer))

    def _label_weights(self, positions: Positions) -> npt.NDArray[np.float64]:
        """Return y / |y|₁ of training images: float64 `(n, n_classes)`."""
        labels = self.train_labels[positions].astype(np.float64)
        return np.asarray(labels / labels.sum(axis=1, keepdims=True))

    def _keep_best(self, state: TrainState, centers: CenterState, record: dict[str, Any]) -> None:
        """Validate where it is due, and keep the weights with the centers they were trained towards where best."""
        if not all(bool(value.isfinite().all()) for value in self.module.state_dict().values()):
            raise self._not_finite("a weight", state.epoch)
        last = state.epoch == self.schedule.epochs
        validates = len(self.validation_labels) > 0 and (last or state.epoch % self.validate_every == 0)
        score = self.validation_map() if validates else None
        if last and not validates:
            self.outputs("train", np.arange(min(FEW, len(self.train_labels))))
        if score is not None:
            record["validation_map"] = score
        known = state.best.validation_map if state.best is not None else None
        better = score is not None and (known is None or score > known)
        if (self.select == "validation" and better) or (self.select == "last" and last):
            state.best = BestEpoch(
                weights=copy_weights(self.module), centers=centers, epoch=state.epoch, validation_map=score
            )

    def validation_map(self) -> float:
        """Return the tie-aware mAP of validation images as queries against at most 5,000 training images."""
        database = validation_database(len(self.train_labels), self.seed)
        parts = {"train": database, "validation": np.arange(len(self.validation_labels))}
        outputs = {part: self.outputs(part, rows) for part, rows in parts.items()}
        codes = {part: binarize(values) for part, values in outputs.items()}
        precisions = tie_aware_average_precision(
            codes["validation"], self.validation_labels, codes["train"], self.train_labels[database], self.task.n_bits
        )
        return float(self.processes.broadcast(torch.tensor(precisions.mean(), dtype=torch.float64)))

    def outputs(self, part: str, positions: Positions) -> FloatRows:
        """Return plain outputs float32 `(n, n_bits)` of positions of "train" or "validation"; the work is shared."""
        if not self.processes.several:
            whole = self.inputs.outputs(self.module, part, positions)
        else:
            own = self.processes.share_of(np.arange(len(positions)))
            sums = np.zeros((len(positions), self.task.n_bits))
            if len(own):
                sums[own] = self.inputs.outputs(self.module, part, positions[own])
            whole = self.processes.all_reduce_array(sums).astype(np.float32)
        if not np.isfinite(whole).all():
            raise self._not_finite(f"an output for {part} images")
        return whole

    def _not_finite(self, what: str, epoch: int | None = None) -> TrainingError:
        after = "" if epoch is None else f" in epoch {epoch}"
        return TrainingError(
            f"{what} became not finite{after}: lower the learning rate (now {self.schedule.learning_rate:g}); "
            "nothing was saved"
        )


def broadcast_centers(state: CenterState, processes: Processes) -> CenterState:
    """Return the main process's centers, so that no process differs from it by a rounding."""
    if not processes.several:
        return state
    shared = {name: processes.broadcast(torch.from_numpy(array.copy())) for name, array in state.arrays().items()}
    return CenterState(**{name: tensor.numpy() for name, tensor in shared.items()})


def validation_database(n_train: int, seed: int) -> Positions:
    """Return which training images validation searches: all, or 5,000 that the seed draws."""
    if n_train <= VALIDATION_DATABASE:
        return np.arange(n_train)
    return np.sort(generator(seed, "validation").choice(n_train, VALIDATION_DATABASE, replace=False))


def _center_figures(state: CenterState, similarity: Similarity | None) -> dict[str, float | int | None]:
    """Return the distances of the centers that an epoch trained towards, and their correlation with a similarity."""
    distances = pairwise_distances(state.centers)
    figures: dict[str, float | int | None] = {
        "center_distance_min": int(distances.min()),
        "center_distance_mean": round(float(distances.mean()), 4),
    }
    if similarity is not None:
        figures["center_correlation"] = similarity_correlation(state.centers, similarity)
    return figures


def _changed(before: CenterState, after: CenterState) -> int:
    return int((before.centers != after.centers).any(axis=1).sum())
