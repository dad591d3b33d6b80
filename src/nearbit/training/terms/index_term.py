"""Terms beside any method's loss, for codes that an index finds with less work (MISH), and the signs they look at."""

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from nearbit.losses.pairwise.index_pairs import bit_distances, false_candidates, far_neighbours, pair_term, part_masks
from nearbit.training.options import TrainOptions
from nearbit.training.terms.epoch_mean import EpochMean

NEAREST = 100
"""How many neighbors of a whole data set a search is for; of a smaller memory its share."""

PART_BITS = 16
"""Bits of a part of a code, at most, as in a multi-index of 16-bit tables."""


@final
class IndexTerm(nn.Module):
    """The signs that the network last gave for each training image, and the two terms between a batch and them.

    Its state is part of checkpoints.
    """

    signs: Tensor
    masks: Tensor

    def __init__(self, options: TrainOptions, n_train: int, n_bits: int) -> None:
        super().__init__()
        self.options, self.n_bits = options, n_bits
        self.register_buffer("signs", torch.zeros(n_train, n_bits))
        self.register_buffer("masks", part_masks(n_bits, -(-n_bits // PART_BITS)))
        self._complete = False
        self._mean = EpochMean()

    def begin(self) -> None:
        """Get ready for an epoch."""
        self._mean = EpochMean()

    def term(self, outputs: Tensor, rows: Tensor, encode: Callable[[Tensor], Tensor]) -> Tensor | None:
        """Remember a batch, and return the weighted terms; None until all images were seen.

        Args:
            outputs: float `(n, n_bits)`: of one view of the batch.
            rows: int64 `(n,)`: places among the training images.
            encode: gives outputs, with gradients, of such places.
        """
        signs = torch.where(outputs.detach() >= 0, 1.0, -1.0)
        self.signs[rows] = signs
        self._complete = self._complete or bool(self.signs[:, 0].all())  # which once so remains so
        if not self._complete:
            return None
        value = self._terms(signs, encode)
        self._mean.add(value, len(rows))
        return value

    def _terms(self, signs: Tensor, encode: Callable[[Tensor], Tensor]) -> Tensor:
        k = min(NEAREST, len(self.signs))
        value = signs.new_zeros(())
        if self.options.candidate_weight:
            nearest = bit_distances(signs, self.signs).topk(k, dim=1, largest=False).values
            radii = nearest[:, -1].long()
            chosen = false_candidates(signs, self.signs, radii, self.masks)
            value = value + self.options.candidate_weight * pair_term(signs, chosen, encode, apart=True)
        if self.options.radius_weight:
            chosen = far_neighbours(signs, self.signs, k, 2 * len(self.masks) - 1)
            value = value + self.options.radius_weight * pair_term(signs, chosen, encode, apart=False)
        return value

    def figures(self) -> dict[str, Any]:
        """Return what the record of an epoch says: the mean of the terms with their weights, once there are some."""
        return self._mean.figures("index_loss")
