"""Long tails: training images thinned out so that the classes have as many as Zipf's law gives them."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearbit.datasets.dataset import Dataset
from nearbit.errors import DataError
from nearbit.given import check_number, keep_plain

RowNumbers = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Imbalance:
    """How unequal classes are: the c-th has n_c = ⌊n_1 · c^-exponent⌋ images.

    Attributes:
        factor: n_1 / n_C, how many times as many images the first class has as the last; at least 1.
        exponent: of Zipf's law; None for ln(factor) / ln(number of classes).

    Raises:
        InputError: no finite number of at least 1, or a negative exponent.
    """

    factor: float
    exponent: float | None = None

    def __post_init__(self) -> None:
        keep_plain(self)
        check_number("the imbalance", self.factor, at_least=1)
        if self.exponent is not None:
            check_number("the exponent of an imbalance", self.exponent)

    def exponent_for(self, n_classes: int) -> float:
        """Return the exponent for a number of classes."""
        if self.exponent is not None:
            return self.exponent
        return 0.0 if n_classes < 2 else math.log(self.factor) / math.log(n_classes)


def zipf_counts(largest: int, n_classes: int, exponent: float) -> Counts:
    """Return n_c = ⌊largest · c^-exponent⌋ for c from 1: int64 `(n_classes,)`.

    Source: LTHNet (Long-Tail Hashing, SIGIR 2021), whose tables have these numbers of training images.

    Example:
        >>> zipf_counts(500, 100, 0.83)[[0, 1, 99]].tolist()
        [500, 281, 10]
    """
    ranks = np.arange(1, n_classes + 1, dtype=np.float64)
    return np.floor(largest * ranks**-exponent + 1e-9).astype(np.int64)


def thinned(
    dataset: Dataset, train: RowNumbers, validation: RowNumbers, imbalance: Imbalance, seed: int
) -> tuple[RowNumbers, RowNumbers, dict[str, float]]:
    """Return train and validation with fewer images, and what the recipe says of that.

    The counts are of train and validation together: a class keeps n_c images, of which validation gets its share of
    before, rounded, at least one where the class keeps two. The larger classes come first; which of equally large ones
    do, and which images stay, the seed decides. Where the classes are not large enough for the first class to keep all
    of its images, it keeps the most that they allow.

    Args:
        dataset: with one label an image.
        train, validation: the rows of these parts.
        imbalance: how unequal the classes shall be.
        seed: 0 or more.

    Raises:
        DataError: images with several labels, or a class that would keep no image.
    """
    if not dataset.is_single_label:
        raise DataError(
            f"{dataset.name}: some images have several labels, and a long tail is of classes that share no image: "
            "leave the imbalance out"
        )
    rng = np.random.default_rng([seed, 2])
    rows = {part: _by_class(dataset, own) for part, own in (("train", train), ("validation", validation))}
    sizes = np.array([len(a) + len(b) for a, b in zip(*rows.values(), strict=True)], np.int64)
    present = np.flatnonzero(sizes)
    order = rng.permutation(present)
    order = order[np.argsort(-sizes[order], kind="stable")]
    exponent = imbalance.exponent_for(len(order))
    counts = _largest_counts(sizes[order], exponent)
    if counts[-1] < 1:
        raise DataError(
            f"{dataset.name}: with an imbalance of {imbalance.factor:g} the last of {len(order)} classes would keep no "
            f"image of the {int(counts[0])} that the first one keeps: take a smaller one"
        )
    share = len(validation) / (len(train) + len(validation))
    kept: dict[str, list[RowNumbers]] = {"train": [], "validation": []}
    for number, count in zip(order.tolist(), counts.tolist(), strict=True):
        own = {part: rows[part][number] for part in rows}
        to_validate = _validating(count, share, len(own["train"]), len(own["validation"]))
        kept["train"].append(rng.permutation(own["train"])[: count - to_validate])
        kept["validation"].append(rng.permutation(own["validation"])[:to_validate])
    said = {"factor": float(imbalance.factor), "exponent": exponent, "largest": int(counts[0])}
    return np.sort(np.concatenate(kept["train"])), np.sort(np.concatenate(kept["validation"])), said


def _by_class(dataset: Dataset, rows: RowNumbers) -> list[RowNumbers]:
    labels = dataset.labels[rows]
    return [rows[labels[:, number]] for number in range(dataset.n_classes)]


def _largest_counts(sizes: Counts, exponent: float) -> Counts:
    """Return the counts with the largest first one that no class is too small for; `sizes` fall."""
    largest = int(sizes[0])
    while (zipf_counts(largest, len(sizes), exponent) > sizes).any():
        largest -= 1
    return zipf_counts(largest, len(sizes), exponent)


def _validating(count: int, share: float, n_train: int, n_validation: int) -> int:
    """Return how many of a class's images validate; what train or validation has too few of, the other gives."""
    wanted = math.floor(count * share + 0.5)
    if n_validation and count >= 2:
        wanted = max(1, wanted)
    return min(max(wanted, count - n_train), n_validation, count - 1)
