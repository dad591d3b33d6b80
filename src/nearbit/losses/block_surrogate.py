"""The block surrogate of LBHC: the bits of a code in blocks, and the joint posterior of the bits of each block."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy


def block_sizes(n_bits: int, block_bits: int) -> list[int]:
    """Return how many bits each block has: `block_bits`, and the last one what is left."""
    return [min(block_bits, n_bits - start) for start in range(0, n_bits, block_bits)]


def values_of_blocks(outputs: Tensor, sizes: list[int]) -> Tensor:
    """Return the value of the signs of each block, its first bit the highest: int64 `(n, n_blocks)`.

    Args:
        outputs: float `(n, n_bits)`; 0 counts as +1.
        sizes: bits of each block; they add up to `n_bits`.
    """
    parts = torch.split((outputs >= 0).long(), sizes, dim=1)
    return torch.stack(
        [(part << torch.arange(part.shape[1] - 1, -1, -1, device=part.device)).sum(1) for part in parts], 1
    )


def with_flips(outputs: Tensor, n_flips: int) -> Tensor:
    """Return a copy of outputs `(n, n_bits)` in each row of which the signs of that many random places are turned.

    Places are drawn by torch's generator, without replacement. No gradient goes through; the outputs stay as they are.
    """
    noisy = outputs.detach().clone()
    places = torch.rand(outputs.shape, device=outputs.device).argsort(dim=1)[:, :n_flips]
    return noisy.scatter(1, places, -noisy.gather(1, places))


class IndependentBits(nn.Module):
    """No surrogate at all: the logit of a block's value is the sum of the outputs of those of its bits that are 1.

    Its cross-entropy is the sum over bits of BCE(sigmoid(u), t).
    """

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.sizes = sizes

    def forward(self, outputs: Tensor) -> list[Tensor]:
        """Map outputs `(n, n_bits)` to logits `(n, 2 ** bits)` of each block."""
        return [part @ _bits_of_values(part).T for part in torch.split(outputs, self.sizes, dim=1)]


class JointBits(nn.Module):
    """The surrogate of LBHC: for each block a small network from its outputs to the logits of all of its values.

    Args:
        sizes: bits of each block.
        hidden: units of the hidden layer.
        dropout: behind it.
    """

    def __init__(self, sizes: list[int], hidden: int, dropout: float) -> None:
        super().__init__()
        self.sizes = sizes
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(size, hidden), nn.SiLU(), nn.Dropout(dropout), nn.Linear(hidden, 2**size))
            for size in sizes
        )

    def forward(self, outputs: Tensor) -> list[Tensor]:
        """Map outputs `(n, n_bits)` to logits `(n, 2 ** bits)` of each block."""
        return [block(part) for block, part in zip(self.blocks, torch.split(outputs, self.sizes, dim=1), strict=True)]


def fixed(surrogate: nn.Module, outputs: Tensor) -> list[Tensor]:
    """Return what a surrogate makes of outputs, with gradients for them and none for its weights."""
    weights = {name: value.detach() for name, value in surrogate.named_parameters()}
    logits: list[Tensor] = functional_call(surrogate, weights, (outputs,))
    return logits


def block_center_loss(logits: list[Tensor], labels: Tensor, centers: Tensor) -> Tensor:
    """Return the cross-entropy between each block's posterior and the values of the centers of an image's labels.

    It is the sum over blocks of mean_n (Σ_c y_nc CE(logits, value of center c) / Σ_c y_nc): with several labels the
    mean of what their centers cost.

    Source: LBHC (Zhu et al., NeurIPS 2022), as its authors' code computes the hash loss.

    Args:
        logits: `(n, 2 ** bits)` of each block.
        labels: float `(n, n_classes)`, 0 or 1.
        centers: float `(n_classes, n_bits)`, -1 or +1.

    Returns:
        A scalar, at least 0.
    """
    shares = labels / labels.sum(dim=1, keepdim=True).clamp(min=1)
    values = values_of_blocks(centers, _sizes_of(logits))
    losses = [
        -(shares * block.log_softmax(dim=1)[:, of_centers]).sum(dim=1).mean()
        for block, of_centers in zip(logits, values.T, strict=True)
    ]
    return torch.stack(losses).sum()


def surrogate_loss(logits: list[Tensor], noisy: Tensor) -> Tensor:
    """Return the cross-entropy between each block's posterior and the values of noisy signs, summed over blocks.

    Args:
        logits: `(n, 2 ** bits)` of each block, made of outputs with other flips.
        noisy: float `(n, n_bits)`: outputs with flips of their own.
    """
    values = values_of_blocks(noisy, _sizes_of(logits))
    return torch.stack([cross_entropy(block, own) for block, own in zip(logits, values.T, strict=True)]).sum()


def negative_entropy(logits: list[Tensor]) -> Tensor:
    """Return minus the entropy of a batch's mean posterior, in nats, summed over blocks."""
    means = [block.softmax(dim=1).mean(dim=0) for block in logits]
    return torch.stack([torch.xlogy(mean, mean).sum() for mean in means]).sum()


def _sizes_of(logits: list[Tensor]) -> list[int]:
    return [block.shape[1].bit_length() - 1 for block in logits]


def _bits_of_values(like: Tensor) -> Tensor:
    """Return the bits of all values of as many bits as `like` has columns: `(2 ** bits, bits)`."""
    values = torch.arange(2 ** like.shape[1], device=like.device)
    return ((values[:, None] >> _places(like)) & 1).to(like.dtype)


def _places(like: Tensor) -> Tensor:
    """Return the place of each column's bit in the value of a block: the first one is the highest."""
    return torch.arange(like.shape[1] - 1, -1, -1, device=like.device)
