"""Signs that a gradient passes as if they were not there (GreedyHash)."""

import torch
from torch import Tensor


def straight_through(outputs: Tensor) -> Tensor:
    """Return sign(u), whose gradient is that of u: float `(n, n_bits)`, -1 or +1 (+1 for 0).

    Source: GreedyHash (Su et al., NeurIPS 2018), equations 5 and 6.
    """
    signs = torch.where(outputs >= 0, 1.0, -1.0).to(outputs)
    return outputs + (signs - outputs).detach()
