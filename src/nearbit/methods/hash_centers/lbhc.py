"""LBHC: fixed centers, and a learned joint posterior of blocks of bits in the place of one question a bit."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nearbit.centers import CenterState, Generator, csq_centers, mds_centers, random_signs
from nearbit.errors import InputError
from nearbit.losses.block_surrogate import (
    IndependentBits,
    JointBits,
    block_center_loss,
    block_sizes,
    fixed,
    negative_entropy,
    surrogate_loss,
    with_flips,
)
from nearbit.methods.method import LossModule, Method, Schedule, Targets, Task, check_choice, check_number

SURROGATES = ("joint", "alternating", "random", "independent")
MOST_BLOCK_BITS = 12


@dataclass(frozen=True, kw_only=True)
class LBHCOptions:
    """Options of LBHC; the defaults are those of the authors' code but for `surrogate` ("joint") and `centers`.

    Attributes:
        surrogate: "joint" trains the surrogate by its own loss and by that of the codes, "alternating" by its own
            alone, "random" leaves it as it was drawn (the control), "independent" is none: each bit for itself.
        centers: "csq", as in the authors' code, or "mds".
        block_bits: bits of a block; the last one has what is left.
        hidden: units of the surrogate's hidden layer; `dropout` behind it.
        flips: how many signs of noise the surrogate is trained with; None for (n_bits // 32)².
        permute_every: after how many epochs the bits are put into blocks anew; 0 for never.
        entropy_weight: weight of the entropy of a batch's mean posterior, which is made large.
    """

    surrogate: str = "alternating"
    centers: str = "mds"
    block_bits: int = 8
    hidden: int = 256
    dropout: float = 0.5
    flips: int | None = None
    permute_every: int = 1
    entropy_weight: float = 0.0

    def __post_init__(self) -> None:
        check_choice("surrogate", self.surrogate, SURROGATES)
        check_choice("centers", self.centers, ("csq", "mds"))
        check_number("block_bits", self.block_bits, at_least=1, whole=True)
        if self.block_bits > MOST_BLOCK_BITS:
            raise InputError(
                f"block_bits must be at most {MOST_BLOCK_BITS}, not {self.block_bits}: b bits have 2 ** b values"
            )
        check_number("hidden", self.hidden, at_least=1, whole=True)
        check_number("dropout", self.dropout, below=1)
        if self.flips is not None:
            check_number("flips", self.flips, whole=True)
        check_number("permute_every", self.permute_every, whole=True)
        check_number("entropy_weight", self.entropy_weight)


class BlockSurrogate(LossModule):
    """The surrogate, and the order in which the bits are put into its blocks."""

    order: Tensor

    def __init__(self, task: Task, options: LBHCOptions) -> None:
        super().__init__()
        sizes = block_sizes(task.n_bits, options.block_bits)
        self.n_flips = (task.n_bits // 32) ** 2 if options.flips is None else options.flips
        self.kind, self._permute_every = options.surrogate, options.permute_every
        independent = options.surrogate == "independent"
        self.mapper = IndependentBits(sizes) if independent else JointBits(sizes, options.hidden, options.dropout)
        if options.surrogate == "random":
            self.mapper.requires_grad_(False)
        self.register_buffer("order", torch.arange(task.n_bits))

    def begin(self, epoch: int, rng: Generator) -> None:
        """Put the bits into blocks anew, where it is time to; the first epoch has them as they are."""
        if self._permute_every and epoch and epoch % self._permute_every == 0:
            self.order.copy_(torch.from_numpy(rng.permutation(len(self.order))))

    @property
    def learns(self) -> bool:
        """Whether the surrogate is trained by its own loss."""
        return self.kind in ("joint", "alternating")

    def logits(self, outputs: Tensor) -> list[Tensor]:
        """Return the logits of each block, with gradients for its weights where the loss of the codes trains them."""
        made: list[Tensor] = self.mapper(outputs) if self.kind != "alternating" else fixed(self.mapper, outputs)
        return made

    def own_loss(self, outputs: Tensor) -> Tensor:
        """Return the loss of the surrogate itself; no gradient goes to the outputs."""
        return surrogate_loss(self.mapper(with_flips(outputs, self.n_flips)), with_flips(outputs, self.n_flips))


def _centers(task: Task, options: LBHCOptions, rng: Generator) -> CenterState:
    make = mds_centers if options.centers == "mds" else csq_centers
    return CenterState(centers=make(task.n_classes, task.n_bits, rng), tie_break=random_signs((task.n_bits,), rng))


def _check(task: Task, options: LBHCOptions) -> None:
    if options.flips is not None and options.flips > task.n_bits:
        raise InputError(f"flips must be at most the {task.n_bits} bits of a code, not {options.flips}")


def _loss(outputs: Tensor, labels: Tensor, targets: Targets, task: Task, options: LBHCOptions) -> Tensor:
    surrogate = targets.module
    assert isinstance(surrogate, BlockSurrogate)  # noqa: S101 - `module` below makes it
    outputs, centers = outputs[:, surrogate.order], targets.centers[:, surrogate.order]
    logits = surrogate.logits(outputs)
    loss = block_center_loss(logits, labels, centers)
    if surrogate.learns:
        loss = loss + surrogate.own_loss(outputs)
    if options.entropy_weight:
        loss = loss + options.entropy_weight * negative_entropy(logits)
    return loss


LBHC = Method(
    name="lbhc",
    title="LBHC: a learned joint posterior of blocks of bits, towards fixed centers",
    citation="Zhu et al., A Lower Bound of Hash Codes' Performance, NeurIPS 2022",
    options=LBHCOptions(),
    make_centers=_centers,
    center_options=("centers",),
    loss=_loss,
    module=BlockSurrogate,
    distinct=True,
    check=_check,
    schedules={
        "frozen": Schedule(epochs=20, batch_size=256, learning_rate=5e-3, least_steps=720),
        "fine-tuned": Schedule(epochs=100, batch_size=128, learning_rate=1e-3, backbone_factor=0.1),
        "scratch": Schedule(epochs=60, batch_size=64, learning_rate=2e-3),
    },
)
