"""Pairwise likelihood (DPSH): the inner product of two outputs says whether two images share a label."""

from torch import Tensor

from nearbit.losses.pairwise.pairs import mean_of_pairs, negative_log_likelihood, shares_label


def pair_likelihood(
    outputs: Tensor, labels: Tensor, memory: Tensor, memory_labels: Tensor, *, balanced: bool = False
) -> Tensor:
    """Return the mean of log(1 + exp(θ)) - s · θ over the pairs of batch and memory, θ = u · v / 2.

    s is 1 where the two share a label. A row of the memory without labels was not seen yet and is in no pair.

    Source: DPSH (Li et al., IJCAI 2016), the negative log-likelihood of pairwise labels; there a sum.

    Args:
        outputs: float `(n, n_bits)`: u, before any tanh.
        labels: float `(n, n_classes)`, 0 or 1.
        memory: float `(m, n_bits)`: v; it gets no gradient of its own.
        memory_labels: float `(m, n_classes)`, 0 or 1.
        balanced: similar pairs and the others have each a mean of their own, and these are added.

    Returns:
        A scalar, at least 0; 0 where there is no pair.
    """
    logits = outputs @ memory.T / 2
    similar = shares_label(labels, memory_labels)
    seen = memory_labels.any(dim=1)
    return mean_of_pairs(negative_log_likelihood(logits, similar), similar, seen, balanced=balanced)
