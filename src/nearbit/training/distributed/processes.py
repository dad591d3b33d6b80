"""Several processes that train one network: who they are, what they add up, and how one that fails ends them all.

`torchrun` starts the processes and names them in the environment. Each works on its share of every batch; sums over
the processes take the place of sums over the batch. Only the first process, the main process, writes files.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from nearbit.encoding.torch_backend import find_device
from nearbit.errors import ElsewhereError, InputError, TrainingError

PATIENCE = timedelta(hours=6)
"""How long a process waits for the others: the main process may decode a large data set alone."""
VARIABLES = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


class Channel(Protocol):
    """Sums over the processes that go on while this one computes."""

    def begin_sum(self, tensor: Tensor) -> Callable[[], Tensor]:
        """Begin to add the processes' tensors up; return what waits for the sum, which may take the tensor's place."""
        ...


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes of this run, as one of them sees them.

    Attributes:
        rank: number of this process; 0 is the main process.
        count: how many there are.
        local_rank: number of this process among those of its machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def device(self, name: str) -> torch.device:
        """Return the device of this process; with several processes each has a GPU of its own, or all have the CPU.

        Raises:
            InputError: the device is not there, is named for one process alone, or there are too few GPUs.
        """
        return _device_of(name, self.local_rank) if self.several else find_device(name)

    def share_of(self, batch: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return this process's part of a batch; the parts differ in length by one at most."""
        return np.array_split(batch, self.count)[self.rank]

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Return the sum of the processes' tensors, on the device of this one; the tensor itself stays."""
        total = _movable(tensor)
        if self.several:
            with _together():
                dist.all_reduce(total)
        return total.to(tensor.device)

    @property
    def keeps_channels_apart(self) -> bool:
        """Whether sums of two channels may be under way at once, in any order: not over NCCL."""
        return not _speak_over_nccl()

    @contextmanager
    def channel(self) -> Iterator[Channel]:
        """Give a channel of its own to the block: its sums wait for one another, and for no other exchange."""
        with _together():
            group = dist.new_group(timeout=PATIENCE)
        yield _GroupChannel(group)
        dist.destroy_process_group(group)

    def all_reduce_array(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the sum of the processes' arrays."""
        if not self.several:
            return values
        return np.asarray(self.all_reduce(torch.from_numpy(values)).numpy())

    def broadcast(self, tensor: Tensor) -> Tensor:
        """Return the main process's tensor; all have the same shape and dtype."""
        if tensor.dtype == torch.bool:
            return self.broadcast(tensor.to(torch.uint8)).bool()
        shared = _movable(tensor)
        if self.several:
            with _together():
                dist.broadcast(shared, 0)
        return shared.to(tensor.device)

    def broadcast_bytes(self, content: bytes | None) -> bytes | None:
        """Return the main process's bytes, or None where it has none; what the others give is not looked at."""
        if not self.several:
            return content
        given = content if self.is_main else None
        size = int(self.broadcast(torch.tensor(-1 if given is None else len(given))))
        if size < 0:
            return None
        values = np.frombuffer(given, np.uint8).copy() if given is not None else np.empty(size, np.uint8)
        return bytes(self.broadcast(torch.from_numpy(values)).numpy().tobytes()) if size else b""

    def check_alike(self, key: str) -> None:
        """Raise `TrainingError` where the processes would not train the same run."""
        if self.broadcast_bytes(key.encode()) != key.encode():
            raise TrainingError(
                f"process {self.rank} would train another run than process 0: give all the same options, images, "
                "library versions and number of threads"
            )

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Run a block in the main process, and then in the others, which find in the cache what it kept."""
        if not self.is_main:
            self.all_reduce(torch.zeros(1))
        yield
        if self.is_main:
            self.all_reduce(torch.zeros(1))


@dataclass(frozen=True)
class _GroupChannel:
    group: Any

    def begin_sum(self, tensor: Tensor) -> Callable[[], Tensor]:
        with _together():
            work = dist.all_reduce(tensor, group=self.group, async_op=True)

        def total() -> Tensor:
            with _together():
                work.wait()
            return tensor

        return total


ALONE = Processes()


def current_processes() -> Processes:
    """Return the processes that this one has joined; itself alone where it has joined none."""
    if not dist.is_available() or not dist.is_initialized():
        return ALONE
    return Processes(
        rank=dist.get_rank(), count=dist.get_world_size(), local_rank=int(os.environ.get("LOCAL_RANK", dist.get_rank()))
    )


@contextmanager
def joined_processes(device: str = "auto") -> Iterator[Processes]:
    """Join the processes that `torchrun` started, for the block; without it this process is alone.

    Where one process fails, its error is raised there, and `ElsewhereError` in the others.

    Args:
        device: as in `TrainOptions`: GPUs speak over NCCL, CPUs over Gloo.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or not all(name in os.environ for name in VARIABLES):
        yield ALONE
        return
    store = _meeting_place(count)
    try:
        _join(_device_of(device, int(os.environ["LOCAL_RANK"])), store, count)
        yield current_processes()
    except BaseException as error:
        if not isinstance(error, ElsewhereError) and _is_first(store):
            raise
        raise ElsewhereError("another process of this run ended and has said why") from error
    dist.destroy_process_group()


def _meeting_place(count: int) -> Any:
    """Return the store that the processes share."""
    try:
        return next(iter(rendezvous("env://", int(os.environ["RANK"]), count, timeout=PATIENCE)))[0]
    except RuntimeError as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise TrainingError(f"the {count} processes did not find each other at {where}: {error}") from error


def _join(device: torch.device, store: Any, count: int) -> None:
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    with _together():
        dist.init_process_group(backend, store=store, rank=int(os.environ["RANK"]), world_size=count, timeout=PATIENCE)


def _is_first(store: Any) -> bool:
    """Tell whether this process is the first to fail; the store may have ended with the main process that failed."""
    try:
        return bool(store.add("nearbit-failed", 1) == 1)
    except RuntimeError:
        return False


@contextmanager
def _together() -> Iterator[None]:
    """Turn the end of another process, within a block that waits for it, into an error that says so."""
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            "another process of this run ended or no longer answers: look for what it said; the same command goes on "
            "from the last checkpoint"
        ) from error


def _movable(tensor: Tensor) -> Tensor:
    """Return a copy that the processes can exchange: on the GPU where they speak over NCCL."""
    device = "cuda" if _speak_over_nccl() else tensor.device
    return tensor.detach().clone(memory_format=torch.contiguous_format).to(device)


def _speak_over_nccl() -> bool:
    return dist.is_available() and dist.is_initialized() and bool(dist.get_backend() == "nccl")


def _device_of(name: str, local_rank: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise InputError(
            f"several processes take one GPU each, or all the CPU, and --device {name} names one device: give auto, "
            "cuda or cpu"
        )
    if name == "cpu":
        return torch.device("cpu")
    present = torch.cuda.device_count()
    if local_rank >= present:
        raise InputError(
            f"process {local_rank} of this machine needs a GPU of its own, and there are {present}: lower "
            "--nproc-per-node, or take --device cpu"
        )
    return torch.device("cuda", local_rank)
