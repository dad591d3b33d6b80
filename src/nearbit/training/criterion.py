"""What epochs, heads and methods are chosen by: the tie-aware mAP of validation images, asked as queries will be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from nearbit.codes import binarize, pack
from nearbit.datasets import Split
from nearbit.encoding.feature_cache import FloatRows
from nearbit.errors import InputError
from nearbit.metrics import cosine_average_precision, leave_one_out_average_precision, tie_aware_average_precision
from nearbit.metrics.separation import center_condition
from nearbit.training.inputs.batches import Positions, TrainingInputs
from nearbit.training.seeds import generator

VALIDATION_DATABASE = 5000
"""The most training images that validation images search."""

Searched = Literal["train", "validation"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Criterion:
    """Scores what a network makes of the validation images.

    A network has seen its training images, so their codes are far better than those of any others. Where queries will
    search images that the network was not trained on, validation images are therefore searched among themselves, each
    left out once; where most of what they search is training images, they search those.

    Attributes:
        searched: "train" or "validation".
        train_labels, validation_labels: bool `(n, n_classes)`.
        n_bits: length of the codes.
        seed: draws which training images are searched where there are more than 5,000.
        by: what ranks them: "codes", the signs of outputs, or the "cosine" of outputs as they are.
        by_heart: whether these are training images that queries will not search: then a score says how well they were
            learnt, and nothing of what queries get.
    """

    searched: Searched
    train_labels: npt.NDArray[np.bool_]
    validation_labels: npt.NDArray[np.bool_]
    n_bits: int
    seed: int
    by_heart: bool = False
    by: Literal["codes", "cosine"] = "codes"

    def positions(self) -> dict[str, Positions]:
        """Return which images of "train" and "validation" `score` wants the outputs of."""
        own = {"validation": np.arange(len(self.validation_labels))}
        if self.searched == "validation":
            return own
        return {"train": validation_database(len(self.train_labels), self.seed), **own}

    def measured(self, outputs: Callable[[str, Positions], FloatRows]) -> float:
        """Return `score` of what gives outputs float `(n, n_bits)` of images of a part, by position."""
        return self.score({part: outputs(part, at) for part, at in self.positions().items()})

    def score(self, outputs: dict[str, FloatRows]) -> float:
        """Return the tie-aware mAP for outputs float `(n, n_bits)` of `positions`."""
        if self.by == "cosine":
            return self.float_score(outputs)
        codes = {part: binarize(values) for part, values in outputs.items()}
        if self.searched == "validation":
            values = leave_one_out_average_precision(codes["validation"], self.validation_labels, self.n_bits)
            return float(values[shares_labels(self.validation_labels)].mean())
        database = self.train_labels[self.positions()["train"]]
        queries = (codes["validation"], self.validation_labels)
        return float(tie_aware_average_precision(*queries, codes["train"], database, self.n_bits).mean())

    def float_score(self, features: dict[str, FloatRows]) -> float:
        """Return what `score` says of codes, of the ranking by cosine of features of the same images."""
        own, labels = features["validation"], self.validation_labels
        if self.searched == "validation":
            values = cosine_average_precision(own, labels, own, labels, leave_one_out=True)
            return float(values[shares_labels(labels)].mean())
        database = self.train_labels[self.positions()["train"]]
        return float(cosine_average_precision(own, labels, features["train"], database).mean())


def check_chosen(criterion: Criterion | None, what: str, otherwise: str) -> None:
    """Raise `InputError` where something is to be chosen and no validation image has a label to choose it by.

    Args:
        criterion: of the run; None without labelled validation images.
        what: is chosen, such as "the best epoch".
        otherwise: what a person can do in the place of another split.
    """
    if criterion is None:
        raise InputError(
            f"{what} is chosen on validation images with labels, and the split has none: make a split with such, or "
            f"{otherwise}"
        )


TRAIN_ON = "train to the end (select 'last', --select last)"
"""What there is to do where no epoch can be chosen."""


def searched_by_validation(split: Split, labels: npt.NDArray[np.bool_], wanted: str) -> Searched:
    """Return what validation images search.

    Args:
        split: which images are trained on, validated, and in the database.
        labels: bool `(n_validation, n_classes)` of the validation images.
        wanted: "train", "validation", or "auto": themselves where less than half of the database is trained on and most
            of them share a label with another one.

    Raises:
        InputError: they are to search themselves, and none shares a label with another one.
    """
    others = shares_labels(labels)
    if wanted == "validation" and not others.any():
        raise InputError(
            "validation images can be searched among themselves only where some share a label: "
            "take more of them (--validation), or search the training images (--validate-against train)"
        )
    if wanted != "auto":
        return "train" if wanted == "train" else "validation"
    return "validation" if not is_trained_on(split) and others.sum() > len(others) / 2 else "train"


def is_trained_on(split: Split) -> bool:
    """Return whether at least half of what queries search is training images; so it is where nothing is said."""
    return not len(split.database) or bool(np.isin(split.database, split.train).mean() >= 0.5)


def validation_database(n_train: int, seed: int) -> Positions:
    """Return which training images validation searches: all, or 5,000 that the seed draws."""
    if n_train <= VALIDATION_DATABASE:
        return np.arange(n_train)
    return np.sort(generator(seed, "validation").choice(n_train, VALIDATION_DATABASE, replace=False))


def shares_labels(labels: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return for each image whether another one shares a label with it: bool `(n,)`."""
    return np.asarray((labels & (labels.sum(axis=0) > 1)).any(axis=1))


def validation_condition(
    inputs: TrainingInputs, module: nn.Module, labels: npt.NDArray[np.bool_], centers: npt.NDArray[np.int8]
) -> dict[str, Any] | None:
    """Return how codes of validation images lie around the centers of their classes; None without either.

    Args:
        inputs: of the module.
        module: makes outputs of them.
        labels: bool `(n, n_classes)` of the validation images.
        centers: int8 `(n_classes, n_bits)`, or none at all.
    """
    if len(centers) != labels.shape[1] or not len(labels):
        return None
    codes = binarize(inputs.outputs(module, "validation", np.arange(len(labels))))
    found = center_condition(codes, labels, pack(centers), centers.shape[1])
    return None if found is None else found.to_dict()


def accuracy(logits: FloatRows, labels: npt.NDArray[np.bool_]) -> float | None:
    """Return the share, of the images that have a label, of those one of whose labels has the largest logit.

    Args:
        logits: float `(n, n_classes)`.
        labels: bool `(n, n_classes)`.

    Returns:
        None where no image has a label.
    """
    known = np.flatnonzero(labels.any(axis=1))
    return float(labels[known, logits[known].argmax(axis=1)].mean()) if len(known) else None
