"""The terms of MLH that go over pairs: images of a batch by their labels, and two branches' codes of one image."""

from torch import Tensor
from torch.nn.functional import normalize

from nearbit.losses.pairwise.pairs import different_images, mean_of_pairs, negative_log_likelihood, shares_label


def batch_pair_likelihood(codes: Tensor, labels: Tensor, *, scale: float) -> Tensor:
    """Return the negative log-likelihood of which images of a batch share a label, a mean over pairs of two images.

    With θ_ij = scale / 2 · ⟨b_i, b_j⟩ it is the mean over i ≠ j of log(1 + exp θ_ij) − s_ij θ_ij, where s_ij is 1 for
    images that share a label, else 0.

    Args:
        codes: float `(n, n_bits)`, in [-1, 1].
        labels: float `(n, n_classes)`, 0 or 1.
        scale: above 0.

    Returns:
        A scalar, at least 0; 0 for one image alone.
    """
    similar = shares_label(labels, labels)
    terms = negative_log_likelihood(scale / 2 * (codes @ codes.T), similar)
    return mean_of_pairs(terms, similar, different_images(len(codes), codes.device), balanced=False)


def disagreement(codes: Tensor, others: Tensor) -> Tensor:
    """Return the mean of 1 − cos between two codes `(n, n_bits)` of each image: from 0 (parallel) to 2 (opposite)."""
    return (1 - (normalize(codes, dim=1) * normalize(others, dim=1)).sum(dim=1)).mean()
