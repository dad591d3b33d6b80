"""Batch normalisation over the images of all processes, so that several train what one process would."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nearbit.training.distributed.processes import Processes

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""Layers that are shared. Those that derive from them do more than normalise, and keep to their own images."""


class _Total(torch.autograd.Function):
    """The sum over processes, through which gradients flow: that of a sum is the sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.all_reduce(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.processes.all_reduce(gradients[0]), None


def _total(tensor: Tensor, processes: Processes) -> Tensor:
    total: Tensor = _Total.apply(tensor, processes)  # type: ignore[no-untyped-call]
    return total


def shared_layers(module: nn.Module) -> list[nn.Module]:
    """Return the layers of a module whose sums go over all processes."""
    return [layer for layer in module.modules() if type(layer) in PLAIN]


@contextmanager
def sync_batch_norm(module: nn.Module, processes: Processes) -> Iterator[None]:
    """Let the batch normalisation of a module see the images of all processes, within the block.

    Weights, buffers and their names stay what they are. One process changes nothing.
    """
    layers = shared_layers(module) if processes.several else []
    for layer in layers:
        layer.forward = _Shared(layer, processes)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


class _Shared:
    """Takes the place of one layer's `forward`."""

    def __init__(self, layer: Any, processes: Processes) -> None:
        self.layer, self.processes = layer, processes

    def __call__(self, inputs: Tensor) -> Tensor:
        """Normalise by mean and variance over the images of all processes; in evaluation by the running ones."""
        layer = self.layer
        if not layer.training:
            plain: Tensor = type(layer).forward(layer, inputs)
            return plain
        values = inputs.float()
        dims = [dim for dim in range(values.dim()) if dim != 1]
        shape = [-1 if dim == 1 else 1 for dim in range(values.dim())]
        own = values.new_full((1,), values.numel() / values.shape[1])
        count = self.processes.all_reduce(own)
        mean = _total(values.sum(dims), self.processes) / count
        centered = values - mean.view(shape)
        variance = _total(centered.square().sum(dims), self.processes) / count
        self._keep(mean.detach(), (variance.detach() * (count / (count - 1))))
        outputs = centered * (variance + layer.eps).rsqrt().view(shape)
        if layer.affine:
            outputs = outputs * layer.weight.view(shape) + layer.bias.view(shape)
        normalised: Tensor = outputs.to(inputs.dtype)
        return normalised

    @torch.no_grad()
    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running mean and variance towards those of this batch, as the layer itself does."""
        layer = self.layer
        if not layer.track_running_stats:
            return
        layer.num_batches_tracked.add_(1)
        factor = 1.0 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
        layer.running_mean.lerp_(mean, factor)
        layer.running_var.lerp_(variance, factor)
