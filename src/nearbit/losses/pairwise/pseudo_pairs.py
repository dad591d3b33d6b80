"""Pairs of images without labels: a similarity guessed from features, how sure it is, and the losses of CIMON."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from torch.special import ndtr


class Distances(NamedTuple):
    """How the cosine distances of features lie.

    Attributes:
        threshold: up to it a pair counts as similar.
        mode: their most frequent value.
        below, above: the standard deviations of two Gaussians around the mode: the smaller distances are the left half
            of one, and the larger ones the right half of the other.
    """

    threshold: float
    mode: float
    below: float
    above: float


def confidence(distances: Tensor, of: Distances) -> Tensor:
    """Return how sure the similarity of pairs is: 0 at the threshold, growing away from it, from 0 to 1.

    With Φ1 and Φ2 the distribution functions of the two Gaussians and t the threshold it is (Φ1(t) - Φ1(d)) / Φ1(t) for
    d <= t, and (Φ2(d) - Φ2(t)) / (1 - Φ2(t)) for d > t.

    Source: CIMON (Luo et al., IJCAI 2021), as its authors' code computes it; the paper divides by Φ1(t) - Φ1(0) and
    Φ2(2) - Φ2(t).
    """
    threshold = distances.new_full((), of.threshold)
    near, near_limit = (ndtr((value - of.mode) / of.below) for value in (distances, threshold))
    # 1 - Φ(x) is Φ(-x), which keeps its digits far out
    far, far_limit = (ndtr((of.mode - value) / of.above) for value in (distances, threshold))
    least = torch.finfo(distances.dtype).tiny
    similar = (near_limit - near) / near_limit.clamp(min=least)
    apart = (far_limit - far) / far_limit.clamp(min=least)
    return torch.where(distances <= threshold, similar, apart).clamp(0, 1)


def pseudo_similarity(features: Tensor, clusters: Tensor, of: Distances) -> tuple[Tensor, Tensor]:
    """Return for all pairs of a batch a similarity of -1 or +1 and its weight: both `(n, n)`.

    Two images are similar where the cosine distance of their features is at most the threshold. The weight is the
    confidence, and 0 where being in one cluster says otherwise.

    Args:
        features: float `(n, feature_dim)`, rows of length 1.
        clusters: int64 `(n,)`: of each image.
        of: how the distances lie.
    """
    distances = 1 - features @ features.T
    similar = distances <= of.threshold
    agrees = similar == (clusters[:, None] == clusters)
    return torch.where(similar, 1.0, -1.0).to(features), confidence(distances, of) * agrees


def weighted_similarity_loss(codes: Tensor, similarity: Tensor, weights: Tensor) -> Tensor:
    """Return the mean over all pairs of w (⟨b_i, b_j⟩ / n_bits - s)².

    Args:
        codes: float `(n, n_bits)`, in [-1, 1].
        similarity, weights: `(n, n)`.
    """
    return (weights * (codes @ codes.T / codes.shape[1] - similarity).square()).mean()


def view_contrast(one: Tensor, other: Tensor, *, temperature: float) -> Tensor:
    """Return NT-Xent between two views: which of the 2n - 1 other codes is that of the same image's other view.

    It is the mean over all 2n codes of the cross-entropy of cosines divided by the temperature.

    Source: SimCLR (Chen et al., ICML 2020), equation 1.

    Args:
        one, other: float `(n, n_bits)`: codes of the same images.
        temperature: above 0.
    """
    rows, n = normalize(torch.cat([one, other]), dim=1), len(one)
    own = torch.eye(2 * n, dtype=torch.bool, device=rows.device)
    logits = (rows @ rows.T / temperature).masked_fill(own, -torch.inf)
    return cross_entropy(logits, (torch.arange(2 * n, device=rows.device) + n) % (2 * n))
