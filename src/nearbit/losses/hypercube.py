"""The constraints of DCWH: outputs inside a cube around 0, and near one of its vertices."""

import torch
from torch import Tensor
from torch.nn.functional import relu


def hypercube(outputs: Tensor, *, side: float) -> Tensor:
    """Return the mean over images of sum_k max(|u_k| - side, 0), which is what lies outside of the cube.

    Source: DCWH (arXiv 1803.04137). Differs from the authors' code: by the order of its operators only one of the two
    sides is divided by the number of images, and then both are divided once more.

    Args:
        outputs: float `(n, n_bits)`.
        side: half the length of an edge, at least 0; 1.1 in that code.
    """
    return relu(outputs.abs() - side).sum(dim=1).mean()


def vertex_distance(outputs: Tensor) -> Tensor:
    """Return the mean over images of |u - sign(u)|², the squared distance to the nearest vertex (sign 0 is +1).

    Source: DCWH (arXiv 1803.04137), whose code sums over bits; IDCWH's quantization.

    Args:
        outputs: float `(n, n_bits)`.
    """
    signs = torch.where(outputs >= 0, 1.0, -1.0).to(outputs)
    return ((outputs - signs) ** 2).sum(dim=1).mean()
