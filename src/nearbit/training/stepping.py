"""One step of training: the loss of a batch, its gradient over all processes, and what the optimizer makes of it."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from nearbit.errors import TrainingError
from nearbit.methods import LossModule, Schedule
from nearbit.training.distributed.processes import Processes
from nearbit.training.optimizers import make_optimizer
from nearbit.training.options import Precision

READ_EVERY = 32
"""Steps between two looks at losses and gradients: to look at each would make a GPU wait for Python at every step."""


class _Taken(NamedTuple):
    """What a step leaves on the device to be read later: its loss, and the norm of its gradient (None: not to be)."""

    loss: Tensor
    norm: Tensor | None


@final
class Stepper:
    """Moves the weights of a module: an optimizer, a cosine from the learning rate to 0, gradients clipped.

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
    ) -> None:
        self.module, self.schedule, self.device = module, schedule, device
        self.precision, self.processes = precision, processes
        self.loss_module = loss_module
        self.optimizer = make_optimizer(module, schedule, loss_module)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
        self._taken: list[_Taken] = []
        self._losses: list[float] = []

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
        """Take one step.

        Args:
            inputs: this process's part of the batch.
            loss_of: maps its outputs float32 `(n, n_bits)` to their mean loss.
            share: the part's size relative to the batch.
            epoch: counted from 0, for messages.
            term_of: maps those outputs to a second term of the loss, or None.

        Returns:
            The part's outputs without gradients.
        """
        with _autocast(self.precision, self.device):
            outputs = self.module(inputs)
        loss = loss_of(outputs.float())
        term = term_of(outputs.float())
        self.optimizer.zero_grad(set_to_none=True)
        whole = loss if term is None else loss + term
        whole = whole * share if self.processes.several else whole
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
            norms = [one.loss.new_zeros(()) if one.norm is None else one.norm for one in taken]
            losses = torch.stack([one.loss for one in taken]).tolist()
            for loss, norm in zip(losses, torch.stack(norms).tolist(), strict=True):
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
                    f"{self._advice()}; nothing was saved"
                )

    def _move(self) -> Tensor | None:
        """Move the weights; return the norm of the gradient before it was clipped, unless that may be not finite."""
        self._reduce_gradients()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self.schedule.clip_norm)
        if self.loss_module is not None:
            norm = norm + nn.utils.clip_grad_norm_([*self.loss_module.parameters()], self.schedule.clip_norm)
        leaves_out = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        self.scaler.step(self.optimizer)  # leaves the weights alone where a scaled gradient is not finite
        self.scaler.update()
        return None if leaves_out else norm

    def _reduce_gradients(self) -> None:
        """Replace every gradient by its sum over the processes, all in one exchange."""
        if not self.processes.several:
            return
        own = [] if self.loss_module is None else [*self.loss_module.parameters()]
        gradients = [value.grad for value in [*self.module.parameters(), *own] if value.grad is not None]
        total = self.processes.all_reduce(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, part in zip(gradients, torch.split(total, sizes), strict=True):
            gradient.copy_(part.view_as(gradient))

    def _advice(self) -> str:
        return "" if self.precision == "float32" else f" or take --precision float32 (now {self.precision})"


def _autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context in which a network's forward pass computes in that precision."""
    dtype = torch.float16 if precision == "float16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "float32")
