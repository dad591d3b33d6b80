"""What is remembered of the outputs of all training images, for losses between them and a batch."""

import copy
from typing import Any, final

import torch
from torch import Tensor, nn

from nearbit.encoding.torch_backend import moved
from nearbit.methods import Memory, MemoryTerm
from nearbit.training.inputs.batches import Positions
from nearbit.training.terms.epoch_mean import EpochMean


@final
class MemoryBank(nn.Module):
    """What the trained module, or a momentum encoder, last gave for each training image.

    Its state is the rows, and the encoder's. A momentum encoder is a copy of the module. It begins as the module an
    epoch before the term counts, so that every image has been seen by then. At each step its weights move towards the
    module's, and it sees the batch that the module sees, in training mode.
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
        self.momentum_encoder = None if term.momentum is None else copy.deepcopy(module).requires_grad_(False)
        self.register_buffer("outputs", torch.zeros(shape[0], n_bits, device=device))
        self.register_buffer("labels", torch.zeros(shape, device=device))
        self._term, self._module = term, [module]  # in a list: the module's weights are no part of this state
        self._writes = self._counts = False
        self._mean = EpochMean()

    def begin(self, epoch: int) -> None:
        """Get ready for an epoch, counted from 0."""
        first = max(self._term.after - 1, 0)
        if epoch == first and self.momentum_encoder is not None:
            self.momentum_encoder.load_state_dict(self._module[0].state_dict())
        self._writes, self._counts = epoch >= first, epoch >= self._term.after
        self._mean = EpochMean()

    def remember(self, outputs: Tensor, labels: Tensor, rows: Tensor) -> Memory:
        """Write a batch's outputs, unless a momentum encoder writes its own, and return all that is remembered."""
        if self.momentum_encoder is None:
            self.outputs[rows] = outputs.detach()
            self.labels[rows] = labels
        return Memory(self.outputs, self.labels)

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
        if self.momentum_encoder is not None:
            self._write(self.momentum_encoder, inputs, labels, moved(torch.from_numpy(rows), outputs.device))
        if not self._counts or self._term.loss is None:
            return None
        value = self._term.loss(outputs, labels, self.outputs, self.labels)
        self._mean.add(value, len(rows))
        return self._term.weight * value

    @torch.no_grad()
    def _write(self, encoder: nn.Module, inputs: Tensor, labels: Tensor, rows: Tensor) -> None:
        assert self._term.momentum is not None  # noqa: S101 - there is an encoder
        for average, value in zip(encoder.parameters(), self._module[0].parameters(), strict=True):
            average.lerp_(value, 1 - self._term.momentum)
        encoder.train()
        self.outputs[rows] = encoder(inputs).float()
        self.labels[rows] = labels

    def figures(self) -> dict[str, Any]:
        """Return what the record of an epoch says: the mean of the term before its weight, in epochs that have one."""
        return self._mean.figures("memory_loss")
