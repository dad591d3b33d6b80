"""A similarity of classes to set the centers of a run beside: for the record only, nothing is trained by it."""

import numpy as np
import numpy.typing as npt

from nearbit.centers import similarity_from_prototypes
from nearbit.encoding.feature_cache import FloatRows
from nearbit.methods import Similarity


def reference_similarity(features: FloatRows, labels: npt.NDArray[np.bool_]) -> Similarity | None:
    """Return the cosines of the mean features of classes; None where they tell no two pairs of classes apart.

    Args:
        features: float32 `(n, feature_dim)` of training images.
        labels: bool `(n, n_classes)`, each class with an image.

    Returns:
        float64 `(n_classes, n_classes)`, or None for fewer than three classes, a mean of 0, or equal cosines.
    """
    means = (labels.T.astype(np.float64) @ features) / labels.sum(axis=0)[:, None]
    if len(means) < 3 or not np.linalg.norm(means, axis=1).all():
        return None
    similarity = similarity_from_prototypes(features, labels, scaling="plain")
    beside = similarity[~np.eye(len(similarity), dtype=bool)]
    return similarity if np.ptp(beside) > 1e-6 else None
