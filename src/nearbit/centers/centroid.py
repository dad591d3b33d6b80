"""Centroids: one target for an image with several labels, by a vote of its centers on each bit."""

import numpy as np
import numpy.typing as npt

from nearbit.centers.state import Centers


def multi_label_centroids(labels: npt.NDArray[np.bool_], centers: Centers, tie_break: Centers) -> Centers:
    """Return the majority sign of each image's centers, bit by bit; even votes take the sign in `tie_break`.

    Source: CSQ (Yuan et al., CVPR 2020), equation 4. Deterministic. Differs from the authors' code: none known (theirs
    also breaks ties by one random vector shared by all images).

    Args:
        labels: bool `(n, n_classes)`; a row without labels gets `tie_break` itself.
        centers: int8 `(n_classes, n_bits)`.
        tie_break: int8 `(n_bits,)`.

    Returns:
        int8 `(n, n_bits)`.
    """
    votes = labels.astype(np.int32) @ centers.astype(np.int32)
    return np.where(votes == 0, tie_break, np.sign(votes)).astype(np.int8)
