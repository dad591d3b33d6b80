"""What methods that reassign their centers look at after an epoch: each class's mean of signs or outputs."""

from typing import Literal, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from nearbit.training.distributed.processes import Processes


@final
class ClassMeans:
    """Means over the images of each class: of the signs of their outputs, or of the outputs.

    An image with several labels counts in each by its share, y / |y|₁. The sum of a batch is a float32 product on the
    device, exact for signs of images with one label; batches are added up in float64.
    """

    def __init__(self, n_classes: int, n_bits: int, of: Literal["signs", "outputs"], device: torch.device) -> None:
        self._of, self._n_bits = of, n_bits
        dtype = torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no float64
        self._sums = torch.zeros(n_classes, n_bits + 1, dtype=dtype, device=device)

    def add(self, labels: Tensor, outputs: Tensor) -> None:
        """Add a batch.

        Args:
            labels: float32 `(n, n_classes)`, 0 or 1, at least one 1 in each row.
            outputs: float `(n, n_bits)`, or more columns behind these; an output 0 has the sign +1.
        """
        values = outputs[:, : self._n_bits].float()
        if self._of == "signs":
            values = torch.where(values >= 0, 1.0, -1.0)
        weights = labels / labels.sum(dim=1, keepdim=True)
        self._sums += weights.T @ pad(values, (0, 1), value=1.0)

    def means(self, processes: Processes) -> npt.NDArray[np.float64]:
        """Return the means over the images of all processes: `(n_classes, n_bits)`; 0 for a class without images."""
        sums = processes.all_reduce_array(self._sums.cpu().double().numpy())
        return np.asarray(sums[:, :-1] / np.maximum(sums[:, -1:], 1e-12))
