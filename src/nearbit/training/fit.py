"""The training loop: batches, loss, optimizer step; after each epoch centers, validation, checkpoint."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nearbit.centers import CenterState, pairwise_distances, similarity_correlation
from nearbit.codes import pack, signs_of
from nearbit.encode import enough_memory
from nearbit.errors import TrainingError
from nearbit.methods import Method, Schedule, Similarity, Targets, Task
from nearbit.metrics import tie_aware_average_precision
from nearbit.progress import Progress
from nearbit.training.batches import Positions, TrainingInputs
from nearbit.training.checkpoint import Progressed, Snapshot, copy_weights, load_checkpoint, save_checkpoint
from nearbit.training.memory import OutputMemory
from nearbit.training.seeds import generator, torch_seeded

CHECKPOINT_SECONDS = 10.0
VALIDATION_DATABASE = 5000


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
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
    similarity: Similarity | None = None

    def run(self, progress: Progress) -> Progressed:
        """Train to the end, from the checkpoint where there is one, and leave the best weights in the module."""
        optimizer = self._optimizer()
        state = None
        if self.checkpoint is not None:
            state = load_checkpoint(self.checkpoint, self.key, self.module, optimizer, self._memory)
        if state is None:
            state = Progressed(epoch=0, centers=self.start())
        saved = time.monotonic()
        while state.epoch < self.schedule.epochs:
            self._epoch(state, optimizer)
            progress(self.stage, state.epoch, self.schedule.epochs)
            due = state.epoch == self.schedule.epochs or time.monotonic() - saved > CHECKPOINT_SECONDS
            if self.checkpoint is not None and due:
                save_checkpoint(self.checkpoint, self.key, self.module, optimizer, state, self._memory)
                saved = time.monotonic()
        assert state.best is not None  # noqa: S101 - the last epoch always leaves one
        self.module.load_state_dict(state.best.weights)
        self.module.eval()
        return state

    @cached_property
    def _memory(self) -> OutputMemory | None:
        """What a second term of the loss sets batches beside; None where the method has no such term."""
        term = None if self.method.memory is None else self.method.memory(self.options)
        if term is None:
            return None
        return OutputMemory(term, self.module, self.train_labels.shape, self.task.n_bits, self.device)

    def _optimizer(self) -> torch.optim.Optimizer:
        rate = self.schedule.learning_rate
        named = list(self.module.named_parameters())
        head = [value for name, value in named if not name.startswith("backbone.")]
        backbone = [value for name, value in named if name.startswith("backbone.")]
        groups: list[dict[str, Any]] = [{"params": head, "lr": rate, "factor": 1.0}]
        if backbone:
            factor = self.schedule.backbone_factor
            groups.append({"params": backbone, "lr": rate * factor, "factor": factor})
        return torch.optim.Adam(groups, lr=rate, betas=self.schedule.betas, weight_decay=self.schedule.weight_decay)

    def _epoch(self, state: Progressed, optimizer: torch.optim.Optimizer) -> None:
        began = time.monotonic()
        epoch = state.epoch
        for group in optimizer.param_groups:
            turn = 0.5 * (1 + math.cos(math.pi * epoch / self.schedule.epochs))
            group["lr"] = self.schedule.learning_rate * group["factor"] * turn
        if self._memory is not None:
            self._memory.begin(epoch)
        with torch_seeded(self.seed, "epoch", epoch):
            loss, sums = self._pass(state.centers, optimizer, epoch)
        trained_towards = state.centers
        if self.method.reassign is not None:
            weights = self._label_weights(np.arange(len(self.train_labels))).sum(axis=0)
            means = sums / np.maximum(weights, 1e-12)[:, None]
            rng = generator(self.seed, "reassign", epoch)
            state.centers = self.method.reassign(state.centers, means, epoch, self.options, rng)
        state.epoch = epoch + 1
        record: dict[str, Any] = {
            "epoch": state.epoch,
            "loss": loss,
            "centers_changed": _changed(trained_towards, state.centers),
        }
        if self._memory is not None:
            record |= self._memory.figures()
        if self.method.reassign is not None:
            record |= _center_figures(trained_towards, self.similarity)
        self._keep_best(state, trained_towards, record)
        record["seconds"] = round(time.monotonic() - began, 3)
        state.history.append(record)

    def _pass(
        self, centers: CenterState, optimizer: torch.optim.Optimizer, epoch: int
    ) -> tuple[float, npt.NDArray[np.float64]]:
        """Go over the training images once; return the mean loss and each class's weighted sum of signs."""
        self.module.train()
        targets = Targets(
            torch.from_numpy(centers.centers).float().to(self.device),
            torch.from_numpy(centers.tie_break).float().to(self.device),
        )
        order = generator(self.seed, "order", epoch).permutation(len(self.train_labels))
        total, sums = 0.0, np.zeros(centers.centers.shape, np.float64)
        for inputs, batch in self.inputs.batches(order, self.schedule.batch_size, self.seed, epoch):
            labels = torch.from_numpy(self.train_labels[batch]).float().to(self.device)
            with enough_memory(f"batches of {len(batch)} images; lower the batch size (--batch-size)"):
                outputs = self.module(inputs)
                loss = self.method.loss(outputs, labels, targets, self.task, self.options)
                term = None if self._memory is None else self._memory.term(inputs, outputs, labels, batch)
                total += self._step(loss, optimizer, epoch, term) * len(batch)
            if self.method.reassign is not None:
                signs = np.where(outputs.detach().float().cpu().numpy() >= 0, 1.0, -1.0)
                sums += self._label_weights(batch).T @ signs
        return total / len(order), sums

    def _step(self, loss: Tensor, optimizer: torch.optim.Optimizer, epoch: int, term: Tensor | None = None) -> float:
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss became {value} in epoch {epoch + 1}: expected a finite number; "
                f"lower the learning rate (now {self.schedule.learning_rate:g}); nothing was saved"
            )
        optimizer.zero_grad(set_to_none=True)
        (loss if term is None else loss + term).backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self.schedule.clip_norm)
        if not bool(torch.isfinite(norm)):
            raise TrainingError(
                f"a gradient became {float(norm)} in epoch {epoch + 1}: lower the learning rate "
                f"(now {self.schedule.learning_rate:g}); nothing was saved"
            )
        optimizer.step()
        return value

    def _label_weights(self, positions: Positions) -> npt.NDArray[np.float64]:
        """Return y / |y|₁ of training images: float64 `(n, n_classes)`."""
        labels = self.train_labels[positions].astype(np.float64)
        return np.asarray(labels / labels.sum(axis=1, keepdims=True))

    def _keep_best(self, state: Progressed, centers: CenterState, record: dict[str, Any]) -> None:
        """Validate where it is due, and keep the weights with the centers they were trained towards where best."""
        last = state.epoch == self.schedule.epochs
        validates = len(self.validation_labels) > 0 and (last or state.epoch % self.validate_every == 0)
        score = self.validation_map() if validates else None
        if score is not None:
            record["validation_map"] = score
        known = state.best.validation_map if state.best is not None else None
        better = score is not None and (known is None or score > known)
        if (self.select == "validation" and better) or (self.select == "last" and last):
            state.best = Snapshot(
                weights=copy_weights(self.module), centers=centers, epoch=state.epoch, validation_map=score
            )

    def validation_map(self) -> float:
        """Return the tie-aware mAP of validation images as queries against at most 5,000 training images."""
        database = validation_database(len(self.train_labels), self.seed)
        parts = {"train": database, "validation": np.arange(len(self.validation_labels))}
        outputs = {part: self.inputs.outputs(self.module, part, rows) for part, rows in parts.items()}
        codes = {part: pack(signs_of(values)) for part, values in outputs.items()}
        precisions = tie_aware_average_precision(
            codes["validation"], self.validation_labels, codes["train"], self.train_labels[database], self.task.n_bits
        )
        return float(precisions.mean())


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
