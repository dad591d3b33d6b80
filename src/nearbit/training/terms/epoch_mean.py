"""The mean of a term of the loss over an epoch."""

from typing import final

import torch
from torch import Tensor


@final
class EpochMean:
    """Adds up what a term was for each batch; the values stay on the device until the mean is asked for."""

    def __init__(self) -> None:
        self._values: list[Tensor] = []
        self._sizes: list[int] = []

    def add(self, value: Tensor, size: int) -> None:
        """Add the mean of a batch of `size` images: a number."""
        self._values.append(value.detach())
        self._sizes.append(size)

    def figures(self, name: str) -> dict[str, float]:
        """Return the mean over the images under a name; nothing where none were added."""
        if not self._values:
            return {}
        values = torch.stack(self._values).tolist()
        total = sum(value * size for value, size in zip(values, self._sizes, strict=True))
        return {name: total / sum(self._sizes)}
