"""One step of training: the loss of a batch, its gradient over all processes, and what the optimizer makes of it."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from nearbit.errors import TrainingError
from nearbit.methods import LossModule, Schedule
from nearbit.training.compiling import compiled_forward, explained
from nearbit.training.distributed.gradients import GradientExchange, gradient_exchange
from nearbit.training.distributed.processes import Processes
from nearbit.training.distributed.sync_batch_norm import shared_layers, sync_batch_norm
from nearbit.training.optimizers import make_optimizer
from nearbit.training.options import Precision

READ_EVERY = 32
"""Steps between two looks at losses and gradients: to look at each would make a GPU wait for Python at every step."""


class _Taken(NamedTuple):
    """What a step leaves on the device to be read later: its loss, and the norm of its gradient."""

    loss: Tensor
    norm: Tensor


@final
class Stepper:
    """Moves the weights of a module: an optimizer, a cosine from the learning rate to 0, gradients clipped.

    Where it `compiles`, torch compiles the passes of `step`; what else goes through the module is computed as it is.

    Losses and norms of gradients stay on the device until `READ_EVERY` steps are taken, or `read` is called, which has
    to be done before anything of an epoch is kept: then the first that is not finite is an error that names its step.

    Attributes:
        module: what is trained.
        optimizer: its optimizer.
        loss_module: the weights of the loss, or None; they move beside the module's.
        scaler: for float16, whose small gradients would be 0: the loss is multiplied by a factor that it finds.
    """

    def __init__(
        self,
        module: nn.Module,
        schedule: Schedule,
        device: torch.device,
        precision: Precision,
        processes: Processes,
        loss_module: LossModule | None = None,
        *,
        compiles: bool = False,
    ) -> None:
        self.module, self.schedule, self.device = module, schedule, device
        self.precision, self.processes = precision, processes
        self.loss_module = loss_module
        self.optimizer = make_optimizer(module, schedule, loss_module)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
        self._forward = compiled_forward(module) if compiles else module
        self._explained = explained if compiles else nullcontext
        self._exchange: GradientExchange | None = None
        self._taken: list[_Taken] = []
        self._losses: list[float] = []

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Let batch normalisation see the images of all processes, and sum up gradients over them, in the block."""
        own = [] if self.loss_module is None else [*self.loss_module.parameters()]
        weights = [*self.module.parameters(), *own]
        shares = bool(shared_layers(self.module))
        with (
            sync_batch_norm(self.module, self.processes),
            gradient_exchange(weights, self.processes, shares_norms=shares) as self._exchange,
        ):
            try:
                yield
            finally:
                self._exchange = None

    def begin(self, epoch: int) -> float:
        """Set the learning rates of an epoch, counted from 0; return that of the head."""
        turn = 0.5 * (1 + math.cos(math.pi * epoch / self.schedule.epochs))
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate * group["factor"] * turn
        self._taken, self._losses = [], []
        return float(self.optimizer.param_groups[0]["lr"])

    def step(
        self,
        inputs: Tensor,
        loss_of: Callable[[Tensor], Tensor],
        share: float,
        epoch: int,
        term_of: Callable[[Tensor], Tensor | None] = lambda outputs: None,
    ) -> Tensor:
        """Take one step; where there are several processes, within `joined`.

        Args:
            inputs: this process's part of the batch.
            loss_of: maps its outputs float32 `(n, n_bits)` to their mean loss.
            share: the part's size relative to the batch.
            epoch: counted from 0, for messages.
            term_of: maps those outputs to a second term of the loss, or None.

        Returns:
            The part's outputs without gradients.
        """
        assert self._exchange is not None or not self.processes.several  # noqa: S101
        with _autocast(self.precision, self.device), self._explained():
            outputs = self._forward(inputs)
        loss = loss_of(outputs.float())
        term = term_of(outputs.float())
        self.optimizer.zero_grad(set_to_none=True)
        whole = loss if term is None else loss + term
        whole = whole * share if self.processes.several else whole
        with nullcontext() if self._exchange is None else self._exchange.during(), self._explained():
            self.scaler.scale(whole).backward()  # type: ignore[no-untyped-call]
        self._taken.append(_Taken(loss.detach(), self._move()))
        if len(self._taken) == READ_EVERY:
            self.read(epoch)
        given: Tensor = outputs.detach()
        return given

    def read(self, epoch: int) -> list[float]:
        """Return the part's loss, without the second term, of each step since `begin`.

        Args:
            epoch: counted from 0, for messages.

        Raises:
            TrainingError: a loss or a gradient is not finite.
        """
        taken, self._taken = self._taken, []
        if taken:
            losses, norms = (torch.stack(values).tolist() for values in zip(*taken, strict=True))
            for loss, norm in zip(losses, norms, strict=True):
                self._losses.append(loss)
                self._check(loss, norm, epoch)
        return self._losses

    @contextmanager
    def first_of_all(self, epoch: int) -> Iterator[None]:
        """Let an error in a block be that of an earlier step, where a loss or a gradient was not finite already."""
        try:
            yield
        except (ArithmeticError, RuntimeError, ValueError) as error:
            if not isinstance(error, torch.OutOfMemoryError):
                self.read(epoch)
            raise

    def _check(self, loss: float, norm: float, epoch: int) -> None:
        at, rate = f"in epoch {epoch + 1}, step {len(self._losses)}", f"{self.schedule.learning_rate:g}"
        for what, value in (("the loss", loss), ("a gradient", norm)):
            if not math.isfinite(value):
                raise TrainingError(
                    f"{what} became {value} {at}: expected a finite number; lower the learning rate (now {rate})"
                    f"{self._advice()}; no model was saved"
                )

    def _move(self) -> Tensor:
        """Move the weights; return the norm of the gradient before it was clipped, or 0 where it may be not finite."""
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self.schedule.clip_norm)
        if self.loss_module is not None:
            norm = norm + nn.utils.clip_grad_norm_([*self.loss_module.parameters()], self.schedule.clip_norm)
        if self.scaler.is_enabled():
            norm = torch.where(self.scaler.scale(torch.ones_like(norm)) > 1, 0.0, norm)
        self.scaler.step(self.optimizer)  # leaves the weights alone where a scaled gradient is not finite
        self.scaler.update()
        return norm

    def _advice(self) -> str:
        return "" if self.precision == "float32" else f" or take --precision float32 (now {self.precision})"


def _autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context in which a network's forward pass computes in that precision."""
    dtype = torch.float16 if precision == "float16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "float32")
