"""What drives learnt centers apart (IDCWH, DCDH): the likelihood that two of them are alike."""

from torch import Tensor
from torch.nn.functional import normalize, softplus


def center_push(centers: Tensor) -> Tensor:
    """Return the mean of log(1 + exp((K / 2) cos(m_c, m_c'))) over all pairs of different centers.

    Source: DCDH (Zhang, Zhe, Chen, Yan, Pattern Recognition 2021) as its authors' code computes it, but for the pairs
    of a center with itself, which that code counts as log 2 each: a constant of log 2 / (n_classes - 1).

    Args:
        centers: float `(n_classes, n_bits)`: m, any real numbers, at least two rows.

    Returns:
        A scalar, above 0; least where the cosines of all pairs are -1 / (n_classes - 1).
    """
    units = normalize(centers, dim=1)
    alike = softplus(centers.shape[1] / 2 * (units @ units.T))
    count = len(centers)
    apart = alike.flatten()[1:].view(count - 1, count + 1)[:, :-1]  # without the diagonal, and without a mask to count
    return apart.reshape(-1).mean()
