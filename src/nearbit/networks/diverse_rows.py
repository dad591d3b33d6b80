"""A few rows of many that differ from each other as much as can be: a determinantal point process, greedily."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

SPENT = 1e-6
"""Below this squared length nothing new is left in a direction."""


def diverse_rows(rows: Tensor, mean: Tensor, count: int) -> Tensor:
    """Return rows that a determinantal point process over their cosines holds likely together, chosen greedily.

    The first is the one nearest to the mean in angle; each next one is that whose unit vector is furthest from the
    space of those before it, which multiplies the determinant of their cosines by the most. Where no direction is
    left, the mean itself fills up. Deterministic; of equals the first.

    Source: the greedy search of Chen, Zhang, Zhou, Fast Greedy MAP Inference for Determinantal Point Process, NeurIPS
    2018, written as Gram-Schmidt.

    Args:
        rows: float `(n, width)`, at least one.
        mean: float `(width,)`: their mean.
        count: how many, at least 0.

    Returns:
        float `(count, width)`.
    """
    left = normalize(rows, dim=1)
    length = left @ normalize(mean, dim=0)
    chosen: list[Tensor] = []
    while len(chosen) < min(count, len(rows)):
        best = int(length.argmax())
        if float((left[best] ** 2).sum()) < SPENT:
            break
        chosen.append(rows[best])
        unit = normalize(left[best], dim=0)
        left = left - torch.outer(left @ unit, unit)
        length = (left**2).sum(dim=1)
    chosen += [mean] * (count - len(chosen))
    return torch.stack(chosen) if chosen else rows[:0]
