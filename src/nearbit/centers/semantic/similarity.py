"""Similarity of classes (SHC's first stage): from a classifier's logits, from features, or from embeddings of names."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from nearbit.errors import InputError
from nearbit.given import check_choice

Values = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
Step = Literal["normalize", "symmetrize"]
IMAGES_AT_ONCE = 65536


@dataclass(frozen=True, kw_only=True)
class SimilarityRule:
    """How logits become a similarity; the defaults are the paper's.

    Attributes:
        mask: the logits that are left out of an image's softmax: of the class that is predicted, or of its label.
        pool: an image's class gets the mean, or the sum, of the masked softmaxes; sums of large classes weigh more.
        steps: what is done to the rows, in order. Where the last step is "normalize" the result is not symmetric.
    """

    mask: Literal["predicted", "label"] = "predicted"
    pool: Literal["mean", "sum"] = "mean"
    steps: tuple[Step, ...] = ("normalize", "symmetrize")

    def __post_init__(self) -> None:
        check_choice("mask", self.mask, ("predicted", "label"))
        check_choice("pool", self.pool, ("mean", "sum"))
        if not self.steps or not set(self.steps) <= {"normalize", "symmetrize"}:
            raise InputError(f"steps must be some of 'normalize' and 'symmetrize', not {self.steps!r}")


RULES = {
    "paper": SimilarityRule(),
    "released": SimilarityRule(mask="label", pool="sum", steps=("symmetrize", "normalize")),
}
"""The rule that the paper prints, and the one that the authors' released code follows."""


def similarity_from_logits(
    logits: npt.ArrayLike, labels: npt.ArrayLike, *, order: Literal["paper", "released"] | SimilarityRule = "paper"
) -> Values:
    """Return the similarity of classes that a classifier's mistakes show.

    By the paper's rule, the largest logit of each image is masked, so that its softmax says what the image looks like
    besides; these are averaged over the images of a class. A row is then moved and scaled into -1 to 1 by
    (s - mean) / max(|max - mean|, |min - mean|), both halves are averaged, and the diagonal becomes 1.

    Source: SHC (arXiv 2507.08404), equations 2 to 12. Deterministic. Differs from the authors' code: theirs is
    `order="released"`, see `RULES`. The paper is silent on images with several labels. Here such an image counts for
    each of its classes, as many logits are masked as it has labels (the largest ones, or those of the labels), and an
    image without labels or with every label is left out.

    Args:
        logits: real numbers `(n, n_classes)`, finite: before any softmax.
        labels: class numbers `(n,)`, or bool `(n, n_classes)`.
        order: "paper", "released", or a rule of one's own.

    Returns:
        float64 `(n_classes, n_classes)`, -1 to 1, diagonal 1; symmetric unless the rule's last step is "normalize".

    Raises:
        InputError: a logit is not finite, fewer than two classes, a label out of range, a class without images, or a
            class that is equally similar to all.
    """
    values = _check_rows(logits, "logits")
    rule = _rule(order)
    marked = label_matrix(labels, len(values), values.shape[1])
    counts = marked.sum(axis=1)
    used = (counts > 0) & (counts < values.shape[1])
    _check_images(marked[used])
    rows = _pooled(values[used], marked[used], rule)
    for step in rule.steps:
        rows = (rows + rows.T) / 2 if step == "symmetrize" else normalized_rows(rows)
    np.fill_diagonal(rows, 1)
    return rows


def _rule(order: str | SimilarityRule) -> SimilarityRule:
    if isinstance(order, SimilarityRule):
        return order
    check_choice("order", order, tuple(RULES))
    return RULES[order]


def _pooled(values: Values, marked: Labels, rule: SimilarityRule) -> Values:
    """Return the mean or the sum of the masked softmaxes of each class's images: `(n_classes, n_classes)`."""
    total = np.zeros((values.shape[1], values.shape[1]))
    for start in range(0, len(values), IMAGES_AT_ONCE):
        part, of_part = values[start : start + IMAGES_AT_ONCE], marked[start : start + IMAGES_AT_ONCE]
        masked = of_part if rule.mask == "label" else _largest(part, of_part.sum(axis=1))
        total += of_part.T.astype(np.float64) @ _softmax(np.where(masked, -np.inf, part))
    return total / marked.sum(axis=0)[:, None] if rule.pool == "mean" else total


def _largest(values: Values, how_many: npt.NDArray[np.int64]) -> Labels:
    """Return which values are among the largest `how_many` of their row; of equal ones the first."""
    rank = np.empty(values.shape, np.int64)
    order = np.argsort(-values, axis=1, kind="stable")
    np.put_along_axis(rank, order, np.arange(values.shape[1])[None], axis=1)
    return rank < how_many[:, None]


def _softmax(values: Values) -> Values:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def normalized_rows(rows: Values, *, with_diagonal: bool = True) -> Values:
    """Return rows less their mean, divided by the largest deviation: -1 to 1.

    Args:
        rows: `(n_classes, n_classes)`.
        with_diagonal: whether the entry on the diagonal counts in the mean and the deviation, as in the paper.

    Raises:
        InputError: all that counts in a row is the same.
    """
    counted = np.ones(rows.shape, bool) if with_diagonal else ~np.eye(len(rows), dtype=bool)
    middle = np.mean(rows, axis=1, keepdims=True, where=counted)
    reach = np.max(np.abs(rows - middle), axis=1, keepdims=True, where=counted, initial=0)
    if (reach <= 1e-12 * np.maximum(np.abs(middle), 1)).any():
        row = int(np.flatnonzero(reach[:, 0] <= 1e-12 * np.maximum(np.abs(middle[:, 0]), 1))[0])
        raise InputError(f"class {row} is equally similar to all classes: its row cannot be scaled into -1 to 1")
    return np.asarray((rows - middle) / reach)


def similarity_from_prototypes(
    features: npt.ArrayLike, labels: npt.ArrayLike, *, scaling: Literal["rows", "plain"] = "rows"
) -> Values:
    """Return the similarity of classes by the mean feature of each class's images; no classifier is needed.

    Args:
        features: real numbers `(n, width)`, finite.
        labels: class numbers `(n,)`, each of 0 to the largest used; or bool `(n, n_classes)`, where an image counts for
            each of its classes.
        scaling: see `similarity_from_embeddings`.

    Returns:
        float64 `(n_classes, n_classes)`, symmetric, -1 to 1, diagonal 1. Deterministic.

    Raises:
        InputError: as `similarity_from_logits`, and a class whose mean feature is 0.
    """
    values = _check_rows(features, "features")
    given = np.asarray(labels)
    n_classes = given.shape[1] if given.ndim == 2 else int(given.max(initial=-1)) + 1
    marked = label_matrix(given, len(values), n_classes)
    _check_images(marked)
    means = (marked.T.astype(np.float64) @ values) / marked.sum(axis=0)[:, None]
    return similarity_from_embeddings(means, scaling=scaling)


def similarity_from_embeddings(vectors: npt.ArrayLike, *, scaling: Literal["rows", "plain"] = "rows") -> Values:
    """Return the similarity of classes by one vector each, such as an embedding of its name: cosines, scaled.

    Args:
        vectors: real numbers `(n_classes, width)`, finite, none of them 0.
        scaling: "rows" scales each row of cosines, without its diagonal, as SHC scales its rows, and averages both
            halves: the least similar classes come near -1 whatever the level of the cosines. "plain" keeps the cosines.

    Returns:
        float64 `(n_classes, n_classes)`, symmetric, -1 to 1, diagonal 1. Deterministic.

    Raises:
        InputError: fewer than two vectors, one that is 0 or not finite; two classes under "rows", which then say
            nothing; or a class equally similar to all.
    """
    check_choice("scaling", scaling, ("rows", "plain"))
    values = _check_rows(vectors, "vectors")
    check_class_count(len(values))
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if not lengths.all():
        raise InputError(f"the vector of class {int(np.flatnonzero(lengths == 0)[0])} is 0 and has no direction")
    unit = values / lengths
    rows = np.clip(unit @ unit.T, -1, 1)
    if scaling == "rows":
        rows = normalized_rows(rows, with_diagonal=False)
    rows = (rows + rows.T) / 2
    np.fill_diagonal(rows, 1)
    return np.asarray(rows)


def similarity_from_distances(values: npt.ArrayLike, labels: npt.ArrayLike) -> Values:
    """Return exp(-|m_i - m_j|² / (2 κ²)) of the mean rows m of classes, κ their mean distance.

    Source: HCLM (Morgado et al., IJCV 2020), where the rows are features of a fine-tuned network. Deterministic.

    Args:
        values: real numbers `(n, width)`, finite: features, or logits.
        labels: class numbers `(n,)`, each of 0 to the largest used; or bool `(n, n_classes)`, where an image counts for
            each of its classes.

    Returns:
        float64 `(n_classes, n_classes)`, symmetric, 0 to 1, diagonal 1.

    Raises:
        InputError: fewer than two classes, a class without images, or means that are all the same.
    """
    rows = _check_rows(values, "values")
    given = np.asarray(labels)
    n_classes = given.shape[1] if given.ndim == 2 else int(given.max(initial=-1)) + 1
    marked = label_matrix(given, len(rows), n_classes)
    _check_images(marked)
    means = (marked.T.astype(np.float64) @ rows) / marked.sum(axis=0)[:, None]
    distances = np.stack([np.linalg.norm(means - mean, axis=1) for mean in means])
    width = distances.sum() / (n_classes * (n_classes - 1))
    if width <= 1e-12 * max(float(np.abs(means).max()), 1e-300):
        raise InputError("the mean features of all classes are the same: they say nothing of how alike classes are")
    return np.asarray(np.exp(-np.square(distances / width) / 2))


def similarity_from_shared_images(labels: npt.NDArray[np.bool_]) -> Values:
    """Return Dice's 2 n_ij / (n_i + n_j) of classes i and j: how many images have both, of those that have either.

    Source: HCLM (Morgado et al., IJCV 2020), for images with several tags. Deterministic.

    Args:
        labels: bool `(n, n_classes)`.

    Returns:
        float64 `(n_classes, n_classes)`, symmetric, 0 to 1, diagonal 1.

    Raises:
        InputError: fewer than two classes, or a class without images.
    """
    check_class_count(labels.shape[1])
    _check_images(labels)
    both = labels.T.astype(np.float64) @ labels
    counts = np.diagonal(both)
    return np.asarray(2 * both / (counts + counts[:, None]))


def check_class_count(n_classes: int) -> None:
    """Raise `InputError` for fewer than two classes, between which there is no similarity."""
    if n_classes < 2:
        raise InputError(f"a similarity of classes needs at least 2 classes, not {n_classes}")


def _check_rows(values: npt.ArrayLike, name: str) -> Values:
    given = np.asarray(values)
    if given.dtype.kind not in "fiu":
        raise InputError(f"{name} must be real numbers, not {given.dtype}")
    if given.ndim != 2 or 0 in given.shape:
        raise InputError(f"{name} must have the shape (rows, columns), neither of them 0, not {given.shape}")
    if not np.isfinite(given).all():
        bad = int(given.size - np.isfinite(given).sum())
        raise InputError(f"{name} must be finite: {bad} of {given.size} values are NaN or infinite")
    return given.astype(np.float64, copy=False)


def label_matrix(labels: npt.ArrayLike, n_images: int, n_classes: int) -> Labels:
    """Return labels as bool `(n_images, n_classes)`, from that or from class numbers `(n_images,)`."""
    check_class_count(n_classes)
    given = np.asarray(labels)
    if given.dtype == np.bool_ and given.shape == (n_images, n_classes):
        return given
    if given.dtype.kind not in "iu" or given.shape != (n_images,):
        raise InputError(
            f"labels must be class numbers ({n_images},) or bool ({n_images}, {n_classes}), not {given.dtype} "
            f"{given.shape}"
        )
    wrong = given[(given < 0) | (given >= n_classes)]
    if len(wrong):
        raise InputError(f"labels must be 0 to {n_classes - 1}: {int(wrong[0])} is out of range")
    return np.asarray(given[:, None] == np.arange(n_classes))


def _check_images(marked: Labels) -> None:
    empty = np.flatnonzero(~marked.any(axis=0))
    if len(empty):
        raise InputError(
            f"{len(empty)} of {marked.shape[1]} classes have no image that tells about them, such as class "
            f"{int(empty[0])}: leave the class out, or add images"
        )
