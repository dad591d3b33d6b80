"""Triplet likelihood (DTSH): an image is to be more like one that shares a label than like one that does not."""

from torch import Tensor
from torch.nn.functional import softplus

from nearbit.losses.pairwise.pairs import different_images, shares_label


def triplet_likelihood(outputs: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Return the mean of log(1 + exp(-(θ_ap - θ_an - margin))) over the triplets of a batch, θ_ij = u_i · u_j / 2.

    a and p are two images that share a label, n is one that shares none with a. The mean is over the triplets of each
    anchor a, then over the anchors that have both p and n.

    Source: DTSH (Wang et al., ACCV 2016), the triplet label likelihood; there anchors meet all training images, and
    terms are summed.

    Takes memory for 3 · n · (images that share a label with an anchor) · n numbers.

    Args:
        outputs: float `(n, n_bits)`, before any tanh.
        labels: float `(n, n_classes)`, 0 or 1.
        margin: in units of θ, which for signs is n_bits / 2 less their distance in bits.

    Returns:
        A scalar, at least 0; 0 where a batch has no triplet.
    """
    theta = outputs @ outputs.T / 2
    similar = shares_label(labels, labels)
    beside = similar & different_images(len(outputs), outputs.device)
    anchors, positives = beside.nonzero(as_tuple=True)
    gaps = theta[anchors, positives][:, None] - theta[anchors]
    n_positives, n_negatives = beside.sum(dim=1), (~similar).sum(dim=1)
    sums = (softplus(margin - gaps) * ~similar[anchors]).sum(dim=1)
    means = sums / (n_positives * n_negatives)[anchors].clamp(min=1)
    complete = (n_positives > 0) & (n_negatives > 0)
    return means.sum() / complete.sum().clamp(min=1)
