"""The memory bank bank, which a second term of a loss sets a batch beside, and the momentum encoder that writes it."""

import copy
from typing import Any, final

import torch
from torch import Tensor, nn

from nearbit.methods import MemoryTerm
from nearbit.training.batches import Positions


@final
class MemoryBank(nn.Module):
    """What a momentum encoder, a copy of the trained module, last gave for each training image; its state is the
    encoder's and the rows.

    The encoder begins as the module an epoch before the term counts, so that every image has been seen by then. At each
    step its weights move towards the module's, and it sees the batch that the module sees, in training mode.
    """

    outputs: Tensor
    labels: Tensor

    def __init__(
        self, term: MemoryTerm, module: nn.Module, shape: tuple[int, ...], n_bits: int, device: torch.device
    ) -> None:
        """Make an empty memory.

        Args:
            term: what it is for.
            module: what is trained.
            shape: (n_train, n_classes).
            n_bits: length of the outputs.
            device: where the module is.
        """
        super().__init__()
        self.momentum_encoder = copy.deepcopy(module).requires_grad_(False)
        self.register_buffer("outputs", torch.zeros(shape[0], n_bits, device=device))
        self.register_buffer("labels", torch.zeros(shape, device=device))
        self._term, self._module = term, [module]  # in a list: the module's weights are no part of this state
        self._writes = self._counts = False
        self._sum, self._seen = 0.0, 0

    def begin(self, epoch: int) -> None:
        """Get ready for an epoch, counted from 0."""
        first = max(self._term.after - 1, 0)
        if epoch == first:
            self.momentum_encoder.load_state_dict(self._module[0].state_dict())
        self._writes, self._counts = epoch >= first, epoch >= self._term.after
        self._sum, self._seen = 0.0, 0

    def term(self, inputs: Tensor, outputs: Tensor, labels: Tensor, rows: Positions) -> Tensor | None:
        """Write a batch, and return its weighted term of the loss; None in epochs without one.

        Args:
            inputs: of the module.
            outputs: what the module made of them: `(n, n_bits)`.
            labels: float `(n, n_classes)`.
            rows: their places among the training images.
        """
        if not self._writes:
            return None
        self._write(inputs, labels, torch.from_numpy(rows).to(outputs.device))
        if not self._counts:
            return None
        value = self._term.loss(outputs, labels, self.outputs, self.labels)
        self._sum += float(value.detach()) * len(rows)
        self._seen += len(rows)
        return self._term.weight * value

    @torch.no_grad()
    def _write(self, inputs: Tensor, labels: Tensor, rows: Tensor) -> None:
        for average, value in zip(self.momentum_encoder.parameters(), self._module[0].parameters(), strict=True):
            average.lerp_(value, 1 - self._term.momentum)
        self.momentum_encoder.train()
        self.outputs[rows] = self.momentum_encoder(inputs).float()
        self.labels[rows] = labels

    def figures(self) -> dict[str, Any]:
        """Return what the record of an epoch says: the mean of the term before its weight, in epochs that have one."""
        return {"memory_loss": self._sum / self._seen} if self._seen else {}
