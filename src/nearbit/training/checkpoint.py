"""Checkpoints: one file with all that the next epoch needs and its SHA-256, replaced whole, and the one before it."""

import json
import warnings
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from nearbit.centers import CenterState
from nearbit.errors import TrainingError
from nearbit.files.tensors import tensors_read
from nearbit.files.writing import read_checked, write_checked
from nearbit.methods import LossModule
from nearbit.training.terms.adversary import Adversary
from nearbit.training.terms.index_term import IndexTerm
from nearbit.training.terms.memory_bank import MemoryBank

OTHER = ".other-"
"""In the name of a checkpoint that was moved aside for another run."""

RUN: ContextVar[str] = ContextVar("run", default="")
"""The key of the run whose stages are trained; "" where a caller keeps the checkpoints of each run apart itself."""

STEPS = "fused"
"""How the optimizer computes: a checkpoint of another way goes on with other last bits."""


class UnusableCheckpoint(TrainingError):
    """A checkpoint holds something else than it says: no command goes on from it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """What a checkpoint brings back.

    Attributes:
        module: the module that is trained.
        optimizer: its optimizer.
        memory: the outputs that are remembered, if they are.
        loss_module: the weights of the loss, if it has some.
        index_term: what keeps codes easy to search, where that is asked for.
        adversary: what adversarial training remembers, if it is on.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    memory: MemoryBank | None = None
    loss_module: LossModule | None = None
    index_term: IndexTerm | None = None
    adversary: Adversary | None = None


@dataclass(kw_only=True)
class BestEpoch:
    """Weights at the end of an epoch, the centers they were trained towards, and what validation said of them.

    `mixture` is how classifiers join the outputs, which is chosen after the last epoch; None where none do.
    """

    weights: dict[str, Tensor]
    centers: CenterState
    epoch: int
    validation_map: float | None
    mixture: dict[str, Any] | None = None


@dataclass(kw_only=True)
class TrainState:
    """How far a training has come: `epoch` epochs are done.

    Attributes:
        epoch: epochs done.
        centers: the centers for the next epoch.
        best: the snapshot to keep, so far.
        history: one JSON-ready record an epoch.
        scaler: the state of the factor of float16's losses; empty for other precisions.
    """

    epoch: int
    centers: CenterState
    best: BestEpoch | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    scaler: dict[str, Any] = field(default_factory=dict)

    def last_gain(self) -> int:
        """Return the first epoch whose validation figure is that of the best; 0 where none was validated."""
        best = None if self.best is None else self.best.validation_map
        found = (
            record["epoch"] for record in self.history if best is not None and record.get("validation_map") == best
        )
        return int(next(found, 0))


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a module's weights and buffers, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _center_tensors(prefix: str, centers: CenterState) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": torch.from_numpy(array.copy()) for name, array in centers.arrays().items()}


def save_checkpoint(path: Path, key: str, trained: Trained, state: TrainState) -> None:
    """Write a checkpoint, whole or not at all; the one before it is kept beside it.

    Args:
        path: the file.
        key: names the run; a checkpoint of another run is not resumed.
        trained: all that has weights or a state.
        state: how far the training has come.
    """
    parts = {
        "module": trained.module,
        "memory": trained.memory,
        "loss": trained.loss_module,
        "index": trained.index_term,
        "adversary": trained.adversary,
    }
    tensors = {
        f"{part}/{name}": value
        for part, module in parts.items()
        if module is not None
        for name, value in copy_weights(module).items()
    }
    tensors |= _center_tensors("centers", state.centers)
    for number, values in trained.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": value.detach().cpu().clone() for name, value in values.items()}
    about: dict[str, Any] = {"key": key, "epoch": state.epoch, "history": state.history, "best": None}
    about |= {"scaler": state.scaler, "steps": STEPS, "run": RUN.get()}
    if state.best is not None:
        tensors |= {f"best/{name}": value for name, value in state.best.weights.items()}
        tensors |= _center_tensors("best_centers", state.best.centers)
        about["best"] = {"epoch": state.best.epoch, "validation_map": state.best.validation_map}
    tensors["about"] = torch.from_numpy(np.frombuffer(json.dumps(about).encode(), np.uint8).copy())
    content = save({name: value.contiguous() for name, value in tensors.items()})
    write_checked(path, content, before=_before(path))


def read_checkpoint(path: Path, key: str) -> bytes | None:
    """Return the content of a run's newest sound checkpoint; a damaged one is passed over with a warning.

    What lies there of another run is moved aside, one file a run, and a warning says so; what was moved aside of this
    run comes back.

    Args:
        path: the file.
        key: names the run.
    """
    moved: dict[str, Path] = {}
    own = _own_or_moved(path, key, moved) or _brought_back(path, key)
    if moved:
        kept = " and ".join(str(place) for place in moved.values())
        then = "training begins anew" if own is None else "training goes on from the one of this run"
        warnings.warn(
            f"the checkpoint {path} is of another run (other options, images, number of threads, libraries or device) "
            f"and is kept as {kept}: {then}",
            stacklevel=3,
        )
    return own


def restore_checkpoint(content: bytes | None, key: str, trained: Trained) -> TrainState | None:
    """Bring all that is trained back to where a checkpoint left it.

    Returns:
        How far the training had come; None where there is no content, or it is of another run.

    Raises:
        UnusableCheckpoint: the content is not that of a checkpoint, or does not fit the run that it names.
    """
    if content is None:
        return None
    try:
        return _restored(content, key, trained)
    except torch.OutOfMemoryError:  # of the device: the checkpoint is sound
        raise
    except (TrainingError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UnusableCheckpoint(
            f"the checkpoint of this run holds something else than it says ({' '.join(str(error).split())[:200]}): "
            "delete the folder OUTPUT.checkpoint to train anew"
        ) from error


def _restored(content: bytes, key: str, trained: Trained) -> TrainState | None:
    with tensors_read("it", TrainingError):
        tensors = load(content)
    about = json.loads(tensors.pop("about").numpy().tobytes())
    if about["key"] != key:
        return None
    if about.get("steps") != STEPS:
        warnings.warn(
            "the checkpoint of this run is of an earlier nearbit, whose steps differ in the last bits: training goes "
            "on from it, and ends in other last bits than an undisturbed run would",
            stacklevel=4,
        )
    trained.module.load_state_dict(_under(tensors, "module"))
    _restore_optimizer(trained.optimizer, _under(tensors, "optimizer"))
    if trained.loss_module is not None:
        trained.loss_module.load_state_dict(_under(tensors, "loss"))
    if trained.index_term is not None:
        trained.index_term.load_state_dict(_under(tensors, "index"))
    if trained.adversary is not None:
        trained.adversary.load_state_dict(_under(tensors, "adversary"))
    if trained.memory is not None:
        kept = _under(tensors, "memory")  # nearbit 0.1 called the momentum encoder the twin
        trained.memory.load_state_dict({name.replace("twin.", "momentum_encoder.", 1): kept[name] for name in kept})
    best = None
    if about["best"] is not None:
        best = BestEpoch(weights=_under(tensors, "best"), centers=_centers(tensors, "best_centers"), **about["best"])
    return TrainState(
        epoch=about["epoch"],
        centers=_centers(tensors, "centers"),
        best=best,
        history=about["history"],
        scaler=about["scaler"],
    )


def of_run(path: Path) -> str | None:
    """Return the run that wrote a checkpoint, "" where it says none; None where the file is no sound checkpoint."""
    content = read_checked(path)
    about = None if content is None else _about(content)
    return None if about is None else str(about.get("run", ""))


def _before(path: Path) -> Path:
    """Return where the checkpoint before the newest one lies."""
    return path.with_name(f"{path.name}.before")


def _read(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    content = read_checked(path)
    if content is None:
        warnings.warn(f"the checkpoint {path} is damaged; training goes on from an earlier state", stacklevel=4)
    return content


def _own_or_moved(path: Path, key: str, moved: dict[str, Path]) -> bytes | None:
    """Return what is there of a run, or is no checkpoint at all; move aside what is of others, and note it by key."""
    for place in (path, _before(path)):
        content = _read(place)
        if content is None:
            continue
        found = _key_of(content)
        if found is None or found == key:
            return content
        if found in moved:
            place.unlink()  # the one before the newest one
        else:
            moved[found] = place.replace(_aside(path, found))
    return None


def _brought_back(path: Path, key: str) -> bytes | None:
    """Return what was moved aside of a run, back in its place; None where there is no such thing."""
    aside = _aside(path, key)
    content = _read(aside)
    if content is None or _key_of(content) != key:
        return None
    aside.replace(path)
    return content


def _aside(path: Path, key: str) -> Path:
    """Return where the checkpoint of a run lies while another one is trained in its place."""
    return path.with_name(f"{path.name}{OTHER}{key[:8]}")


def _key_of(content: bytes) -> str | None:
    """Return the key of the stage that a checkpoint is of; None where it names none."""
    about = _about(content)
    return None if about is None or "key" not in about else str(about["key"])


def _about(content: bytes) -> dict[str, Any] | None:
    """Return what a checkpoint says of itself, without reading its tensors; None where it says nothing."""
    try:
        begin = 8 + int.from_bytes(content[:8], "little")
        first, last = json.loads(content[8:begin])["about"]["data_offsets"]
        about = json.loads(content[begin + first : begin + last])
    except (LookupError, TypeError, ValueError):
        return None
    return about if isinstance(about, dict) else None


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}/"): value for name, value in tensors.items() if name.startswith(f"{prefix}/")}


def _centers(tensors: dict[str, Tensor], prefix: str) -> CenterState:
    return CenterState(**{name: value.numpy() for name, value in _under(tensors, prefix).items()})


def _restore_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in saved.items():
        number, _, kind = name.partition("/")
        state.setdefault(int(number), {})[kind] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for weight, values in optimizer.state.items():
        for name, value in values.items():
            if value.shape == weight.shape:  # a fused step wants the moments laid out as the weights are
                values[name] = torch.empty_like(weight).copy_(value)
