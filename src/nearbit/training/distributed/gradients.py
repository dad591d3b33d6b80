"""Gradients summed over processes in buckets, while the backward pass still computes those of earlier layers.

Why not torch's `DistributedDataParallel`: it wraps one forward pass, and here the network makes outputs several times a
step (views, attacks, terms of their own) and in evaluation mode; it takes means, where parts of a batch differ in size;
weights of a loss are no part of it; and where one process has no gradient of a weight, it searches the graph at each
step. The buckets, their order and their sizes are as there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import final

import torch
from torch import Tensor

from nearbit.errors import TrainingError
from nearbit.training.distributed.processes import Channel, Processes

LEAST_BYTES, MOST_BYTES = 2**20, 25 * 2**20
"""A bucket is a quarter of all gradients within these bounds: a message costs a wait, and the last overlaps nothing."""


@final
class GradientExchange:
    """Sums of the gradients of weights over all processes.

    Buckets hold weights from last to first, as backward passes reach them, and are sent in that order in every process:
    a bucket waits for those before it, so that no process can send another one first. Beside its gradients a bucket
    says which weights have one, for a weight may have none in one process (a layer that was not used for its images):
    there it counts as 0. A weight without a gradient in all processes has none after it.

    Only backward passes within `during` are exchanged; any other leaves gradients alone, and must not be in it.
    """

    def __init__(
        self, weights: Iterable[Tensor], channel: Channel, bucket_bytes: int | None = None, *, ahead: bool = True
    ) -> None:
        """Sort the weights into buckets.

        Args:
            weights: all that may have gradients, in the order of use, the same in all processes.
            channel: what sums over the processes, used by nothing else: what is exchanged within the backward pass
                besides (batch normalisation) may come before a bucket in one process and after it in another.
            bucket_bytes: the size of a bucket; by default it follows that of all.
            ahead: whether buckets are sent within the backward pass; otherwise all of them after it.
        """
        self._weights = [weight for weight in dict.fromkeys(weights) if weight.requires_grad][::-1]
        self._buckets = cut_buckets(self._weights, bucket_bytes)
        self._bucket_of = {weight: number for number, bucket in enumerate(self._buckets) for weight in bucket}
        self._channel, self._ahead, self._armed = channel, ahead, False
        self._missing: list[set[Tensor]] = []
        self._sent: list[Callable[[], Tensor]] = []

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Hear of each gradient that is ready, in the block."""
        with ExitStack() as hooks:
            for weight in self._weights:
                hook = weight.register_post_accumulate_grad_hook(self._ready)  # type: ignore[no-untyped-call]
                hooks.callback(hook.remove)
            yield

    @contextmanager
    def during(self) -> Iterator[None]:
        """Exchange the gradients of the one backward pass in the block, whose weights have no gradients before.

        After it all gradients are the sums; an error in it leaves them as they are.
        """
        self._missing, self._sent = [set(bucket) for bucket in self._buckets], []
        self._armed = True
        try:
            yield
        finally:
            self._armed = False
        self._missing = [set() for _ in self._buckets]
        self._send()
        for bucket, total in zip(self._buckets, self._sent, strict=True):
            _take(bucket, total())
        self._sent = []

    def _ready(self, weight: Tensor) -> None:
        if not self._armed:
            return
        number = self._bucket_of[weight]
        if number < len(self._sent):
            raise TrainingError(
                f"a weight of shape {tuple(weight.shape)} got another gradient after the sum over the processes had "
                "begun: checkpoints that re-enter the backward pass do that; take use_reentrant=False, or train in one "
                "process"
            )
        self._missing[number].discard(weight)
        if self._ahead:
            self._send()

    def _send(self) -> None:
        """Send what is ready, unless one before it is not."""
        while len(self._sent) < len(self._buckets) and not self._missing[len(self._sent)]:
            self._sent.append(self._channel.begin_sum(_packed(self._buckets[len(self._sent)])))


@contextmanager
def gradient_exchange(
    weights: Iterable[Tensor], processes: Processes, *, shares_norms: bool = False
) -> Iterator[GradientExchange | None]:
    """Give an exchange of the gradients of weights for the block; None where the process is alone.

    Args:
        weights: as for `GradientExchange`.
        processes: those that exchange.
        shares_norms: whether batch normalisation is summed up within the backward pass. Over NCCL, where two channels
            at once may wait for each other for ever, buckets are then sent after it.
    """
    if not processes.several:
        yield None
        return
    with processes.channel() as channel:
        ahead = processes.keeps_channels_apart or not shares_norms
        exchange = GradientExchange(weights, channel, ahead=ahead)
        with exchange.hooked():
            yield exchange


def cut_buckets(weights: Sequence[Tensor], bucket_bytes: int | None = None) -> list[list[Tensor]]:
    """Return the weights in buckets, in order: of one dtype and device each, and full before the next one begins.

    Args:
        weights: in the order in which they are sent.
        bucket_bytes: a bucket is full where one more weight would make it larger; by default a quarter of all, from
            1 to 25 MB. A weight that is larger has a bucket of its own.
    """
    if bucket_bytes is None:
        bucket_bytes = min(max(sum(weight.nbytes for weight in weights) // 4, LEAST_BYTES), MOST_BYTES)
    buckets: list[list[Tensor]] = []
    filled = 0
    for weight in weights:
        alike = bool(buckets) and (buckets[-1][0].dtype, buckets[-1][0].device) == (weight.dtype, weight.device)
        if not alike or filled + weight.nbytes > bucket_bytes:
            buckets.append([])
            filled = 0
        buckets[-1].append(weight)
        filled += weight.nbytes
    return buckets


def _packed(bucket: list[Tensor]) -> Tensor:
    """Return the gradients of a bucket in one row, and a 1 or a 0 for each weight: whether it has one."""
    gradients = [
        weight.new_zeros(weight.numel()) if weight.grad is None else weight.grad.reshape(-1) for weight in bucket
    ]
    has = bucket[0].new_ones(len(bucket))
    for place, weight in enumerate(bucket):
        if weight.grad is None:
            has[place] = 0
    return torch.cat([*gradients, has])


def _take(bucket: list[Tensor], total: Tensor) -> None:
    """Give the weights of a bucket the sums of their gradients; one that none of the processes has stays away."""
    *parts, has = torch.split(total, [*(weight.numel() for weight in bucket), len(bucket)])
    for place, (weight, part) in enumerate(zip(bucket, parts, strict=True)):
        if weight.grad is not None:
            weight.grad.copy_(part.view_as(weight))
        elif bool(has[place] > 0):  # asked only where this process has none, so that a GPU need not wait
            weight.grad = torch.empty_like(weight).copy_(part.view_as(weight))
