"""What a person gives in the place of a stage, and what centers that change are compared with."""

from typing import Any

import numpy as np
import numpy.typing as npt

from nearbit.centers import check_similarity, similarity_from_embeddings
from nearbit.centers.semantic.loss import check_centers
from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import InputError
from nearbit.methods import Method, Similarity, Task
from nearbit.methods.closed_form.projections import unit_rows
from nearbit.methods.method import refuse_idle


def given_similarity(
    method: Method, options: Any, task: Task, similarity: npt.ArrayLike | None, usual: Any
) -> Similarity | None:
    """Return the similarity that a person gives, checked.

    Args:
        method: whose centers are to follow it.
        options: of the method.
        task: what is to be learnt.
        similarity: real numbers `(n_classes, n_classes)`, or None.
        usual: the options where nobody asks for any: the method's own, or those of a recipe.

    Raises:
        InputError: the centers follow none, an option would do nothing beside it, or it is of another form.
    """
    if similarity is None:
        return None
    if method.similarity is None:
        raise InputError(f"the centers of {method.name} follow no similarity: leave it out")
    if method.follows is not None and not method.follows(options):
        raise InputError(f"the centers of {method.name} follow no similarity by these options: leave it out, or them")
    refuse_idle(options, "the similarity of the classes is given", *method.similarity_options, usual=usual)
    return check_similarity(similarity, task.n_classes)[0]


def given_centers(
    method: Method, options: Any, task: Task, centers: npt.ArrayLike | None, usual: Any
) -> npt.NDArray[np.int8] | None:
    """Return the centers that a person gives, checked; see `given_similarity`."""
    if centers is None:
        return None
    if method.make_centers is None:
        raise InputError(f"{method.name} has no centers and takes none: leave them out")
    if method.moves_centers(options):
        raise InputError(f"{method.name} changes its centers while it trains and takes none: leave them out")
    idle = (*method.center_options, *method.similarity_options)
    refuse_idle(options, "the centers are given", *idle, usual=usual)
    given = check_centers(centers)
    if given.shape != (task.n_classes, task.n_bits):
        raise InputError(f"centers must have the shape {(task.n_classes, task.n_bits)}, not {given.shape}")
    if method.distinct and len(np.unique(given, axis=0)) < len(given):
        raise InputError(
            f"{method.name} tells classes apart by their centers, and some of these are equal: change them"
        )
    return given


def reference_similarity(features: FloatRows, labels: npt.NDArray[np.bool_]) -> Similarity | None:
    """Return the cosines of the mean features of classes; None where they tell no two pairs of classes apart.

    The means are of features at length 1, and an image with several labels counts in each class by its share. The
    correlation of centers with it is the PCC of CRH (arXiv 2511.12162), there of CLIP's features, in the form of a
    reading of the paper by others.

    Args:
        features: float32 `(n, feature_dim)` of training images.
        labels: bool `(n, n_classes)`, each class with an image.

    Returns:
        float64 `(n_classes, n_classes)`, or None for fewer than three classes, a mean of 0, or equal cosines.
    """
    unit = unit_rows(features.astype(np.float64))
    means = (labels / labels.sum(axis=1, keepdims=True)).T @ unit
    if len(means) < 3 or not np.linalg.norm(means, axis=1).all():
        return None
    similarity = similarity_from_embeddings(means, scaling="plain")
    beside = similarity[~np.eye(len(similarity), dtype=bool)]
    return similarity if np.ptp(beside) > 1e-6 else None
