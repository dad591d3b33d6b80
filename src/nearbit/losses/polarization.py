"""Polarization (DPN): every output is to lie beyond a margin, on the side of its target bit."""

from torch import Tensor


def polarization(outputs: Tensor, labels: Tensor, centers: Tensor, *, margin: float = 1.0) -> Tensor:
    """Return the mean over images of the hinges max(margin - u · h, 0), summed over bits and over the image's labels.

    Where |u| is at least the margin everywhere and signs agree, the loss is 0: it leaves nothing to quantize.

    Source: DPN (Fan et al., IJCAI 2020), in the form of the author's code: a sum over bits, and for several labels a
    sum over the centers of the labels. Differs from the authors' code: none known.

    Args:
        outputs: float `(n, n_bits)`: u, before any tanh.
        labels: float `(n, n_classes)`, 0 or 1.
        centers: float `(n_classes, n_bits)`: h, -1 or +1.
        margin: at least 0.

    Returns:
        A scalar, at least 0.
    """
    votes = labels @ centers
    counts = labels.sum(dim=1, keepdim=True)
    plus, minus = (counts + votes) / 2, (counts - votes) / 2  # how many centers have +1, and -1, in each bit
    hinges = plus * (margin - outputs).clamp(min=0) + minus * (margin + outputs).clamp(min=0)
    return hinges.sum(dim=1).mean()
