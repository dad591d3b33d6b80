"""The pairwise term of MDS: images that share a label, one in the batch and one in a memory of all images."""

from torch import Tensor
from torch.nn.functional import normalize, softplus


def memory_pairs(outputs: Tensor, labels: Tensor, memory: Tensor, memory_labels: Tensor) -> Tensor:
    """Return the mean of log(1 + exp((1 - cos) / 2)) over the pairs of batch and memory that share a label.

    cos is the cosine of tanh outputs. Pairs without a common label have no part in it.

    Source: MDS (Wang et al., CVPR 2023), as its authors' code computes it.

    Args:
        outputs: float `(n, n_bits)`, before tanh.
        labels: float `(n, n_classes)`, 0 or 1.
        memory: float `(m, n_bits)`, before tanh; it gets no gradient of its own.
        memory_labels: float `(m, n_classes)`, 0 or 1; a row without labels is in no pair.

    Returns:
        A scalar from log 2 (all pairs have one direction) to log(1 + e); 0 where there is no pair.
    """
    shared = (labels @ memory_labels.T) > 0
    cosines = normalize(outputs.tanh(), dim=1) @ normalize(memory.tanh(), dim=1).T
    return (softplus((1 - cosines) / 2) * shared).sum() / shared.sum().clamp(min=1)
